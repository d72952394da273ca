"""PARL's Hessian against brute force: second derivatives of a soft value in logits, and implicit differentiation with them."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.derivations.instances.logits import random_optimum
from boltzgrad.derivations.symbols import logits as z
from boltzgrad.derivations.symbols import mdp as m

S, A = 4, 3


def slopes_in_logits(logits, p, reward, start, gamma, tau, step=1e-30):
    """∂(start·V)/∂z (S·A,) by complex steps of policy evaluation."""
    out = []
    for direction in np.eye(logits.size):
        moved = np.exp(logits + 1j * step * direction.reshape(logits.shape))
        policy = moved / moved.sum(axis=1, keepdims=True)
        chain = np.einsum("sa,saz->sz", policy, p)
        paid = (policy * (reward - tau * np.log(policy))).sum(axis=1)
        out.append((start @ np.linalg.solve(np.eye(len(p)) - gamma * chain, paid)).imag / step)
    return np.array(out)


def follower(seed):
    """(problem's arrays, the soft optimum's logits, the reference of the same table)."""
    rng = np.random.default_rng(seed)
    p, rewards, start = rng.dirichlet(np.ones(S), (S, A)), rng.normal(size=(2, S, A)), rng.dirichlet(np.ones(S))
    model = bg.TabularModel(p, start, *rewards, follower_discount=0.8, leader_discount=0.6, temperature=0.5)
    ref = bg.hypergradient(bg.ConfigurableMDP(lambda theta: model, dim=1), np.zeros(1))
    return (p, rewards[0], start, 0.8, 0.5), ref.follower.q / 0.5, ref


@pytest.mark.parametrize("seed", range(3))
def test_the_hessian_is_that_of_brute_force(seed):
    arrays, logits, ref = follower(seed)
    p, _, start, gamma, tau = arrays
    np.testing.assert_allclose(slopes_in_logits(logits, *arrays), 0.0, atol=1e-13)
    h = 1e-4
    brute = np.array([(slopes_in_logits(logits + h * d.reshape(S, A), *arrays)
                       - slopes_in_logits(logits - h * d.reshape(S, A), *arrays)) / (2 * h)
                      for d in np.eye(S * A)])  # fmt: skip
    policy = ref.follower.policy
    visits = np.linalg.solve(np.eye(S) - gamma * np.einsum("sa,saz->zs", policy, p), start)
    formula = np.zeros((S, A, S, A))
    for s in range(S):
        formula[s, :, s, :] = -tau * visits[s] * (np.diag(policy[s]) - np.outer(policy[s], policy[s]))
    flat = formula.reshape(S * A, S * A)
    np.testing.assert_allclose(brute, flat, atol=30 * h**2 * np.abs(flat).max())
    off = flat + np.eye(S * A) * 1e-3  # the control: brute force tells a thousandth
    assert np.abs(brute - off).max() > 30 * h**2 * np.abs(flat).max()
    assert np.sum(np.abs(np.linalg.eigvalsh(flat)) < 1e-14) == S  # one null direction a state


@pytest.mark.parametrize("seed", range(3))
def test_implicit_differentiation_with_the_pseudo_inverse_is_the_reference(seed):
    """PARL's formula, with NumPy's pseudo-inverse of the whole Hessian, is the cotangent w of the follower's action values."""
    (p, _, _, gamma, tau), _, ref = follower(seed)
    policy, leader = ref.follower.policy, ref.leader
    visits = np.linalg.solve(np.eye(S) - gamma * np.einsum("sa,saz->zs", policy, p), np.full(S, 1 / S))
    hessian = np.zeros((S, A, S, A))
    for s in range(S):
        hessian[s, :, s, :] = tau * visits[s] * (np.diag(policy[s]) - np.outer(policy[s], policy[s]))
    flat = hessian.reshape(S * A, S * A)
    occupancy = leader.occupancy
    in_logits = (occupancy[:, None] * policy * leader.benefit).ravel()
    w = in_logits @ np.linalg.pinv(flat, rcond=1e-12) @ (flat / tau)  # the cross derivative is H ∇Q_F/τ
    np.testing.assert_allclose(w, in_logits / tau, rtol=0, atol=1e-12 * np.abs(in_logits).max() / tau)
    damped = in_logits @ np.linalg.solve(flat + 0.05 * np.eye(S * A), flat / tau)
    assert np.abs(damped - w).max() > 1e-2 * np.abs(w).max()


def test_a_damped_inverse_shrinks_a_component_by_its_factor():
    instance = random_optimum(np.random.default_rng(0))
    H, e, mu, eta = (instance.value(x, False) for x in (z.H, z.e, z.mu, z.damping))
    found = np.linalg.solve(H + eta * np.eye(len(H)), H @ e)
    np.testing.assert_allclose(found, mu / (mu + eta) * e, atol=1e-14)
    assert np.abs(found - e).max() > 0.1 * np.abs(e).max()
    ones = instance.value(m.E, False)
    np.testing.assert_allclose(H @ ones, 0.0, atol=1e-15)  # logits that move alike at a state
