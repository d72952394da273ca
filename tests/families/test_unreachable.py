"""Where part of a world cannot be reached, ∇J is exactly zero, and no witness may leave a rounding there that counts as one."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.core.sweep import solved
from boltzgrad.families.registry import witnesses
from tests_helpers import slow


def halves(seed, *, kernel, each=False):
    """States of the first half lead to one another alone; θ moves rewards, or kernel logits, everywhere."""
    rng = np.random.default_rng(seed)
    S, A = int(rng.integers(4, 12)), 3
    closed = S // 2
    allowed = np.ones((S, A, S), bool)
    allowed[:closed, :, closed:] = False
    allowed &= rng.random((S, A, S)) < 0.6
    allowed[:, :, 0] = True
    logits, reward = rng.normal(size=(S, A, S)), -rng.uniform(size=(S, A))
    goes_on = 1.0 - 0.1 * (rng.random((S, A)) < 0.3)
    start = np.where(np.arange(S) < closed, 1.0 / closed, 0.0)
    temperature = 0.3 * np.exp(0.3 * rng.normal(size=S)) if each else float(rng.choice([0.05, 0.3, 2.0]))
    gamma = float(rng.choice([0.9, 0.99]))

    def build(theta):
        x = anp.reshape(theta, (S, A))
        weights = anp.where(allowed, anp.exp(logits + (x[:, :, None] * np.sign(logits) if kernel else 0.0)), 0.0)
        move = weights / anp.sum(weights, axis=2, keepdims=True) * goes_on[:, :, None]
        return bg.TabularModel(
            move, start, reward + (0.0 if kernel else x), np.cos(np.arange(S * A)).reshape(S, A),
            follower_discount=gamma, leader_discount=0.95, temperature=temperature,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, dim=S * A), closed * A


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("count", [3, slow(15)])
def test_no_witness_disagrees(count, kernel, each):
    @settings(max_examples=count)
    @given(st.integers(0, 2**20))
    @example(25)
    @example(1667)
    def check(seed):
        problem, reached = halves(seed, kernel=kernel, each=each)
        routes = [r.name for r in witnesses(problem) if r.name not in ("conic", "differences")]
        report = bg.verify(problem, problem.initial_theta(seed=seed), routes=routes)
        assert not report.against, str(report)
        assert np.all(report.reference.gradient[reached:] == 0.0)

    check()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_solves_keep_signs_and_zeros(seed, transposed, weighted):
    """Exactly zero where b cannot be reached, relative accuracy where it hardly can; pivoting (the control) leaves rounding."""
    rng = np.random.default_rng(seed)
    S, closed = 30, 12
    kernel = rng.dirichlet(np.full(S, 0.2), size=S) * 0.99
    kernel[:closed, closed:] = 0.0
    if weighted:
        tau = np.exp(rng.normal(size=S))
        kernel = kernel * tau / tau[:, None]
    b = np.where(np.arange(S) < closed, 0.0, rng.uniform(size=S))
    if transposed:
        kernel, b = kernel.T, np.where(np.arange(S) < closed, rng.uniform(size=S), 0.0)
    x = solved(kernel, b)
    nowhere = slice(closed, None) if transposed else slice(0, closed)
    assert np.all(x[nowhere] == 0.0)
    assert np.all(x >= 0.0)
    np.testing.assert_allclose(x, np.linalg.solve(np.eye(S) - kernel, b), rtol=1e-10, atol=1e-12)
    tangent = solved(kernel + 1e-30j * kernel, b)
    np.testing.assert_allclose(tangent.imag / 1e-30, solved(kernel, kernel @ x), rtol=1e-10)
