"""`verify`: the reference hypergradient held against every witness that applies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.core.route import Route
from boltzgrad.errors import BoltzgradError, InvalidOption, NotDifferentiable, NotSmooth, Unfinished
from boltzgrad.families.registry import family_of, hypergradient, select
from boltzgrad.verify.mutants.recognise import Mistakes, mistakes
from boltzgrad.verify.report import AgreementReport, Row
from boltzgrad.verify.tolerances import Judgement, Verdict, Yardstick, judge, relative, witness_allowance

Progress = Callable[[Literal["start", "end"], str], None]


def verify(
    problem: Any,
    theta: Any,
    *,
    routes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AgreementReport:
    """Compute the reference hypergradient and hold it against every applicable witness.

    First the model is held against itself (`report.model`): every route differentiates the problem's own build, so one whose
    derivative is not its slope would mislead all of them together.
    `routes` names the witnesses to run (all by default).  `progress("start" | "end", route)` is called around each.
    A witness that does not apply, or whose solver fails, has a row that says so; nothing is skipped silently.

    Raises: InvalidTheta, InvalidModel, InvalidOption, NotConverged, NotDifferentiable (of the reference itself), UnknownName.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("synthetic-hard")
    >>> report = bg.verify(problem, problem.initial_theta(seed=1), routes=["covariance", "implicit"])
    >>> report.ok, [str(row.verdict) for row in report.rows]
    (True, ['reference', 'agrees', 'agrees'])
    """
    if routes is not None and not isinstance(routes, (list, tuple)):
        raise InvalidOption(f"routes is {routes!r}; expected a list of names")
    family_of(problem, theta)
    chosen = select(problem, None if routes is None else list(routes))
    tell = progress or (lambda event, name: None)
    tell("start", "adjoint")
    began = time.perf_counter()
    reference = hypergradient(problem, theta)
    seconds = time.perf_counter() - began
    tell("end", "adjoint")
    rows = [reference_row(reference, seconds)]
    known = Known(reference)
    for route in chosen:
        tell("start", route.name)
        rows.append(witness_row(route, reference, known))
        tell("end", route.name)
    return AgreementReport(problem, reference, tuple(rows))


class Known:
    """The known mistakes on a reference's problem, made once and only if a verdict comes to depend on them."""

    def __init__(self, reference: Hypergradient) -> None:
        self._reference = reference

    def __call__(self) -> Mistakes:
        """All of them."""
        return self._made

    @cached_property
    def _made(self) -> Mistakes:
        return mistakes(self._reference)


def reference_row(reference: Hypergradient, seconds: float = 0.0, *, proved: bool = True) -> Row:
    """The row of the reference itself; proving the error of every entry takes a push-forward for each."""
    return Row(
        route="adjoint",
        summary="the reference: Newton and one adjoint solve",
        verdict="reference",
        value=reference.value,
        gradient=reference.gradient,
        allowed=reference.error_bound if proved else float("nan"),
        seconds=seconds,
    )


def witness_row(route: Route, reference: Hypergradient, known: Known | None = None) -> Row:
    """Run a witness on the reference's problem, and judge it; one that fails or does not apply has a row that says so.

    No witness is run on a model whose derivative is wrong: it would share the mistake.
    """
    problem, theta = reference.problem, reference.theta.copy()
    began = time.perf_counter()

    def without(verdict: Verdict, note: str) -> Row:
        return Row(
            route=route.name, summary=route.summary, verdict=verdict, note=note, seconds=time.perf_counter() - began
        )

    if not reference.model_check.ok:
        return without(Verdict.SKIPPED, "the model's derivative is wrong, and every route differentiates the model")
    try:
        reason = route.skip(problem, theta)
        if reason:
            return without(Verdict.SKIPPED, reason)
        result = route.run(problem, theta)
    except Unfinished as error:
        return without(Verdict.UNFINISHED, str(error))
    except NotSmooth as error:
        return without(Verdict.NOT_SMOOTH, str(error))
    except NotDifferentiable as error:
        return without(Verdict.SKIPPED, str(error))
    except Exception as error:  # a witness that breaks is a row of the report, whatever it broke with
        named = str(error) if isinstance(error, BoltzgradError) else f"{type(error).__name__}: {error}"
        return without(Verdict.FAILED, named)
    seconds = time.perf_counter() - began
    yardstick = Yardstick.of(reference).along(result.directions)
    judgement = judge(
        yardstick,
        np.array(result.gradient),
        witness_allowance(yardstick, result.error_estimate),
        mistakes=known or Known(reference),
        directions=result.directions,
        values=(result.value, result.value_error),
    )
    return Row(
        route=route.name,
        summary=route.summary,
        verdict=judgement.verdict,
        value=result.value,
        gradient=result.gradient,
        directions=result.directions,
        difference=judgement.difference,
        where=judgement.where,
        allowed=judgement.allowed,
        allowances=judgement.allowances,
        relative=relative(yardstick, result.gradient),
        seconds=seconds,
        note=_noted(result.note, judgement),
        independent=route.independent,
    )


def _noted(note: str, judgement: Judgement) -> str:
    """What a route says of itself, and what is to be known of a verdict that is neither yes nor no."""
    said = [note] if note else []
    if judgement.verdict == Verdict.CANNOT_TELL:
        place = f"entry {judgement.where}" if not judgement.near else ""
        could = ", ".join(f"‘{m.name}’" for m in judgement.near[:2])
        said.append(
            f"so wide an allowance would let {could} pass" if could else judgement.missing or
            f"at {place} the allowance would let half of it pass"
        )  # fmt: skip
    elif judgement.values_differ:
        said.append("the values J differ")
    return "; ".join(said)
