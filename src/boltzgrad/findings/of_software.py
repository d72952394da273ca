"""What general tools do with a right gradient, or to one."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from unittest import mock

import autograd
import autograd.tracer
import numpy as np

from boltzgrad.families.registry import hypergradient
from boltzgrad.findings.finding import Finding, Numbers
from boltzgrad.zoo import load


def slope_of_a_slope(meanwhile: Any = lambda: None) -> float:
    """d/dx of x · d/dv sin(v x) at v = x/2, and x = .7; something else happens where the outer trace is open."""

    def outer(x: Any) -> Any:
        meanwhile()
        return x * autograd.grad(lambda v: autograd.numpy.sin(v * x))(0.5 * x)

    return float(autograd.grad(outer)(0.7))


def beside_another() -> float:
    """The same, where another thread's trace is open when this one begins, and is closed before the inner one."""
    theirs, ours = Event(), Event()

    def another(x: Any) -> Any:
        theirs.set()
        ours.wait(10.0)
        return x**2

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(autograd.grad(another), 0.7)
        theirs.wait(10.0)

        def meanwhile() -> None:
            ours.set()
            running.result()

        return slope_of_a_slope(meanwhile)


def _threads() -> Numbers:
    alone = slope_of_a_slope()
    with (
        mock.patch.object(autograd.tracer, "trace_stack", autograd.tracer.TraceStack()),
        warnings.catch_warnings(action="ignore"),
    ):
        return {"alone": alone, "beside": beside_another()}


DIRECTIONS = 20
STEP = TOLERANCE = 1e-6
"""Those of `autograd.test_util.check_grads`: a central difference along a random direction, and allclose."""


def _alarms(discount: float) -> int:
    """How many of the directions are a false alarm."""
    problem = load("garnet", follower_discount=discount, leader_discount=discount)
    theta, rng = problem.initial_theta(seed=0), np.random.default_rng(0)
    exact, alarms = hypergradient(problem, theta).gradient, 0
    for _ in range(DIRECTIONS):
        v = rng.standard_normal(theta.size)
        v /= np.linalg.norm(v)
        up, down = (hypergradient(problem, theta + s * STEP * v).value for s in (0.5, -0.5))
        alarms += not np.isclose((up - down) / STEP, v @ exact, rtol=TOLERANCE, atol=TOLERANCE)
    return alarms


def _checkers() -> Numbers:
    return {"checks": DIRECTIONS, "near": _alarms(0.99), "farther": _alarms(0.999), "far": _alarms(0.9999)}


FINDINGS = (
    Finding(
        name="autograd-in-threads",
        about="autograd, traces in threads",
        cuts="against a package",
        says="Autograd counts the depth of traces for all threads together. A derivative within a derivative beside "
        "another thread's comes out as {beside:.3f} where it is {alone:.3f}, without an error. `import boltzgrad` has"
        " traces numbered upwards.",
        size="{beside:.2f} for {alone:.2f}",
        again="boltzgrad findings autograd-in-threads",
        measure=_threads,
    ),
    Finding(
        name="step-size-checkers",
        about="central differences with a fixed step and tolerance (1e-6, as in check_grads)",
        cuts="against a package",
        says="Of {checks:.0f} checks of the right gradient of a garnet {near:.0f} fail at γ = .99, {farther:.0f} at .999 "
        "and {far:.0f} at .9999: the difference loses more to rounding than the tolerance has.",
        size="{far:.0f} of {checks:.0f} at γ = .9999",
        again="boltzgrad findings step-size-checkers",
        measure=_checkers,
        near=0.5,  # what differences lose is rounding, which another machine rounds otherwise
    ),
)
