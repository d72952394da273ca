"""`check_hypergradient`: a gradient computed elsewhere held against the reference hypergradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.errors import GradientMismatch, InvalidOption, NotDeterministic
from boltzgrad.gradients import Hypergradient, hypergradient
from boltzgrad.gradients.families import family_of
from boltzgrad.problems.kernel import Array
from boltzgrad.testing import wording
from boltzgrad.testing.candidate import Candidate, read_candidate, read_theta, relative_tolerance
from boltzgrad.testing.explanations import explanations
from boltzgrad.testing.second_opinions import second_opinions
from boltzgrad.verify import AgreementReport, Verdict
from boltzgrad.verify.mutants.recognise import Mistake, Mistakes, mistakes
from boltzgrad.verify.tolerances import candidate_allowance, clearly_right, natural_scale, scale_of, size_of


@dataclass(frozen=True, eq=False)
class HypergradientCheck:
    """A gradient of somebody else's beside the reference.

    `gradient` (d,) as it was computed, in `precision` ("float64" or "float32"); `difference` the largest from the reference,
    at coordinate `where`; `allowed` the most that is explained by rounding and by `tolerance`, relative to `scale`.
    `verdict` is "agrees", "disagrees", or "cannot tell" where the allowance is so wide that this could be a known
    mistake.  Worked out when first asked for: `mistakes`, the known mistakes on this problem, and `report`, what the
    other routes to the same gradient say.
    """

    reference: Hypergradient
    gradient: Array = field(repr=False)
    precision: str
    tolerance: float | None
    scale: float
    allowed: float
    thorough: bool = False

    @property
    def problem(self) -> Any:
        """The problem the gradient is of."""
        return self.reference.problem

    @property
    def off(self) -> Array:
        """|yours − reference| (d,)."""
        return np.asarray(np.abs(self.gradient - self.reference.gradient))

    @property
    def unit(self) -> str:
        """What relative numbers are relative to, in words."""
        return "‖∇J‖_∞" if self.scale == np.abs(self.reference.gradient).max() else "the scale of its terms"

    @property
    def where(self) -> int:
        """The coordinate of the largest difference."""
        return int(np.argmax(self.off))

    @property
    def difference(self) -> float:
        """The largest difference in any coordinate."""
        return float(self.off[self.where])

    @cached_property
    def verdict(self) -> Verdict:
        """What is to be said of the gradient."""
        if not self.difference <= self.allowed:
            return Verdict.DISAGREES
        if clearly_right(self.difference, self.allowed, size_of(self.reference)):
            return Verdict.AGREES
        return Verdict.CANNOT_TELL if self.mistakes.missing or self.not_excluded else Verdict.AGREES

    @property
    def not_excluded(self) -> tuple[Mistake, ...]:
        """The known mistakes that the allowance would let pass and that this gradient is not clearly further from."""
        return self.mistakes.not_excluded(self.gradient, self.difference, self.allowed)

    @property
    def ok(self) -> bool:
        """Whether the gradient agrees with the reference."""
        return self.verdict == Verdict.AGREES

    @cached_property
    def mistakes(self) -> Mistakes:
        """The known mistakes that show on this problem at this θ."""
        return mistakes(self.reference)

    @cached_property
    def report(self) -> AgreementReport:
        """The reference and the other routes; all of them if `thorough`, else those that take about a second."""
        return second_opinions(self.reference, thorough=self.thorough)

    @property
    def looks_like(self) -> tuple[str, ...]:
        """In words, the known mistakes that explain the difference; empty where it agrees or none does."""
        return () if self.ok else explanations(self)

    def raise_if_wrong(self) -> None:
        """Raise GradientMismatch unless `ok`: which coordinate, how far, what was allowed, who says what, and why."""
        __tracebackhide__ = True
        if not self.ok:
            raise GradientMismatch(str(self))

    def __str__(self) -> str:
        return wording.text(self)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain numbers and text, for machines."""
        return wording.record(self)


def check_hypergradient(
    candidate: Any,
    problem: Any,
    theta: Any,
    *,
    tolerance: float | None = None,
    thorough: bool = False,
    reference: Hypergradient | None = None,
    feed: Callable[[Array], Any] | None = None,
) -> HypergradientCheck:
    """Hold a gradient against the reference hypergradient of `problem` at `theta`.

    `candidate` is a gradient (d,), or a function θ -> gradient; NumPy, JAX and PyTorch arrays will do, in float64 or float32.
    A function gets a copy of θ (made into what it takes by `feed`) and is called twice.
    `tolerance` is the error that the candidate's own method leaves (a solver stopped early, a step size), relative to the
    largest entry of ∇J (where that is a cancellation, to a thousandth of the terms it is a sum of; absolute where everything
    is zero); without it half of float64's digits are allowed.  The rounding that this problem at this θ
    amplifies is measured and comes on top.  `thorough` first has every witness confirm the reference.
    `reference` is an earlier result of `bg.hypergradient` for the same problem and θ.

    Raises: InvalidCandidate, NotDeterministic, InvalidTheta, InvalidOption, what the function raises, what
    `bg.hypergradient` raises; GradientMismatch if `thorough` and no witness confirms the reference.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> theta = problem.initial_theta(seed=1)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> check = bg.testing.check_hypergradient(-exact, problem, theta)
    >>> check.ok, check.looks_like
    (False, ('‘−∇J: the gradient of a loss, or a step of descent’ (it matches yours to the last digit)',))
    """
    family_of(problem)
    start = read_theta(problem, theta)
    tolerance = None if tolerance is None else relative_tolerance(tolerance)
    if reference is None:
        reference = hypergradient(problem, start)
    elif not isinstance(reference, Hypergradient):
        raise InvalidOption(f"reference is a {type(reference).__name__}; expected a result of bg.hypergradient")
    elif reference.problem is not problem or not np.array_equal(reference.theta, start):
        raise InvalidOption("reference is a hypergradient of another problem or theta than those of this check")
    found = read_candidate(candidate, start, feed=feed)
    scale = scale_of(reference.gradient, natural_scale(reference))
    allowed = candidate_allowance(reference, found.precision, tolerance)
    _refuse_random(found, allowed, scale)
    check = HypergradientCheck(
        reference=reference,
        gradient=found.gradient,
        precision=str(found.precision),
        tolerance=tolerance,
        scale=scale,
        allowed=allowed,
        thorough=thorough,
    )
    if thorough:
        check.report.raise_if_disagree()
    return check


def _refuse_random(found: Candidate, allowed: float, scale: float) -> None:
    if found.again is None:
        return
    off = np.abs(found.again - found.gradient)
    j = int(np.argmax(off))
    if off[j] > allowed:
        raise NotDeterministic(
            f"your function returned two gradients for one theta: coordinate {j} was {found.gradient[j]:.6g} and, called "
            f"again, {found.again[j]:.6g} (relatively {off[j] / scale:.1g}). If it draws samples, hold their "
            "mean against the exact gradient: bg.testing.assert_unbiased(estimator, problem, theta). If it keeps state "
            "between calls (a warm start), give it a fixed tolerance or a fresh start"
        )
