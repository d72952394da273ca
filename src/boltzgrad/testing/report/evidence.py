"""What a failure is made of, and everything that was said of each verification."""

from __future__ import annotations

from boltzgrad.testing.report.records import RouteRecord, Verification
from boltzgrad.testing.report.wording import definitions, difference, number, shown_as, state, text, theta
from boltzgrad.verify.tolerances import Verdict


def card(verification: Verification, k: int) -> str:
    """A failure: which routes speak against the reference with their numbers, or why none could confirm it."""
    v = verification
    parts = [
        f"<section class='card {shown_as(v.state)}'>",
        f"<h3><a href='#v{k}'>{text(v.problem)}</a> <span class='{shown_as(v.state)}'>{state(v)}</span> "
        f"{_file(v)}</h3>",
        f"<p>{text(v.summary)}</p>",
        "" if v.model_ok else f"<p>{text(v.model)}</p>",
        definitions((*_options(v), ("θ", theta(v)), ("J(θ)", number(v.value, ".12g")), ("size", v.size))),
        *(_against(row) for row in v.against),
        _silent(v, (Verdict.CANNOT_TELL, Verdict.ZERO), "Could not tell"),
        _silent(v, (Verdict.UNFINISHED,), "Did not come to rest"),
        _silent(v, (Verdict.FAILED, Verdict.SKIPPED), "Did not run"),
        "</section>",
    ]
    return "".join(parts)


def _options(verification: Verification) -> tuple[tuple[str, str], ...]:
    return (("options", verification.options),) if verification.options else ()


def _file(verification: Verification) -> str:
    """The file's name, where the problem's does not say it already."""
    return "" if verification.name == verification.problem else f"<small class='soft'>{text(verification.name)}</small>"


def _against(row: RouteRecord) -> str:
    title = f"<h4>{text(row.route)} <span class='{shown_as(row.verdict)}'>{text(row.verdict)}</span></h4>"
    numbers = ""
    if row.ran:
        numbers = definitions(
            (
                ("where", row.at or ""),
                ("this route", number(row.found, ".12g")),
                ("reference", number(row.expected, ".12g")),
                ("difference", number(row.difference, ".3g")),
                ("allowed", number(row.allowed, ".3g", "∞")),
                ("its J(θ)", number(row.value, ".12g")),
            )
        )
    note = f"<p>{text(row.note)}</p>" if row.note and row.note not in (row.complaint or "") else ""
    return f"{title}{numbers}<p>{text(row.complaint or '')}</p>{note}"


def _silent(verification: Verification, verdicts: tuple[Verdict, ...], title: str) -> str:
    rows = [r for r in verification.rows if r.verdict in verdicts]
    items = "".join(f"<li>{text(r.route)}: {r.verdict}{_why(r)}</li>" for r in rows)
    return f"<h4>{title}</h4><ul>{items}</ul>" if rows else ""


def _why(row: RouteRecord) -> str:
    numbers = f"; worst |Δ| {difference(row)}, allowed {number(row.allowed, '.1e', '∞')}" if row.ran else ""
    return text(numbers + (f"; {row.note}" if row.note else ""))


def full(verification: Verification, k: int) -> str:
    """Everything about a verification.  The link's target is inside: a browser then opens the section by itself."""
    v = verification
    facts = definitions(
        (
            *_options(v),
            ("size", v.size),
            ("follower", v.solution),
            ("θ", theta(v)),
            ("J(θ)", number(v.value, ".12g")),
            ("‖∇J‖", number(v.norm, ".9g")),
            ("proved |error| ≤", number(v.error_bound, ".1e", "∞ (vacuous)")),
            ("estimated |error|", number(v.error_estimate, ".1e")),
            ("model", v.model),
            ("boltzgrad", v.version),
        )
    )
    heads = ("route", "J", "‖∇J‖", "worst |Δ|", "allowed", "seconds", "verdict", "note")
    head = "".join(f"<th scope='col'>{h}</th>" for h in heads)
    return (
        f"<details><summary>{text(v.problem)} <span class='{shown_as(v.state)}'>{state(v)}</span> "
        f"{_file(v)}</summary><div class='full' id='v{k}'><p>{text(v.summary)}</p>{facts}"
        f"<div class='scroll' tabindex='0' role='region' aria-label='routes of {text(v.name)}'><table>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(_line, v.rows))}</tbody></table></div></div></details>"
    )


def _line(row: RouteRecord) -> str:
    numbers = ["", "", "", ""]
    if row.ran:
        numbers[:2] = number(row.value, ".12g"), number(row.norm, ".9g", "")  # slopes have no norm
    if row.ran and row.verdict != "reference":
        numbers[2:] = number(row.difference, ".1e"), number(row.allowed, ".1e", "∞")
    cells = "".join(f"<td>{text(c)}</td>" for c in (*numbers, f"{row.seconds:.3f}" if row.seconds else ""))
    return (
        f"<tr><td title='{text(row.summary)}'>{text(row.route)}</td>{cells}"
        f"<td class='{shown_as(row.verdict)}'>{text(row.verdict)}</td><td>{text(row.note)}</td></tr>"
    )
