r"""Differences of J itself: the complex step, and adaptive real differences, for any family that can evaluate J.

**Complex step.**  J is analytic where `build` is, so Im J(θ + ihu)/h is the slope along u with no subtraction;
h = 10⁻³⁰ leaves no truncation.  The iterations run in complex arithmetic until the imaginary part stands still.

**Real differences.**  Central differences over a falling sequence of steps, extrapolated (Ridders 1982), each
with an error estimate from the table and from the measured noise of J.  They need nothing of `build`
but its values, so they also notice one that does not depend smoothly on θ: the slopes from the left and from
the right then do not come together as the step shrinks.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.errors import BoltzgradError, NotDifferentiable, NotSmooth
from boltzgrad.gradients.route import Route, RouteResult, always
from boltzgrad.gradients.tabular.sweeps import COMPLEX_STEP
from boltzgrad.problems.kernel import Array
from boltzgrad.problems.tabular import TabularModel

REAL_DIRECTIONS = 6
_RATIO = 8.0  # of one real step to the next
# Multiplications to spend: they decide along how many directions a large problem is differenced.
_COMPLEX_WORK, _REAL_WORK = 6e10, 2e10
_SEED = 7
_SWEEP_LIMIT = 60_000


class Evaluator(ABC):
    """J(θ) by plain iterations, real or complex, each evaluation starting from the base point's answers.

    `change` is the largest relative change of the last iteration so far, `work` the multiplications of one
    cold evaluation, `horizon` how many iterations an unfinished one may still be worth.
    """

    change: float = 0.0
    work: float = 0.0
    horizon: float = 1.0

    @abstractmethod
    def __call__(self, theta: Array) -> complex:
        """J at θ.  Raises: whatever `build` raises there."""

    def along(self, theta: Array, u: Array) -> Callable[[float], float]:
        """T ↦ J(θ + tu)."""
        return lambda t: float(np.real(self(theta + t * u)))


def _at_rest(evaluate: Evaluator, theta: Array) -> tuple[float, float]:
    """(J, how far the first evaluation was from it): later ones start from the first one's answers, and so differ a little."""
    cold = float(np.real(evaluate(theta)))
    warm = float(np.real(evaluate(theta)))
    return warm, abs(warm - cold)


def random_directions(dim: int, count: int) -> Array:
    """Seeded unit vectors (count, dim): an error in any coordinate shows along each of them."""
    u = np.random.default_rng(_SEED).standard_normal((count, dim))
    return np.asarray(u / np.linalg.norm(u, axis=1, keepdims=True))


def complex_step(evaluate: Evaluator, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,), or slopes along a few random directions of a large problem.

    Raises: NotDifferentiable if `build` or the objective refuses a complex θ or loses its imaginary part.
    """
    (base, settled), dim = _at_rest(evaluate, theta), theta.size
    affordable = int(_COMPLEX_WORK / max(4.0 * evaluate.work, 1.0))
    directions, note = None, ""
    if affordable < dim:
        directions = random_directions(dim, max(1, min(affordable, 8)))
        note = _along(directions)
    gradient = np.array(
        [_imaginary_slope(evaluate, theta, u) for u in (np.eye(dim) if directions is None else directions)]
    )
    _refuse_unless_analytic(evaluate, theta, base, settled)
    # An imaginary part that still moves by `change` is that far off at most over the remaining iterations.
    left = evaluate.change * evaluate.horizon if evaluate.change > 1e-13 else 0.0
    return RouteResult(base, gradient, left * float(np.abs(gradient).max()), directions, note)


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


def _refuse_unless_analytic(evaluate: Evaluator, theta: Array, base: float, settled: float) -> None:
    """Hold one complex slope against a real difference of the same J: abs, conj or real are not analytic."""
    u = random_directions(theta.size, 1)[0]
    real, error = ridders(evaluate.along(theta, u), base, "a random direction", settled)
    imaginary = _imaginary_slope(evaluate, theta, u)
    if abs(imaginary - real) > 100.0 * error + 1e-3 * abs(real):
        raise NotDifferentiable(
            f"build or objective is not analytic in theta: along one direction J rises by {real:.6g} and its imaginary "
            f"part by {imaginary:.6g} (abs, real, conj, comparisons?); the complex step does not apply"
        )


def real_differences(evaluate: Evaluator, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> slopes along a few random directions (the gradient when d is small).

    Raises: NotSmooth where J is not smooth in θ.
    """
    (base, settled), dim = _at_rest(evaluate, theta), theta.size
    affordable = max(1, int(_REAL_WORK / max(25.0 * evaluate.work, 1.0)))
    directions, note = None, ""
    if dim > min(REAL_DIRECTIONS, affordable):
        directions = random_directions(dim, min(REAL_DIRECTIONS, affordable))
        note = _along(directions)
    found = [
        ridders(evaluate.along(theta, u), base, f"direction {k}", settled)
        for k, u in enumerate(np.eye(dim) if directions is None else directions)
    ]
    slopes, errors = np.array([f[0] for f in found]), max(f[1] for f in found)
    return RouteResult(base, slopes, errors, directions, note)


def ridders(f: Callable[[float], float], at_zero: float, where: str, settled: float = 0.0) -> tuple[float, float]:
    """(f'(0), error estimate) by extrapolated central differences over falling steps.

    `settled` is a known part of the noise of f, besides what is measured.

    Raises: NotSmooth if f jumps at 0, if its one-sided slopes do not come together, or if it is flat near
    0 and not further off.
    """
    steps = 0.1 * _RATIO ** -np.arange(9.0)
    ahead, behind = np.array([f(h) for h in steps]), np.array([f(-h) for h in steps])
    noise = max(_noise(f, at_zero), 4.0 * settled)
    if noise > 1e-7 * max(abs(at_zero), float(np.ptp(np.r_[ahead, behind, at_zero]))):
        raise NotSmooth(
            f"J is not smooth at this theta ({where}): it jumps by {noise:.3g} over a step of 1e-13; build has a "
            "discontinuity there, or computes in single precision"
        )
    gap = np.abs((ahead - at_zero) - (at_zero - behind)) / steps  # |right slope − left slope|
    seen = np.flatnonzero(gap * steps > 20.0 * noise)
    # A smooth f shrinks the gap with the step, a kink keeps it.
    if seen.size >= 4 and gap[seen[-1]] > 0.3 * gap[seen[-3]]:
        raise NotSmooth(
            f"J is not smooth at this theta ({where}): the slopes from right and left differ by {gap[seen[-3]]:.3g} at "
            f"step {steps[seen[-3]]:.1e} and still by {gap[seen[-1]]:.3g} at {steps[seen[-1]]:.1e}; {_why(gap[seen])}"
        )
    near = np.ptp(np.r_[ahead[2:], behind[2:], at_zero])
    for value, end in ((ahead[0], steps[0]), (behind[0], -steps[0])):
        away = abs(value - at_zero) > 1e3 * max(noise, near)
        if near <= 4.0 * noise and away and _jumps(f, at_zero, float(end)):
            raise NotSmooth(
                f"J is constant near this theta and jumps further off ({where}): build rounds or cuts theta"
            )
    table = (ahead - behind) / (2.0 * steps)
    best, error, row = float(table[0]), np.inf, [float(table[0])]
    for i in range(1, len(steps)):
        new, factor = [float(table[i])], _RATIO**2
        for j in range(i):
            new.append((factor * new[j] - row[j]) / (factor - 1.0))
            factor *= _RATIO**2
            off = max(abs(new[-1] - new[-2]), abs(new[-1] - row[j])) + 2.0 * noise / steps[i]
            if off < error:
                best, error = new[-1], off
        row = new
    return best, error


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
    """Why a chain that never ends is not swept at this discount, or ""."""
    discount = max(model.follower_discount, model.leader_discount)
    never_ends = min(model.kernel.row_sums.min(), model.follower_kernel.row_sums.min()) >= 1.0 - 1e-12
    needed = np.log(1e-16) / np.log(max(discount, 0.1))
    if never_ends and needed > _SWEEP_LIMIT:
        return f"about {needed:.0f} sweeps an evaluation (discount {discount})"
    return ""


def difference_routes(
    evaluator: Callable[[Any], Evaluator], through: str, skip: Callable[[Any, Array], str] = always
) -> tuple[Route, Route]:
    """The routes `complex-step` and `differences` of a family, from what evaluates its J."""
    return (
        Route("complex-step", f"Im J(θ + ihu)/h through {through}", lambda p, t: complex_step(evaluator(p), t), skip),
        Route(
            "differences",
            f"extrapolated real differences of J through {through}",
            lambda p, t: real_differences(evaluator(p), t),
            skip,
        ),
    )
