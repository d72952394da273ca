"""HPGD's Theorem 2.5 in numbers: the constant of the bias against errors of plug-in gradients, and the printed one."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.derivations.symbols import oracle as o
from tests_helpers import smooth_problem

S, A = 4, 3


def constant(expression, **numbers):
    """A bound of the derivation at numbers for its letters, by their names."""
    return float(expression.subs({x: numbers[str(x)] for x in expression.free_symbols}))


def printed(n_S, n_A, delta, l_1, L_f, S_f, K_1, K_2, R, tau, gamma):
    """The paper's sum (A) + (a) + (i) + (ii) with m = 1/|S|, the largest that it can be, and the logarithm's sign put right."""
    slope = K_2 / (1 - gamma) + K_1 * (R + tau * np.log(n_A)) / (1 - gamma) ** 2
    values = tau * (n_A * np.log(1 / l_1) + 2 / l_1) / (1 - gamma) + n_A * R / (1 - gamma) ** 2
    return (
        S_f * delta
        + n_S / tau * (2 * n_A * delta * L_f * slope + 2 * S_f * delta * slope)
        + 2 * L_f * delta * gamma * n_S / (tau * (1 - gamma)) * (n_S * K_1 * values + slope)
    )


def numbers_of(problem, theta, reference, policy):
    """What Assumption 2.1 asks of a table whose rewards of the leader's stand still, and of J as its f; one step of each θ."""
    model, tangents = problem.model(theta), [c.models[0] for c in problem.linearise(theta).columns()]
    p, gamma, best = model.transition, model.leader_discount, reference.follower.policy
    scores = max(np.abs(t.transition / p).max() for t in tangents)
    reward, n_A = np.abs(model.leader_reward).max(), best.shape[1]
    R, tau = np.abs(model.follower_reward).max(), model.temperature
    return {
        "n_S": len(p), "n_A": n_A, "delta": np.abs(policy - best).max(), "l_1": best.min(), "tau": tau,
        "L_f": reward / (1 - gamma) ** 2,  # ν(s)|Q_L|
        "S_f": 2 * gamma * n_A * reward * max(1.0, scores) / (1 - gamma) ** 3,  # of ν Q_L, and of γ ν Π ∇P V_L
        "K_1": scores, "K_2": max(np.abs(t.follower_reward).max() for t in tangents),
        "gamma_F": gamma, "V_top": (R + tau * np.log(n_A)) / (1 - gamma),
    }  # fmt: skip


def still_leader(seed):
    """A table in which everything but the leader's side moves."""
    rng, moving = np.random.default_rng(seed), smooth_problem(seed, S=S, A=A)
    reward = rng.normal(size=(S, A))

    def build(theta):
        x = moving.build(theta)
        return bg.TabularModel(x.transition, np.full(S, 1 / S), x.follower_reward, reward,
                               follower_discount=0.8, leader_discount=0.8, temperature=0.5)  # fmt: skip

    return bg.ConfigurableMDP(build, dim=moving.dim)


@pytest.mark.parametrize("share", [0.9, 1e-1, 1e-3])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_holds_on_random_tables(seed, share):
    problem = still_leader(seed)
    theta = problem.initial_theta(seed=seed)
    reference = bg.hypergradient(problem, theta)
    best = reference.follower.policy
    off = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], size=best.shape)
    policy = best + share * best.min() * (off - off.mean(axis=1, keepdims=True)) / 2
    numbers = numbers_of(problem, theta, reference, policy)
    error = np.abs(bg.approximate(problem, theta, policy=policy, reference=reference).error).max()
    assert 0 < error <= constant(o.BIAS, **numbers)
    gap = bg.approximate(problem, theta, policy=policy, reference=reference).gap.max()
    assert 0 < gap <= constant(o.VALUE_OFF, **numbers)
    assert gap > 1e-3 * constant(o.VALUE_OFF, **numbers)  # the control: a bound of the third order would fail


def slow_choice(actions, gamma, least):
    """Two states that hold whoever comes, whose exits the follower takes a little too seldom; a third that chooses.

    Actions of the first half lead to the first state, or stay there; the rewards of the two move by ±θ; f is what the third
    does.
    """
    half, sign = actions // 2, np.where(np.arange(actions) < actions // 2, 1.0, -1.0)
    p = np.zeros((3, actions, 3))
    p[0, :half, 0] = p[0, half:, 1] = p[1, :half, 1] = p[1, half:, 0] = p[2, :half, 0] = p[2, half:, 1] = 1.0
    stay = (1 - half * least) / half
    best = np.array([np.where(sign > 0, stay, least)] * 2 + [np.full(actions, 1 / actions)])
    slopes = np.array([1.0, -1.0, 0.0])[:, None] * np.ones(actions)
    chosen = np.array([0.0, 0.0, 1.0])[:, None] * sign
    problem = bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            p, np.full(3, 1 / 3), np.log(best) + slopes * theta[0], np.zeros((3, actions)),
            follower_discount=gamma, leader_discount=gamma, temperature=1.0,
        ),
        dim=1,
        objective=bg.PolicyObjective(lambda theta, policy: anp.sum(chosen * policy)),
    )  # fmt: skip
    policy = best + least / 2 * np.array([1.0, 1.0, 0.0])[:, None] * sign
    return problem, best, policy


def test_the_printed_constant_is_too_small():
    """δ = l₁/2 as the proof allows; the kernel does not move, f is linear in π: K₁ = S_f = 0, L_f = K₂ = 1."""
    actions, gamma, least = 40, 0.99, 2e-5
    problem, best, policy = slow_choice(actions, gamma, least)
    reference = bg.hypergradient(problem, np.zeros(1))
    np.testing.assert_allclose(reference.follower.policy, best, rtol=1e-9)
    error = np.abs(bg.approximate(problem, np.zeros(1), policy=policy, reference=reference).error).max()
    common = {"n_S": 3, "n_A": actions, "delta": least / 2, "l_1": least, "tau": 1.0,
              "L_f": 1.0, "S_f": 0.0, "K_1": 0.0, "K_2": 1.0}  # fmt: skip
    as_printed = printed(**common, R=np.abs(np.log(best)).max(), gamma=gamma)
    assert error > 4 * as_printed
    assert error < constant(o.BIAS, **common, gamma_F=gamma, V_top=0.0)
    # and it is the lost factor |A| that does it: without it the proved bound would be too small as well
    without = common | {"n_A": 1}
    assert error > constant(o.BIAS, **without, gamma_F=gamma, V_top=0.0)


def test_at_no_discount_the_printed_step_bounds_something_by_nothing():
    """γ = 0: ∂Q does not depend on the policy, ∂A does."""
    slopes, best, off = np.array([1.0, 1.0, -1.0, -1.0]), np.full(4, 0.25), np.array([0.1, 0.1, -0.1, -0.1])
    centred = [slopes - policy @ slopes for policy in (best, best + off)]
    assert np.abs(centred[0] - centred[1]).max() == pytest.approx(
        4 * 0.1
    )  # |A|δ max|∂Q|: the bound of the missing part is met


def test_a_bias_costs_the_descent_its_square():
    """Gradient ascent with a constant bias stops where |∇F| is the bias: |∇F|² falls like δ², not like δ."""
    A_ = np.diag([1.0, 0.3])
    left = []
    for delta in (1e-1, 1e-2, 1e-3):
        x = np.array([1.0, -1.0])
        for _ in range(200):
            x = x - 0.9 * (A_ @ x + delta * np.array([0.6, 0.8]))
        left.append(np.sum((A_ @ x) ** 2))
    np.testing.assert_allclose(left, np.array([1e-1, 1e-2, 1e-3]) ** 2, rtol=1e-9)
