"""The heat map: a row a verification, a column a route, the largest difference relative to ‖∇J‖_∞ as colour and text."""

from __future__ import annotations

from boltzgrad.testing.report.collection import Collection
from boltzgrad.testing.report.records import STATES, RouteRecord, Verification
from boltzgrad.testing.report.wording import MARKS, difference, number, shown_as, state, text
from boltzgrad.verify.style import exponent, heat
from boltzgrad.verify.tolerances import Verdict


def heat_map(collection: Collection) -> str:
    """The table and its legend.  Every cell carries what it is sorted by, so that a script only has to compare."""
    routes = collection.routes
    head = (
        _head("problem", "words")
        # The rows come in this order, so it is true without any script.
        + _head("verdict", "number", order=" aria-sort='ascending'")
        + "".join(_head(route, "number", "route") for route in routes)
        + _head("d", "number")
        + _head("J", "number")
        + _head("seconds", "number")
    )
    rows = "".join(_row(v, k, routes) for k, v in enumerate(collection.verifications))
    return (
        "<div class='scroll' tabindex='0' role='region' aria-label='heat map'><table id='map'>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{_legend()}"
    )


def _head(label: str, kind: str, extra: str = "", order: str = "") -> str:
    inner = f"<span class='label'>{text(label)}</span>"
    if extra:
        inner = f"<div class='{extra}'>{inner}</div>"
    return f"<th scope='col' data-kind='{kind}'{order}>{inner}</th>"


def _row(verification: Verification, k: int, routes: tuple[str, ...]) -> str:
    v, by_name = verification, {row.route: row for row in verification.rows}
    value = "" if v.value is None else f" data-sort='{v.value!r}'"
    return (
        f"<tr><th scope='row' data-sort='{text(f'{v.problem} {v.name}')}'><a href='#v{k}'>{text(v.problem)}</a>"
        f"{'' if v.name == v.problem else f'<small>{text(v.name)}</small>'}</th>"
        f"<td class='verdict {shown_as(v.state)}' data-sort='{STATES.index(v.state)}'>{state(v)}</td>"
        + "".join(_cell(v, by_name[route]) if route in by_name else "<td></td>" for route in routes)
        + f"<td class='number' data-sort='{len(v.theta)}'>{len(v.theta)}</td>"
        f"<td class='number'{value}>{number(v.value, '.6g')}</td>"
        f"<td class='number' data-sort='{v.seconds!r}'>{v.seconds:.2f}</td></tr>"
    )


def _cell(verification: Verification, row: RouteRecord) -> str:
    mark, relative = MARKS[Verdict(row.verdict)], verification.relative(row)
    note = f"; {row.note}" if row.note else ""
    if relative is None:
        said = text(f"{row.route}: {row.verdict}{note}")
        return f"<td class='{shown_as(row.verdict)}' title='{said}'>{mark}</td>"
    allowed = number(row.allowed, ".1e", "∞")
    said = f"{row.route}: {row.verdict}; worst |Δ| {difference(row)}, allowed {allowed}{note}"
    return (
        f"<td class='heat {shown_as(row.verdict)}' style='--heat:{heat(relative):.2f}' data-sort='{_key(relative)}' "
        f"title='{text(said)}'>{f'{mark} ' if mark else ''}{exponent(relative)}</td>"
    )


def _key(relative: float) -> str:
    return "Infinity" if relative == float("inf") else repr(relative)


def _legend() -> str:
    scale = "".join(
        f"<li><span class='key heat' style='--heat:{heat(10.0**power):.2f}'>{power}</span></li>"
        for power in (-16, -12, -8, -5, -2)
    )
    marks = (
        ("=", "no difference at all"),
        (MARKS[Verdict.DISAGREES], "disagrees"),
        (MARKS[Verdict.CANNOT_TELL], "cannot tell: the allowance is too wide to mean anything"),
        (MARKS[Verdict.ZERO], "∇J is zero as far as rounding tells: nothing to confirm"),
        (MARKS[Verdict.NOT_SMOOTH], "J is not smooth here"),
        (MARKS[Verdict.UNFINISHED], "the route did not come to rest"),
        (MARKS[Verdict.FAILED], "the route failed"),
        (MARKS[Verdict.SKIPPED], "skipped, the reason is in the table below"),
        ("", "the route is not one of this problem's"),
    )
    keys = "".join(f"<li><span class='key none'>{mark or '&nbsp;'}</span> {text(said)}</li>" for mark, said in marks)
    return (
        "<div class='legend'><p class='soft'>A cell is log₁₀ of the route's largest difference from the reference, relative "
        f"to ‖∇J‖_∞. d is the length of θ, J the leader's value.</p><ul>{scale}</ul><ul>{keys}</ul></div>"
    )
