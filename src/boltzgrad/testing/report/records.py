"""One verification as it was written by `AgreementReport.to_json`, read back with every key checked."""

from __future__ import annotations

import json
import math
import reprlib
from dataclasses import dataclass
from typing import Any, TypeVar

from boltzgrad.verify.report import FORMAT
from boltzgrad.verify.tolerances import Verdict

T = TypeVar("T", str, bool, list[Any], dict[str, Any])

CONFIRMED = "confirmed"
# What a verification says as a whole, the worst first.
STATES = (Verdict.MODEL, Verdict.DISAGREES, Verdict.NOT_SMOOTH, Verdict.CANNOT_TELL, Verdict.ZERO, CONFIRMED)


class NotAVerification(ValueError):
    """Why a text is no verification, in words."""


@dataclass(frozen=True)
class RouteRecord:
    """One row: a `verify.report.Row` as far as it was written.  None where there was no finite number."""

    route: str
    summary: str
    verdict: str
    independent: bool
    value: float | None
    norm: float | None
    difference: float | None
    at: str | None
    found: float | None
    expected: float | None
    allowed: float | None
    seconds: float
    note: str
    complaint: str | None

    @property
    def ran(self) -> bool:
        """Whether the route returned numbers."""
        return self.at is not None


@dataclass(frozen=True)
class Verification:
    """One verification.

    `name` is its file's stem; `options` what the zoo made it from; `scale` is ‖∇J‖_∞, `error_bound` None where it is vacuous.
    `model` is what the check of the model's own derivative said, and `model_ok` whether it was fine.
    """

    name: str
    problem: str
    version: str
    size: str
    solution: str
    options: str
    theta: tuple[float | None, ...]
    value: float | None
    norm: float | None
    scale: float
    error_bound: float | None
    error_estimate: float | None
    ok: bool
    model_ok: bool
    model: str
    summary: str
    rows: tuple[RouteRecord, ...]

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.ok:
            return CONFIRMED
        if not self.model_ok:
            return str(Verdict.MODEL)
        verdicts = {row.verdict for row in self.rows}
        kinds = (Verdict.DISAGREES, Verdict.NOT_SMOOTH, Verdict.ZERO)
        return next((str(v) for v in kinds if v in verdicts), str(Verdict.CANNOT_TELL))

    @property
    def against(self) -> tuple[RouteRecord, ...]:
        """Routes that disagree, or say that J is not smooth."""
        return tuple(r for r in self.rows if r.verdict in (Verdict.DISAGREES, Verdict.NOT_SMOOTH))

    @property
    def seconds(self) -> float:
        """What all routes took."""
        return sum(row.seconds for row in self.rows)

    def relative(self, row: RouteRecord) -> float | None:
        """A route's largest difference relative to ‖∇J‖_∞; infinite where it is no number, None where nothing ran."""
        if not row.ran:
            return None
        return math.inf if row.difference is None else row.difference / self.scale


def parse(name: str, text: bytes) -> Verification:
    """The verification in a file's bytes.  Raises: NotAVerification."""
    try:
        data = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotAVerification(f"not JSON ({reason})") from error
    if not isinstance(data, dict) or "format" not in data:
        raise NotAVerification('no verification: it has no "format"; write one with `boltzgrad verify NAME --json`')
    if data["format"] != FORMAT:
        raise NotAVerification(f"its format is {reprlib.repr(data['format'])}, expected {FORMAT!r}; verify again")
    gradient, model = _numbers(data, "gradient"), _take(data, "model", dict)
    record = Verification(
        name=name,
        problem=_take(data, "problem", str) or "problem",
        version=_take(data, "version", str),
        size=_take(data, "size", str),
        solution=_take(data, "solution", str),
        options=_options(data),
        theta=_numbers(data, "theta"),
        value=_number(data, "value"),
        norm=None if None in gradient else math.hypot(*(x for x in gradient if x is not None)),
        scale=max((abs(x) for x in gradient if x is not None), default=0.0) or 1.0,
        error_bound=_number(data, "error_bound"),
        error_estimate=_number(data, "error_estimate"),
        ok=_take(data, "ok", bool),
        model_ok=_take(model, "ok", bool),
        model=_take(model, "said", str),
        summary=_take(data, "summary", str),
        rows=tuple(_row(row) for row in _take(data, "rows", list)),
    )
    confirmed = any(r.verdict == Verdict.AGREES and r.independent for r in record.rows) and not record.against
    if record.ok != (confirmed and record.model_ok):
        said = f"its rows say {confirmed}" if record.model_ok else "its model's derivative is wrong"
        raise NotAVerification(f'"ok" is {record.ok}, and {said}; it was altered: verify again')
    return record


def _options(data: dict[str, Any]) -> str:
    """What the zoo made the problem from, in words; "" for defaults and for somebody's own problem."""
    options = _get(data, "options")
    if options is None:
        return ""
    if not isinstance(options, dict):
        raise NotAVerification(f'"options" is {reprlib.repr(options)}, expected an object or null')
    return ", ".join(f"{name} = {reprlib.repr(value)}" for name, value in options.items())


def _row(data: Any) -> RouteRecord:
    if not isinstance(data, dict):
        raise NotAVerification(f"a row is {reprlib.repr(data)}, expected an object")
    verdict, known = _take(data, "verdict", str), ("reference", *map(str, Verdict))
    if verdict not in known:
        raise NotAVerification(f'"verdict" is {verdict!r}, expected one of {", ".join(known)}')
    return RouteRecord(
        route=_take(data, "route", str),
        summary=_take(data, "summary", str),
        verdict=verdict,
        independent=_take(data, "independent", bool),
        value=_number(data, "value"),
        norm=_number(data, "gradient_norm"),
        difference=_number(data, "difference"),
        at=None if data.get("at") is None else _take(data, "at", str),
        found=_number(data, "found"),
        expected=_number(data, "expected"),
        allowed=_number(data, "allowed"),
        seconds=_number(data, "seconds") or 0.0,
        note=_take(data, "note", str),
        complaint=None if data.get("complaint") is None else _take(data, "complaint", str),
    )


def _get(data: dict[str, Any], key: str) -> Any:
    if key not in data:
        raise NotAVerification(f'"{key}" is missing; verify again')
    return data[key]


def _take(data: dict[str, Any], key: str, kind: type[T]) -> T:
    value = _get(data, key)
    if not isinstance(value, kind):
        raise NotAVerification(f'"{key}" is {reprlib.repr(value)}, expected a {kind.__name__}')
    return value


def _number(data: dict[str, Any], key: str) -> float | None:
    return _as_number(key, _get(data, key))


def _numbers(data: dict[str, Any], key: str) -> tuple[float | None, ...]:
    return tuple(_as_number(key, value) for value in _take(data, key, list))


def _as_number(key: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= _LARGEST:
        raise NotAVerification(f'"{key}" holds {reprlib.repr(value)}, expected a finite number or null')
    return float(value)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON; a number that is not finite is written as null")


_LARGEST = 1.7976931348623157e308
