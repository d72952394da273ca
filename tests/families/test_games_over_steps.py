"""Games over a finite number of steps, and games in which some actions are not there."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import boltzgrad as bg
from boltzgrad import errors
from boltzgrad.families.game import mistakes_over_steps
from boltzgrad.families.game.draw import finite_games
from boltzgrad.families.registry import family_of
from boltzgrad.problems import LeaderPolicy, softmax_table
from boltzgrad.testing import bundles, check_hypergradient
from boltzgrad.testing.strategies import thetas
from boltzgrad.verify.mutants import combinations
from boltzgrad.verify.tolerances import RESOLUTION, Verdict
from tests_helpers import examples

H, S, A, B = 4, 3, 2, 3
STEP = 1e-30


class Stepped:
    """A random game of H steps whose numbers change from step to step, solved here by recursion on plain arrays."""

    def __init__(self, seed, *, sees=True, each=True, missing=True):
        rng = np.random.default_rng(seed)
        steps = (H,) if each else ()
        self.sees, self.each = sees, each
        self.p = rng.dirichlet(np.ones(S), (*steps, S, A, B))
        self.rewards = rng.standard_normal((2, *steps, S, A, B))
        self.ends = rng.standard_normal((2, S))
        self.start = rng.dirichlet(np.ones(S))
        weights = rng.uniform(0.2, 1.0, (S, A, B) if sees else (S, B))
        if missing:
            weights[0, ..., 1] = 0.0
            weights[2, ..., :2] = 0.0
        self.reference = weights / weights.sum(axis=-1, keepdims=True)
        self.beside = rng.dirichlet(np.ones(A), S)
        self.mix = rng.standard_normal(((H if each else 1) * S * A, 5))
        self.theta = rng.standard_normal(5)

    def policy(self, t):
        shape = (H, S, A) if self.each else (S, A)
        return bg.softmax(anp.reshape(anp.dot(self.mix, t), shape))

    @property
    def game(self):
        return bg.MarkovGame(
            self.p, self.start, *self.rewards, follower_discount=0.9, leader_discount=1.0, temperature=0.4, horizon=H,
            terminal_follower_reward=self.ends[0], terminal_leader_reward=self.ends[1], reference=self.reference,
            leader_temperature=0.3, leader_reference=self.beside, policy=LeaderPolicy(self.policy, 5), observes=self.sees,
        )  # fmt: skip

    def solved(self, t):
        """(J, the follower's policies (H, S, A, B)), by π⁰ exp(Q/τ) from the last step back; real or complex."""
        f = self.policy(t) if self.each else np.stack([self.policy(t)] * H)
        u, v, answers = self.ends[0], self.ends[1], []
        for n in range(H - 1, -1, -1):
            p, r = (x[n] if self.each else x for x in (self.p, self.rewards[0]))
            paid = self.rewards[1][n] if self.each else self.rewards[1]
            q = r + 0.9 * p @ u
            if self.sees:
                e = self.reference * np.exp(q / 0.4)
                u, g = (f[n] * 0.4 * np.log(e.sum(axis=2))).sum(axis=1), e / e.sum(axis=2, keepdims=True)
            else:
                e = self.reference * np.exp((f[n][:, :, None] * q).sum(axis=1) / 0.4)
                u, g = 0.4 * np.log(e.sum(axis=1)), (e / e.sum(axis=1, keepdims=True))[:, None, :] * np.ones((S, A, B))
            own = 0.3 * (np.log(f[n]) - np.log(self.beside))[:, :, None]
            v = (f[n][:, :, None] * g * (paid - own + p @ v)).sum(axis=(1, 2))
            answers.insert(0, g)
        return self.start @ v, np.array(answers)

    def gradient(self):
        return np.array([self.solved(self.theta + 1j * STEP * e)[0].imag / STEP for e in np.eye(5)])


@pytest.mark.parametrize("sees", [True, False])
@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("missing", [True, False])
def test_value_gradient_and_answer_by_recursion(sees, each, missing):
    made = Stepped(7, sees=sees, each=each, missing=missing)
    ref = bg.hypergradient(made.game, made.theta)
    value, answer = made.solved(made.theta)
    assert abs(ref.value - value) < 1e-13
    np.testing.assert_allclose(ref.gradient, made.gradient(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(ref.solved.policy, answer, rtol=0, atol=1e-13)
    assert (ref.solved.policy[answer == 0.0] == 0.0).all()
    assert ref.error_bound < 1e-8
    assert bg.verify(made.game, made.theta).ok


def test_the_cotangent_is_that_of_each_step():
    made = Stepped(3)
    ref = bg.hypergradient(made.game, made.theta)
    assert ref.cotangent.shape == ref.solved.f.shape == (H, S, A)
    slopes = np.stack([made.policy(made.theta + 1j * STEP * e).imag / STEP for e in np.eye(5)])
    np.testing.assert_allclose(np.einsum("dhsa,hsa->d", slopes, ref.cotangent), ref.gradient, atol=1e-13)


def test_the_default_policy_is_the_same_at_every_step():
    made = Stepped(5, each=False)
    game = bg.MarkovGame(
        made.p, made.start, *made.rewards, follower_discount=0.9, leader_discount=1.0, temperature=0.4, horizon=H
    )
    assert game.dim == S * A
    table = bg.MarkovGame(
        made.p, made.start, *made.rewards, follower_discount=0.9, leader_discount=1.0, temperature=0.4, horizon=H,
        policy=softmax_table(H * S, A),
    )  # fmt: skip
    theta = np.random.default_rng(0).standard_normal(S * A)
    each = bg.hypergradient(table, np.tile(theta, H)).gradient.reshape(H, S * A)
    np.testing.assert_allclose(each.sum(axis=0), bg.hypergradient(game, theta).gradient, atol=1e-13)


def test_sparse_kernels_are_the_same_game():
    made = Stepped(11)
    kernels = [sparse.csr_array(p.reshape(-1, S)) for p in made.p]
    options = {"follower_discount": 0.9, "leader_discount": 1.0, "temperature": 0.4, "horizon": H}
    options["policy"] = LeaderPolicy(made.policy, 5)
    found = [
        bg.hypergradient(bg.MarkovGame(p, made.start, *made.rewards, **options), made.theta).gradient
        for p in (made.p, kernels)
    ]
    np.testing.assert_allclose(*found, atol=1e-14)


@given(game=finite_games(), data=st.data())
@settings(max_examples=examples(25), deadline=None)
def test_all_routes_agree(game, data):
    theta = data.draw(thetas(game.dim))
    report = bg.verify(game, theta)
    assert not [row for row in report.rows if row.verdict in (Verdict.DISAGREES, Verdict.FAILED)], str(report)
    assert next(row for row in report.rows if row.route == "backward").verdict in (Verdict.AGREES, Verdict.ZERO)


def test_a_missing_action_is_one_that_was_never_in_the_game():
    """The third action left out of every state by a zero of π⁰, and by not having it."""
    rng = np.random.default_rng(2)
    p, rewards = rng.dirichlet(np.ones(S), (S, A, B)), rng.standard_normal((2, S, A, B))
    reference = rng.dirichlet(np.ones(B - 1), (S, A))
    constants = {"follower_discount": 0.8, "leader_discount": 0.9, "temperature": 0.3}
    whole = bg.MarkovGame(
        p, np.ones(S) / S, *rewards, reference=np.concatenate([reference, np.zeros((S, A, 1))], axis=2), **constants
    )
    less = bg.MarkovGame(p[:, :, :-1], np.ones(S) / S, *rewards[..., :-1], reference=reference, **constants)
    theta = rng.standard_normal(S * A)
    found = [bg.hypergradient(g, theta) for g in (whole, less)]
    np.testing.assert_allclose(found[0].gradient, found[1].gradient, atol=1e-13)
    np.testing.assert_array_equal(found[0].solved.policy[:, :, -1], 0.0)
    assert bg.verify(whole, theta).ok
    assert bg.verify(
        bg.MarkovGame(p, np.ones(S) / S, *rewards, reference=[[0.0, 0.5, 0.5]] * S, observes=False, **constants), theta
    ).ok


def off(gradient, right):
    return np.abs(gradient - right).max() / np.abs(right).max()


@pytest.mark.parametrize("observes", [True, False])
def test_every_mistake_of_games_is_told_from_the_truth(observes):
    """All at once on one game, alone, in half of the steps, and with every seventh of the others."""
    game = bg.problems.load(
        "finite-game", horizon=8, n_states=3, follower_discount=0.9, leader_discount=0.8, observes=observes
    )
    theta = game.initial_theta(seed=1)
    catalogue, problem = family_of(game).catalogue(game)
    right = bg.hypergradient(game, theta).gradient
    assert off(catalogue.Formula(problem, theta).gradient(), right) < 1e-12
    with np.errstate(all="ignore"):
        shown = [m for m in catalogue.MUTANTS if not off(m.gradient(problem, theta), right) <= RESOLUTION]
        assert len(shown) >= 0.8 * len(catalogue.MUTANTS)
        many = [*combinations.in_one_half(shown), *list(combinations.pairs(shown))[::7]]
        hidden = [m.name for m in many if off(m.gradient(problem, theta), right) <= RESOLUTION]
    # Four steps are left in the second half: sums that are cut after as many are whole.
    assert set(hidden) <= {"ThreeTermsOfTheInverseInSecondHalf", "StoppedEarlyInSecondHalf", "VisitsCutInSecondHalf"}


def test_the_second_half_of_the_steps():
    game = bg.problems.load("finite-game", horizon=4, n_states=4, leader_discount=0.8)
    theta = game.initial_theta(seed=1)
    rest = family_of(game).later(game, theta)
    right = bg.hypergradient(rest.problem, theta).gradient
    assert off(mistakes_over_steps.Formula(rest.problem, theta).gradient(), right) < 1e-12
    assert abs(rest.weight - 0.8**2) < 1e-14


def test_another_horizon_is_told_from_this_one():
    made = Stepped(1, each=False)
    options = {"follower_discount": 0.9, "leader_discount": 1.0, "temperature": 0.4}
    game, longer = (bg.MarkovGame(made.p, made.start, *made.rewards, horizon=n, **options) for n in (H, H + 1))
    theta = np.random.default_rng(0).standard_normal(game.dim)
    assert not check_hypergradient(bg.hypergradient(longer, theta).gradient, game, theta).ok


def test_a_follower_and_a_bundle_have_steps(tmp_path):
    made = Stepped(9)
    ref = bg.hypergradient(made.game, made.theta)
    bg.testing.assert_follower({"policy": made.solved(made.theta)[1]}, made.game, made.theta)
    with pytest.raises(AssertionError, match="not the follower's answer"):
        bg.testing.assert_follower({"policy": np.roll(ref.solved.policy, 1, axis=0)}, made.game, made.theta)
    found = bg.approximate(made.game, made.theta, policy=ref.solved.policy)
    assert found.gap.shape == (H, S, A)
    assert np.abs(found.gradient - ref.gradient).max() < 1e-12
    folder = bundles.export(made.game, made.theta, tmp_path / "game")
    assert bundles.check(folder, ref.gradient).ok
    assert not bundles.check(folder, 1.001 * ref.gradient).ok


GOOD = {
    "transition": np.full((2, 3, 2, 2), 0.5), "initial": [0.5, 0.5], "follower_reward": np.zeros((2, 3, 2)),
    "leader_reward": np.zeros((2, 3, 2)), "follower_discount": 1.0, "leader_discount": 1.0, "temperature": 0.1, "horizon": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon is 0; expected a positive integer"),
        ({"horizon": 2.0}, "horizon is 2.0"),
        ({"follower_reward": np.zeros((2, 2, 3, 2))}, r"follower_reward has shape \(2, 2, 3, 2\), expected"),
        ({"transition": np.full((2, 2, 3, 2, 2), 0.5)}, r"transition has shape \(2, 2, 3, 2, 2\), expected"),
        ({"transition": np.full((3, 2, 3, 2, 2), 0.6)}, r"transition\[0\]\[0, 0, 0\] sums to 1.2"),
        ({"initial": [1.0]}, r"initial has shape \(1,\), expected \(2,\)"),
        ({"terminal_leader_reward": np.zeros(3)}, r"terminal_leader_reward has shape \(3,\), expected \(2,\)"),
        ({"reference": np.full((3, 2), 0.5)}, r"reference has shape \(3, 2\), expected"),
        ({"reference": [[1.0, 0.5]] * 2}, r"reference\[0\] sums to 1.5"),
        (
            {"horizon": None, "follower_discount": 0.9, "leader_discount": 0.9, "terminal_leader_reward": [0, 0]},
            "give horizon=",
        ),
        ({"transition": [sparse.csr_array(np.full((12, 2), 0.5))] * 2}, "transition has 2 matrices, expected 3"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises((errors.InvalidModel, errors.InvalidOption), match=message):
        bg.MarkovGame(**{**GOOD, **change})


def test_a_shape_with_two_readings_is_refused():
    """(H, S, B) is (S, A, B) where H = S = A: neither is guessed."""
    made = {**GOOD, "transition": np.full((2, 2, 3, 2), 0.5), "horizon": 2}
    made |= {"follower_reward": np.zeros((2, 2, 3)), "leader_reward": np.zeros((2, 2, 3))}
    with pytest.raises(errors.InvalidModel, match=r"give all of it, \(2, 2, 2, 3\)"):
        bg.MarkovGame(**made, reference=np.full((2, 2, 3), 1 / 3))
    bg.MarkovGame(**made, reference=np.full((2, 2, 2, 3), 1 / 3))


@pytest.mark.parametrize(
    "name", ["follower_reward", "leader_reward", "transition", "reference", "terminal_leader_reward"]
)
def test_complex_numbers_are_refused(name):
    shapes = {"terminal_leader_reward": (2,), "reference": (2, 2), "transition": (2, 3, 2, 2)}
    with pytest.raises(errors.InvalidModel, match=f"{name} is complex"):
        bg.MarkovGame(**{**GOOD, name: np.full(shapes.get(name, (2, 3, 2)), 0.5 + 0j)})


def test_a_policy_of_another_shape():
    game = bg.MarkovGame(**GOOD, policy=LeaderPolicy(lambda t: np.full((2, 2, 3), 1 / 3), 1))
    with pytest.raises(errors.InvalidModel, match=r"policy has shape \(2, 2, 3\), expected \(2, 3\), or \(3, 2, 3\)"):
        bg.hypergradient(game, [0.0])
