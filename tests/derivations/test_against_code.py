"""The statements on the library's own numbers: random tabular, game and LQR problems, solvers and reference gradients."""

import itertools
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import derivations
from boltzgrad.derivations import zoo_matrices as z
from boltzgrad.derivations.instances.mdp import random_mdp
from boltzgrad.derivations.kit.numbers import Instance
from boltzgrad.derivations.results import REJECTS
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import game as g
from boltzgrad.derivations.symbols import lqr as q
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.problems import ConfigurableMDP, LinearQuadratic, MarkovGame
from boltzgrad.verify.bindings import family_of, instance_for, still_kernel
from tests_helpers import smooth_problem

# Statements about laws of horizons and levels, or constants of the papers, and one that has its own test below.
WITHOUT_CODE = {
    "geometric-horizon",
    "hpgd-proposition-e-8",
    "hpgd-theorem-2-5-rate",
    "sobirl-proposition-5-2",
    "thermal-control-matrices",
    "lqr-game-matrices",
}


def still_problem(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), size=(4, 3))
    follower, leader = rng.normal(size=(2, 4, 3, 5))

    def build(theta):
        rewards = (anp.dot(f, theta) for f in (follower, leader))
        return bg.TabularModel(
            p, np.full(4, 0.25), *rewards, follower_discount=0.8, leader_discount=0.7, temperature=0.4
        )

    return ConfigurableMDP(build, dim=5)


def problems(family, still, seed):
    if family is MarkovGame:
        return bg.problems.load("random-game", seed=seed)
    if family is LinearQuadratic:
        return bg.problems.load("random-lqr", seed=seed)
    return still_problem(seed) if still else smooth_problem(seed, S=4, A=3)


def instance_of(derivation, seed):
    family = family_of(derivation.instance)
    if family is None:
        return None
    problem = problems(family, still_kernel(derivation.instance), seed)
    rng = np.random.default_rng(seed)
    theta, direction = problem.initial_theta(seed=seed), rng.normal(size=problem.dim)
    return instance_for(derivation.instance, problem, theta, direction, rng)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", derivations.names())
def test_it_holds_for_the_code(name, seed):
    derivation = derivations.get(name)
    instance = instance_of(derivation, seed)
    assert (instance is None) == (name in WITHOUT_CODE)
    if instance is not None:
        check = derivation.check_on([instance])
        assert check, str(check)


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("theorem-1", m.J),
        ("theorem-1", m.Q_F),
        ("follower-sensitivity", m.V_F),
        ("adjoint-form", m.Q_L),
        ("theorem-2", g.J),
        ("lemma-2", g.V_F),
        ("lqr-proposition-1", q.P),
        ("riccati-derivative", q.P),
        ("riccati-iteration", q.K),
    ],
)
def test_a_wrong_number_of_the_code_is_found(name, letter):
    """Negative control: the value, or its derivative, off by 1e-5 of its size."""
    derivation = derivations.get(name)
    instance = instance_of(derivation, 1)
    value = np.asarray(instance.values[letter], complex)
    for wrong in (value.real * (1 + 1e-5 * np.cos(np.arange(value.size)).reshape(value.shape)) + 1j * value.imag,
                  value.real + 1j * value.imag * (1 + 1e-5)):  # fmt: skip
        if np.array_equal(wrong, value):
            continue
        broken = replace(instance, values={**instance.values, letter: wrong}, cache={})
        if derivation.check_on([broken]).defect > REJECTS:
            return
    pytest.fail(f"a wrong {letter} was not noticed by {name}")


def test_a_wrong_reference_gradient_is_found(monkeypatch):
    """∇J of the reference, off by one per mille, no longer satisfies Theorem 1."""
    from boltzgrad.verify import bindings

    exact = bindings.hypergradient
    monkeypatch.setattr(bindings, "hypergradient", lambda p, t: _off(exact(p, t)))
    for name in ("theorem-1", "hpgd-proposition-c-1", "theorem-2", "lemma-1"):
        derivation = derivations.get(name)
        assert not derivation.check_on([instance_of(derivation, 1)])


def _off(reference):
    return replace(reference, gradient=reference.gradient * 1.001)


def test_trajectory_losses_of_the_code():
    """SoBiRL Prop 5.2 on all pairs of trajectories of three steps, with the solver's V, Q and π and their derivatives."""
    problem, direction = still_problem(4), np.array([1.0, -0.5, 0.3, 0.2, -1.0])
    tabular = instance_for(random_mdp, problem, problem.initial_theta(seed=4), direction, np.random.default_rng(0))
    kernel = np.real(tabular.values[m.P]).reshape(4, 3, 4)
    start = np.real(tabular.values[m.rho]).ravel()
    q_values = np.asarray(tabular.values[m.Q_F]).reshape(4, 3)
    values = np.asarray(tabular.values[m.V_F]).ravel()
    one = []  # (factor that stays, Q and V of its steps) of every trajectory of three steps
    for path in itertools.product(range(4), range(3), range(4), range(3)):
        s0, a0, s1, a1 = path
        one.append((start[s0] * kernel[s0, a0, s1], [q_values[s0, a0], q_values[s1, a1]], [values[s0], values[s1]]))
    rng = np.random.default_rng(1)
    chosen = [(one[i], one[j]) for i, j in rng.integers(len(one), size=(12, 2))]
    functions = {
        "K": np.array([a[0] * b[0] for a, b in chosen]),
        "Qk": np.array([a[1] + b[1] for a, b in chosen]).T,
        "Vk": np.array([a[2] + b[2] for a, b in chosen]).T,
        "l": rng.normal(size=12) + 1e-30j * rng.normal(size=12),
    }
    numbers = {s.S: 12, s.H: 4, s.z: 2, s.tau: tabular.values[m.tau], s.x: 0.0}
    statement = derivations.get("sobirl-proposition-5-2")
    assert statement.check_on([Instance(numbers, {}, functions)])
    # and the probabilities so made are the policy's
    policy = np.exp((q_values - values[:, None]) / numbers[s.tau]).real
    (factor, q_two, v_two), _ = chosen[0]
    made = factor * np.exp(sum(a - b for a, b in zip(q_two, v_two, strict=True)) / numbers[s.tau]).real
    assert made == pytest.approx(factor * np.prod([_matching(policy, q_values, x) for x in q_two]), rel=1e-9)


def _matching(policy, q_values, value):
    return policy[np.where(q_values == value)][0]


def test_the_bump_of_the_code():
    """E exp(−½(x − x̄)'Λ(x − x̄)) of `gaussian-bump` is what one step of the LQR game's objective is."""
    game = bg.problems.load("lqr-game", horizon=1)
    theta = np.array([-9.0, 0.2])
    model = game.model(theta)
    precision, target = model.bump.precision, model.bump.target
    spread = model.covariance
    shift = model.mean - target
    volume = np.linalg.det(np.eye(2) + precision @ spread) ** -0.5
    inner = np.linalg.inv(np.linalg.inv(precision) + spread)
    expected = volume * np.exp(-shift @ inner @ shift / 2)
    assert bg.hypergradient(game, theta).value == pytest.approx(expected, rel=1e-12)


def test_thermal_control_is_the_zoo_s():
    problem = bg.problems.load("thermal-control")
    theta = problem.initial_theta(seed=3)
    model = problem.model(theta)
    levels = 1 / (1 + np.exp(-theta))
    values = dict(zip((*z.alpha, *z.beta), levels, strict=True))
    matrix = np.array(z.thermal_transition().subs(values).tolist(), dtype=float)
    np.testing.assert_allclose(model.A, matrix, rtol=1e-14)
    x = np.random.default_rng(0).normal(size=4)
    assert x @ model.leader_Q @ x == pytest.approx(np.var(x), rel=1e-12)
    assert float(model.leader_constant) == pytest.approx(-0.1 * np.sum(levels**2), rel=1e-12)
    np.testing.assert_array_equal(model.leader_R, 0.5 * np.eye(2))


def test_lqr_game_is_the_zoo_s():
    problem = bg.problems.load("lqr-game")
    theta = np.array([-9.5, 0.2])
    model = problem.model(theta)
    closed = np.array((z.GAME_A + z.GAME_C * z._GAIN).subs({z.k1: theta[0], z.k2: theta[1]}).tolist(), dtype=float)
    np.testing.assert_allclose(model.A, closed, rtol=1e-14)
    np.testing.assert_array_equal(model.B, np.array(z.GAME_B.tolist(), dtype=float))
    c = np.array(z.GAME_C.tolist(), dtype=float)
    np.testing.assert_allclose(model.W, 0.001**2 * c @ c.T, rtol=1e-14)
    assert model.observed


def test_sobirl_s_truncation_is_nothing_on_four_rooms():
    """The finding: penalties that do not depend on the action leave the truncated third term at zero."""
    problem = bg.problems.load("four-rooms", temperature=0.005)
    for column in list(problem.linearise(np.zeros(problem.dim)).columns())[:5]:
        slopes = column.models[0].follower_reward
        np.testing.assert_array_equal(slopes, np.repeat(slopes[:, :1], slopes.shape[1], axis=1))
