"""Many verifications: every one in a folder, the worst first, and the files that could not be read with the reason."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from boltzgrad.errors import NoVerifications
from boltzgrad.testing.report.records import STATES, NotAVerification, Verification, parse
from boltzgrad.verify.tolerances import Verdict


@dataclass(frozen=True)
class Unread:
    """A file that is no verification, or a verification that could not be made; and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """Verifications, the worst first, and what could not be read."""

    verifications: tuple[Verification, ...]
    unread: tuple[Unread, ...] = ()

    @property
    def failures(self) -> tuple[Verification, ...]:
        """Those that are not confirmed."""
        return tuple(v for v in self.verifications if not v.ok)

    @property
    def ok(self) -> bool:
        """Whether every verification is confirmed and every file was read."""
        return bool(self.verifications) and not self.failures and not self.unread

    @property
    def routes(self) -> tuple[str, ...]:
        """Every route, the most common first; the reference is none."""
        counts = Counter(r.route for v in self.verifications for r in v.rows if r.verdict != "reference")
        return tuple(name for name, _ in counts.most_common())

    def headline(self) -> str:
        """One line: how many there are, and what they say.

        >>> Collection((), (Unread("a.json", "not JSON"),)).headline()
        '0 verifications: 0 confirmed, 0 disagree, 0 cannot tell; 1 file not read'
        """
        counts = Counter(v.state for v in self.verifications)
        parts = [f"{counts['confirmed']} confirmed"]
        if counts[Verdict.MODEL]:
            parts.append(f"{counts[Verdict.MODEL]} {Verdict.MODEL}")
        parts.append(_verb(counts[Verdict.DISAGREES], "disagrees", "disagree"))
        if counts[Verdict.NOT_SMOOTH]:
            parts.append(f"{counts[Verdict.NOT_SMOOTH]} {Verdict.NOT_SMOOTH}")
        parts.append(f"{counts[Verdict.CANNOT_TELL]} cannot tell")
        if counts[Verdict.ZERO]:
            parts.append(f"{counts[Verdict.ZERO]} {Verdict.ZERO}")
        total = _verb(len(self.verifications), "verification", "verifications")
        rest = f"; {_verb(len(self.unread), 'file', 'files')} not read" if self.unread else ""
        return f"{total}: {', '.join(parts)}{rest}"

    def __str__(self) -> str:
        marks = [("✓" if v.ok else "✗", v.name, v.problem, v.summary) for v in self.verifications]
        marks += [("✗", u.name, "", f"not read: {u.reason}") for u in self.unread]
        names, problems = (max((len(row[k]) for row in marks), default=0) for k in (1, 2))
        lines = [_plain(f"{mark} {name:{names}}  {problem:{problems}}  {text}") for mark, name, problem, text in marks]
        return "\n".join([*lines, "", self.headline()])

    def to_json(self, *, page: str, indent: int | None = 2) -> str:
        """The table as JSON, for machines; `page` is where the page is."""
        data = {
            "format": "boltzgrad-overview/1",
            "ok": self.ok,
            "summary": self.headline(),
            "page": page,
            "verifications": [
                {
                    "name": v.name,
                    "problem": v.problem,
                    "ok": v.ok,
                    "state": v.state,
                    "summary": v.summary,
                    "complaints": [r.complaint for r in v.against if r.complaint is not None],
                }
                for v in self.verifications
            ],
            "not_read": [{"name": u.name, "reason": u.reason} for u in self.unread],
        }
        return json.dumps(data, indent=indent, ensure_ascii=False)


def read_folder(folder: Path, *, unmade: tuple[Unread, ...] = ()) -> Collection:
    """Every `*.json` right below `folder`; `unmade` are verifications that should be there and could not be made.

    A file that is no verification is listed with the reason.  Raises: NoVerifications, if none at all can be read.
    """
    if not folder.is_dir():
        raise NoVerifications(f"there is no folder {folder}; {_how(folder)}")
    found: list[Verification] = []
    unread = list(unmade)
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(parse(path.stem, path.read_bytes()))
        except OSError as error:
            unread.append(Unread(path.name, f"cannot be opened ({error.strerror})"))
        except NotAVerification as error:
            unread.append(Unread(path.name, str(error)))
    if not found:
        reasons = "; ".join(f"{u.name}: {u.reason}" for u in unread[:3])
        more = f", and {len(unread) - 3} more" if len(unread) > 3 else ""
        seen = f" ({reasons}{more})" if unread else ""
        raise NoVerifications(f"{folder} holds no verification that can be read{seen}; {_how(folder)}")
    found.sort(key=lambda v: (STATES.index(v.state), v.problem, v.name))
    return Collection(tuple(found), tuple(unread))


def _how(folder: Path) -> str:
    name, first = shlex.quote(str(folder)), shlex.quote(str(folder / "four-rooms.json"))
    new = "" if folder.exists() else f"mkdir -p {name}; "
    return f"make some: `{new}boltzgrad verify four-rooms --json > {first}`, or `boltzgrad report {name} --run all`"


def _plain(line: str) -> str:
    """Without what would move a terminal's cursor: names and reasons come from files."""
    return "".join(c if c.isprintable() else "�" for c in line)


def _verb(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
