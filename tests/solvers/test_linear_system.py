"""Every method solves (I − γP_π)x = b and its transpose, measures what it left, and never returns a bad answer."""

import numpy as np
import pytest
from scipy import sparse

import boltzgrad as bg
from boltzgrad.errors import NotConverged
from boltzgrad.problems import SparseKernel
from boltzgrad.solvers import LinearSystem
from boltzgrad.solvers.enclosing import enclose
from boltzgrad.solvers.linear import structure, system


def kernel_and_policy(seed=0, S=60, A=3, keep=0.2):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(S), size=(S, A)) * (rng.uniform(size=(S, A, S)) < keep)
    p /= np.maximum(p.sum(axis=2, keepdims=True), 1e-9)
    kernel = SparseKernel.from_scipy(sparse.csr_array(p.reshape(S * A, S)), A)
    return kernel, rng.dirichlet(np.ones(A), size=S), rng


@pytest.mark.parametrize("method", ["dense", "sparse", "krylov"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("discount", [0.0, 0.9, 0.9999])
def test_solves_within_its_own_bound(method, transposed, discount):
    kernel, policy, rng = kernel_and_policy()
    b = rng.standard_normal(60)
    matrix = np.eye(60) - discount * kernel.under(policy).toarray()
    exact = np.linalg.solve((matrix.T if transposed else matrix).astype(float), b)
    made = LinearSystem(kernel, policy, discount, method=method)
    solved = made.solve_transposed(b) if transposed else made.solve(b)
    error = np.linalg.norm(solved.x - exact, 1 if transposed else np.inf)
    own = 1e-15 * np.linalg.norm(exact, 1 if transposed else np.inf) / (1 - discount)
    assert error <= solved.bound + 60 * own  # numpy's answer has an error of its own
    assert solved.bound <= 1e-9 * max(1.0, np.linalg.norm(exact, 1 if transposed else np.inf))


@pytest.mark.parametrize("method", ["dense", "sparse", "krylov"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("scale", [5e-324, 1e-320, 1e-310, 1e-300])
def test_subnormal_right_hand_sides_are_solved_too(method, transposed, scale):
    """A policy that is nearly deterministic makes such: its roundings are absolute, not relative to b."""
    kernel, policy, rng = kernel_and_policy()
    direction = rng.standard_normal(60)
    made = LinearSystem(kernel, policy, 0.5, method=method)
    solve = made.solve_transposed if transposed else made.solve
    solved, unit = solve(scale * direction), solve(direction)
    error = np.linalg.norm(solved.x - scale * unit.x, 1 if transposed else np.inf)
    # b = scale·direction is itself rounded to a multiple of 2⁻¹⁰⁷⁴, and ‖A⁻¹‖ ≤ 1/(1 − γ) = 2
    assert error <= solved.bound + 1e-12 * scale * np.abs(unit.x).sum() + 2 * 60 * 5e-324
    assert solved.bound < 1e-306 + 1e-9 * scale
    assert solve(np.zeros(60)).bound == 0.0  # control: nothing is allowed where nothing is rounded


def test_the_bound_notices_a_wrong_solution():
    """The control: a bound computed from the residual of a spoiled answer must grow beyond the damage."""
    kernel, policy, rng = kernel_and_policy()
    made = LinearSystem(kernel, policy, 0.9)
    b = rng.standard_normal(60)
    x = made.solve(b).x
    spoiled = x + 1e-5 * rng.standard_normal(60)
    claimed = np.abs(b - made.apply(spoiled)).max() / (1 - 0.9)
    assert np.abs(spoiled - x).max() <= claimed
    assert claimed > 1e3 * made.solve(b).bound


@pytest.mark.parametrize("method", ["dense", "sparse"])
def test_a_reused_factorisation_is_refined_to_full_accuracy(method):
    kernel, policy, rng = kernel_and_policy()
    first = LinearSystem(kernel, policy, 0.95, method=method)
    first.solve(np.ones(60))
    nearby = policy * (1 + 1e-3 * rng.standard_normal(policy.shape))
    nearby /= nearby.sum(axis=1, keepdims=True)
    again = LinearSystem(kernel, nearby, 0.95, reuse=first)
    fresh = LinearSystem(kernel, nearby, 0.95, method=method)
    b = rng.standard_normal(60)
    np.testing.assert_allclose(again.solve(b).x, fresh.solve(b).x, rtol=0, atol=1e-13)
    assert again.factorisations == 0


def test_a_useless_factorisation_is_thrown_away():
    kernel, policy, rng = kernel_and_policy()
    first = LinearSystem(kernel, policy, 0.99, method="dense")
    first.solve(np.ones(60))
    other = np.roll(policy, 1, axis=0) ** 8
    other /= other.sum(axis=1, keepdims=True)
    again = LinearSystem(kernel, other, 0.99, reuse=first)
    b = rng.standard_normal(60)
    fresh = LinearSystem(kernel, other, 0.99, method="dense").solve(b).x
    np.testing.assert_allclose(again.solve(b).x, fresh, rtol=0, atol=1e-11)
    assert again.factorisations <= 1


class _Wrong:
    """A factorisation that returns nonsense with a straight face, as SciPy's BiCGSTAB can."""

    name, exact = "nonsense", False

    def __init__(self, *args):
        pass

    def solve(self, b, *, transposed, rtol):
        return np.full_like(b, 1e15)


def test_an_iterative_answer_is_never_taken_on_trust(monkeypatch):
    monkeypatch.setattr(system, "Krylov", _Wrong)
    kernel, policy, rng = kernel_and_policy()
    b = rng.standard_normal(60)
    made = LinearSystem(kernel, policy, 0.9, method="krylov")
    right = LinearSystem(kernel, policy, 0.9, method="dense").solve(b).x
    np.testing.assert_allclose(made.solve(b).x, right, atol=1e-12)
    assert made.name == "dense LU"  # the fallback


def test_not_converged_says_which_and_by_how_much(monkeypatch):
    for name in ("DenseLU", "SparseLU", "Krylov"):
        monkeypatch.setattr(system, name, _Wrong)
    kernel, policy, _ = kernel_and_policy()
    with pytest.raises(NotConverged, match=r"linear system \(60 states, discount 0.9, nonsense\): residual .* allowed"):
        LinearSystem(kernel, policy, 0.9).solve(np.ones(60))


def test_structure_tells_grids_from_expanders():
    grid = bg.problems.load("grid-world", size=40).model(np.zeros(64)).kernel
    garnet = bg.problems.load("garnet", n_states=1600).model(np.zeros(64)).kernel
    assert structure.choose(grid) == "sparse"
    assert structure.choose(garnet) == "krylov"
    assert structure.choose(bg.problems.load("garnet").model(np.zeros(64)).kernel) == "dense"


@pytest.mark.parametrize("transposed", [False, True])
def test_enclosure_holds_for_every_nearby_kernel(transposed):
    """|(I − γP')⁻¹c| ≤ enclose(b) for |c| ≤ b and P' ≤ (1 + κ)P, sampled; and it is not wasteful."""
    kernel, policy, rng = kernel_and_policy(S=20)
    made = LinearSystem(kernel, policy, 0.97)
    p = kernel.under(policy).toarray()
    kappa = 1e-4
    b = rng.uniform(0.1, 1.0, size=20)
    bound = enclose(made, b, kappa, transposed=transposed)
    worst = 0.0
    for _ in range(200):
        other = p * (1 + kappa * rng.uniform(-1, 1, size=p.shape))
        matrix = np.eye(20) - 0.97 * (other.T if transposed else other)
        x = np.abs(np.linalg.solve(matrix, b * rng.choice([-1.0, 1.0], size=20)))
        assert np.all(x <= bound)
        worst = max(worst, np.max(np.abs(np.linalg.solve(matrix, b)) / bound))
    assert worst > 0.9


def test_enclosure_is_infinite_when_vacuous():
    kernel, policy, _ = kernel_and_policy(S=20)
    assert np.all(np.isinf(enclose(LinearSystem(kernel, policy, 0.97), np.ones(20), 0.5)))
    assert np.all(np.isinf(enclose(LinearSystem(kernel, policy, 0.97), np.ones(20), np.inf)))
    assert np.all(enclose(LinearSystem(kernel, policy, 0.97), np.zeros(20), 0.1) == 0.0)
