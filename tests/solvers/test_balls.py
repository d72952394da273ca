"""Ball arithmetic encloses every member: sampled on the boundary, where a dropped term would show."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.families.lqr.error_bound import ball_of_P
from boltzgrad.problems import LQArrays
from boltzgrad.solvers.balls import Ball, inverse, lyapunov, norm, trace
from boltzgrad.solvers.lqr import solve_lqr


def member(ball, rng, symmetric=False):
    """A random element on the boundary of a ball."""
    x = rng.standard_normal(ball.mid.shape)
    x = (x + x.T) / 2 if symmetric else x
    return ball.mid + ball.radius * x / norm(x)


@pytest.fixture
def balls(rng):
    x, y = rng.standard_normal((2, 4, 4))
    return Ball(x + 4 * np.eye(4), 1e-3), Ball(y, 2e-3)


OPERATIONS = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - y,
    "product": lambda x, y: x @ y,
    "product with a number": lambda x, y: 3.0 * x,
    "transpose": lambda x, y: x.T @ y,
    "inverse": lambda x, y: inverse(x),
    "trace": lambda x, y: trace(x @ y),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_member_is_enclosed(balls, rng, name):
    operation = OPERATIONS[name]
    enclosing, largest = operation(*balls), 0.0
    for _ in range(300):
        off = norm(np.asarray(operation(*(member(b, rng) for b in balls)) - enclosing.mid))
        assert off <= enclosing.radius
        largest = max(largest, off)
    assert largest > 0.02 * enclosing.radius  # and not by being huge


def test_lyapunov_solutions_are_enclosed(rng):
    f = rng.standard_normal((3, 3))
    c = rng.standard_normal((3, 3))
    F, C = Ball(0.8 * f / np.linalg.norm(f, 2), 1e-3), Ball(c + c.T, 1e-3)
    for discount in (0.9, 1.0):
        enclosing = lyapunov(F, C, discount)
        for _ in range(300):
            exact = lyapunov(member(F, rng), member(C, rng, symmetric=True), discount)
            assert norm(exact - enclosing.mid) <= enclosing.radius
    assert not np.isfinite(lyapunov(Ball(1.2 * np.eye(2)), Ball(np.eye(2)), 1.0).radius)


def test_a_riccati_solution_is_enclosed(rng):
    problem = bg.problems.load("random-lqr")
    model, eps = problem.model(problem.initial_theta(seed=1)), 1e-6
    solution = solve_lqr(model)
    arrays = LQArrays(*(Ball(x, eps * norm(np.asarray(x))) for x in model.arrays().parts()))
    enclosing = ball_of_P(model, arrays, solution.P)
    names = [name for name, _ in model.arrays().named()]
    largest = 0.0
    for _ in range(100):
        moved = {n: np.asarray(getattr(model, n)) for n in names}
        for n in ("A", "B", "Q", "R"):
            moved[n] = member(getattr(arrays, n), rng, symmetric=n in "QR")
        off = norm(solve_lqr(model.with_arrays(LQArrays(**moved))).P - enclosing.mid)
        assert off <= enclosing.radius
        largest = max(largest, off)
    assert largest > 0.01 * enclosing.radius
