r"""Differences of J itself: the complex step, and adaptive real differences, for any family that can evaluate J.

**Complex step.**  J is analytic where `build` is, so Im J(θ + ihu)/h is the slope along u with no subtraction;
h = 10⁻³⁰ leaves no truncation.  The iterations run in complex arithmetic until the imaginary part stands still.

**Real differences.**  Central differences over a falling sequence of steps, extrapolated (Ridders 1982), each
with an error estimate from the table and from the noise of J.  They need nothing of `build`
but its values, so they also notice one that does not depend smoothly on θ: the slopes from the left and from
the right then do not come together as the step shrinks.

Steps are natural ones (`ArrayMap.units`): a direction moves the model's arrays by about their own size, whatever the unit of θ
is.  Noise is no kink: J is a float64 sum, and what it can round off is worked out from its own terms (`Evaluator.rounding`).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.core.sweep import COMPLEX_STEP, DENSE_STATES, needed_sweeps
from boltzgrad.errors import BoltzgradError, NotConverged, NotDifferentiable, NotSmooth, Unfinished
from boltzgrad.families.tabular.model import TabularModel

REAL_DIRECTIONS = 6
_RATIO = 8.0  # of one real step to the next
# Multiplications to spend: they decide along how many directions a large problem is differenced.
_COMPLEX_WORK, _REAL_WORK = 6e10, 2e10
_SEED = 7
_SWEEP_WORK = 1e10


class Evaluator(ABC):
    """J(θ) by plain iterations, real or complex, each evaluation starting from the base point's answers.

    `change` is the largest relative change of the last iteration so far, `work` the multiplications of one
    cold evaluation, `horizon` how many iterations an unfinished one may still be worth, `rounding` [J] what J may round off.
    """

    change: float = 0.0
    work: float = 0.0
    horizon: float = 1.0
    rounding: float = 0.0

    @abstractmethod
    def __call__(self, theta: Array) -> complex:
        """J at θ.  Raises: whatever `build` raises there."""

    @abstractmethod
    def units(self, theta: Array) -> Array:
        """The natural step of each coordinate (d,) [θ_j]."""

    def along(self, theta: Array, u: Array) -> Callable[[float], float]:
        """t ↦ J(θ + tu)."""
        return lambda t: float(np.real(self(theta + t * u)))


def _at_rest(evaluate: Evaluator, theta: Array) -> tuple[float, float]:
    """(J, how far the first evaluation was from it): later ones start from the first one's answers, and so differ a little."""
    cold = float(np.real(evaluate(theta)))
    warm = float(np.real(evaluate(theta)))
    return warm, abs(warm - cold)


def random_directions(units: Array, count: int) -> Array:
    """Seeded directions (count, d) [θ], unit vectors in natural steps: an error in any coordinate shows along each of them."""
    u = np.random.default_rng(_SEED).standard_normal((count, units.size))
    return np.asarray(u / np.linalg.norm(u, axis=1, keepdims=True) * units)


def jitter_of(theta: Array, units: Array) -> float:
    """What the rounding of θ_j does, in natural steps: a θ of 10⁹ is known to 10⁻⁷."""
    return float(np.finfo(float).eps) * float(np.max(np.abs(theta) / units))


def complex_step(evaluate: Evaluator, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,), or slopes along a few random directions of a large problem.

    Raises: NotDifferentiable if `build` or the objective refuses a complex θ or loses its imaginary part; Unfinished.
    """
    (base, settled), dim, units = _at_rest(evaluate, theta), theta.size, evaluate.units(theta)
    affordable = int(_COMPLEX_WORK / max(4.0 * evaluate.work, 1.0))
    directions, note = None, ""
    if affordable < dim:
        directions = random_directions(units, max(1, min(affordable, 8)))
        note = _along(directions)
    if directions is None:
        slopes = np.array([_imaginary_slope(evaluate, theta, u) for u in np.diag(units)])
        gradient = slopes / units
    else:
        gradient = np.array([_imaginary_slope(evaluate, theta, u) for u in directions])
    _refuse_unless_analytic(evaluate, theta, units, base, settled)
    # An imaginary part that still moves by `change` is that far off at most over the remaining iterations.
    left = evaluate.change * evaluate.horizon
    natural = float(np.abs(gradient if directions is not None else slopes).max())
    error = left * natural / (units if directions is None else np.ones(len(gradient)))
    return RouteResult(base, gradient, error, directions, note, value_error=settled + evaluate.rounding)


def _along(directions: Array) -> str:
    return f"along {len(directions)} random direction{'s'[: len(directions) > 1]}"


def _imaginary_slope(evaluate: Evaluator, theta: Array, u: Array) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            j = evaluate(theta + 1j * COMPLEX_STEP * u)
    except BoltzgradError:
        raise
    except Exception as error:
        raise NotDifferentiable(
            f"build or objective does not take a complex theta ({type(error).__name__}: {error}); the complex step "
            "does not apply, real differences do"
        ) from error
    return float(np.imag(j)) / COMPLEX_STEP


def _refuse_unless_analytic(evaluate: Evaluator, theta: Array, units: Array, base: float, settled: float) -> None:
    """Hold one complex slope against a real difference of the same J: abs, conj or real are not analytic."""
    u = random_directions(units, 1)[0]
    try:
        real, error = ridders(
            evaluate.along(theta, u), base, "a random direction", settled, evaluate.rounding, jitter_of(theta, units)
        )
    except NotConverged:
        return  # the noise of J is all that a real difference sees: nothing to hold it against
    imaginary = _imaginary_slope(evaluate, theta, u)
    if abs(imaginary - real) > 100.0 * error + 1e-3 * abs(real):
        raise NotDifferentiable(
            f"build or objective is not analytic in theta: along one direction J rises by {real:.6g} and its imaginary "
            f"part by {imaginary:.6g} (abs, real, conj, comparisons?); the complex step does not apply"
        )


def real_differences(evaluate: Evaluator, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> slopes along a few random directions (the gradient when d is small).

    Raises: NotSmooth where J is not smooth in θ; Unfinished.
    """
    (base, settled), dim, units = _at_rest(evaluate, theta), theta.size, evaluate.units(theta)
    affordable = max(1, int(_REAL_WORK / max(25.0 * evaluate.work, 1.0)))
    directions, note = None, ""
    if dim > min(REAL_DIRECTIONS, affordable):
        directions = random_directions(units, min(REAL_DIRECTIONS, affordable))
        note = _along(directions)
    found = [
        ridders(evaluate.along(theta, u), base, f"direction {k}", settled, evaluate.rounding, jitter_of(theta, units))
        for k, u in enumerate(np.diag(units) if directions is None else directions)
    ]
    per = units if directions is None else np.ones(len(directions))
    slopes, errors = np.array([f[0] for f in found]) / per, np.array([f[1] for f in found]) / per
    return RouteResult(base, slopes, errors, directions, note, value_error=settled + evaluate.rounding)


def ridders(
    f: Callable[[float], float],
    at_zero: float,
    where: str,
    settled: float = 0.0,
    rounding: float = 0.0,
    jitter: float = 0.0,
) -> tuple[float, float]:
    """(f'(0), error estimate) by extrapolated central differences over falling steps.

    `settled` is a known part of the noise of f, besides what is measured; `rounding` is what f may round off at most, below
    which nothing is called a kink; `jitter` what the rounding of θ + tu itself does to t.

    Raises: NotSmooth if f jumps at 0, if its one-sided slopes do not come together, or if it is flat near
    0 and not further off; NotConverged if f is defined at too few steps.
    """
    steps, ahead, behind = _sampled(f)
    rounding += jitter * float(np.abs(ahead[0] - behind[0])) / float(2.0 * steps[0])
    measured = max(_noise(f, at_zero), 4.0 * settled)
    noise = max(measured, rounding)
    if measured > 1e-7 * max(abs(at_zero), float(np.ptp(np.r_[ahead, behind, at_zero]))) and measured > 30.0 * rounding:
        raise NotSmooth(
            f"J is not smooth at this theta ({where}): it jumps by {measured:.3g} over a step of 1e-13; build has a "
            "discontinuity there, or computes in single precision"
        )
    gap = np.abs((ahead - at_zero) - (at_zero - behind)) / steps  # |right slope − left slope|
    # Where f is exactly zero, all that it is made of may be, too: its values at the steps round all the same.
    rounds = 4.0 * float(np.finfo(float).eps) * np.maximum(np.abs(ahead), np.abs(behind))
    seen = np.flatnonzero(gap * steps > 20.0 * np.maximum(noise, rounds))
    # A smooth f shrinks the gap with the step, a kink keeps it.
    if seen.size >= 4 and gap[seen[-1]] > 0.3 * gap[seen[-3]]:
        raise NotSmooth(
            f"J is not smooth at this theta ({where}): the slopes from right and left differ by {gap[seen[-3]]:.3g} at "
            f"step {steps[seen[-3]]:.1e} and still by {gap[seen[-1]]:.3g} at {steps[seen[-1]]:.1e}; {_why(gap[seen])}"
        )
    near = np.ptp(np.r_[ahead[2:], behind[2:], at_zero])
    for value, end in ((ahead[0], steps[0]), (behind[0], -steps[0])):
        away = abs(value - at_zero) > max(1e3 * max(measured, near), 1e4 * rounding)
        if near <= 4.0 * measured and away and _jumps(f, at_zero, float(end)):
            raise NotSmooth(
                f"J is constant near this theta and jumps further off ({where}): build rounds or cuts theta"
            )
    table = (ahead - behind) / (2.0 * steps)
    felt = max(measured, rounding / 16.0)  # the largest rounding does not happen at every step
    best, error, row = float(table[0]), np.inf, [float(table[0])]
    for i in range(1, len(steps)):
        new, factor = [float(table[i])], _RATIO**2
        for j in range(i):
            new.append((factor * new[j] - row[j]) / (factor - 1.0))
            factor *= _RATIO**2
            off = max(abs(new[-1] - new[-2]), abs(new[-1] - row[j])) + 2.0 * felt / steps[i]
            if off < error:
                best, error = new[-1], off
        row = new
    return best, error


def _sampled(f: Callable[[float], float]) -> tuple[Array, Array, Array]:
    """(steps, f ahead, f behind), from the largest step on at which f is defined on both sides."""
    steps: list[float] = []
    ahead: list[float] = []
    behind: list[float] = []
    refused = ""
    for h in 0.1 * _RATIO ** -np.arange(9.0):
        try:
            both = f(h), f(-h)
        except Unfinished:
            raise
        except Exception as error:  # no model there (a probability below zero), or beyond the build's own limits
            refused, steps, ahead, behind = str(error), [], [], []
            continue
        steps.append(h)
        ahead.append(both[0])
        behind.append(both[1])
    if len(steps) < 5:
        raise NotConverged(f"build refuses values of theta nearby: {refused}")
    return np.array(steps), np.array(ahead), np.array(behind)


def _why(gap: Array) -> str:
    """What keeps the one-sided slopes apart: a kink by the same amount at every step, rounding by more the smaller it is."""
    return "build rounds on the way, as single precision does" if gap[-1] > 5.0 * gap[-3] else "build has a kink there"


def _jumps(f: Callable[[float], float], at_zero: float, far: float) -> bool:
    """Whether f leaves its plateau around 0 by a jump, found by bisection, and not gradually."""
    change = abs(f(far) - at_zero)
    low, high = 0.0, far
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if abs(f(middle) - at_zero) > 0.02 * change else (middle, high)
    return abs(f(high) - f(low)) > 0.01 * change


def _noise(f: Callable[[float], float], at_zero: float) -> float:
    """The noise of f: what a straight line leaves over steps so small that f has nothing else to show."""
    steps = 1e-13 * np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    values = np.array([f(h) for h in steps])
    left = values - np.polyval(np.polyfit(steps * 1e13, values, 1), steps * 1e13)
    return 4.0 * max(float(np.abs(left).max()), float(np.finfo(float).eps) * abs(at_zero))


def too_many_sweeps(model: TabularModel) -> str:
    """Why a model is not swept at its discounts, or "": where dense solves cannot take over and the work would not end."""
    if model.n_states <= DENSE_STATES:
        return ""
    discount = max(model.follower_discount, model.leader_discount)
    needed = needed_sweeps(discount)
    if needed * np.size(model.kernel.values) > _SWEEP_WORK:
        return f"about {needed:.0f} sweeps over {np.size(model.kernel.values):.1e} entries an evaluation (discount {discount})"
    return ""


def difference_routes(
    evaluator: Callable[[Any], Evaluator],
    through: str,
    skip: Callable[[Any, Array], str] = always,
    work: Callable[[Any], float] = lambda reference: 0.0,
) -> tuple[Route, Route]:
    """The routes `complex-step` and `differences` of a family, from what evaluates its J and the `work` of one evaluation."""
    return (
        Route(
            "complex-step",
            f"Im J(θ + ihu)/h through {through}",
            lambda p, t: complex_step(evaluator(p), t),
            skip,
            work=lambda reference: (
                4.0 * work(reference) * min(reference.theta.size, _COMPLEX_WORK / (4.0 * work(reference) + 1.0))
            ),
        ),
        Route(
            "differences",
            f"extrapolated real differences of J through {through}",
            lambda p, t: real_differences(evaluator(p), t),
            skip,
            work=lambda reference: 25.0 * work(reference) * min(reference.theta.size, REAL_DIRECTIONS),
        ),
    )
