"""A hypergradient worked out by several processes, held against one process's and against differences of its own J."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.row_block import Rows
from boltzgrad.gradients import hypergradient as by_one_process
from boltzgrad.solvers import distributed
from boltzgrad.verify.tolerances import Yardstick, witness_allowance

if TYPE_CHECKING:
    from boltzgrad.solvers.distributed import DistributedHypergradient, Processes

AGREED = 1e-10
"""[1] How far from one process's gradient that of several may be, beside its largest entry, and besides what both round off."""
_MOST_STATES = 2_000_000  # which one process solves beside the others
_STEP, _SEED, _SAFETY = 1e-3, 7, 16.0


@dataclass(frozen=True)
class Held:
    """One comparison: what of, how far off beside the largest entry (or the slope), and how far it may be."""

    against: str
    off: float
    allowed: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is near enough."""
        return bool(self.off <= self.allowed)


@dataclass(frozen=True, eq=False)
class DistributedReport:
    """The hypergradient of several processes, and what it was held against; `missing` says what could not be done."""

    name: str
    reference: DistributedHypergradient
    held: tuple[Held, ...]
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether something was compared, and all of it agrees."""
        return bool(self.held) and all(x.ok for x in self.held)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.reference}"]
        for x in self.held:
            verdict = "agrees" if x.ok else "DISAGREES"
            note = f" ({x.note})" if x.note else ""
            lines.append(f"against {x.against}: off by {x.off:.1e}, allowed {x.allowed:.1e}: {verdict}{note}")
        lines += [f"not done: {words}" for words in self.missing]
        return "\n".join([*lines, "AGREEMENT" if self.ok else "DISAGREEMENT"])

    def to_json(self) -> str:
        """The report as JSON."""
        h = self.reference
        kept = ("value", "n_states", "processes", "residual", "value_bound", "residuals", "newton_steps", "iterations")
        record: dict[str, Any] = {
            name: getattr(h, name) for name in (*kept, "ghosts", "gathered", "reductions", "seconds")
        }
        record |= {"problem": self.name, "ok": self.ok, "gradient": h.gradient.tolist(), "missing": list(self.missing)}
        record["held"] = [{**vars(x), "ok": x.ok} for x in self.held]
        return json.dumps(record, indent=2, ensure_ascii=False)


def verify_distributed(rows: Rows, theta: Array, processes: Processes, whole: Any = None) -> DistributedReport:
    """Work out ∇J on all processes and hold it against two others; every process has the same report.

    One is J itself, differenced along a random direction by the same processes: it shares the forward solve, but no adjoint and
    no cotangent.  The other is `bg.hypergradient` of the `whole` problem (a function that makes it) on the first process,
    where it fits; it shares the problem alone.

    Raises: NotConverged, InvalidTheta.
    """
    found = distributed.hypergradient(rows, theta, processes)
    held, missing = [_difference(rows, theta, processes, found)], []
    if rows.n_states > _MOST_STATES:
        missing.append(f"one process beside: {rows.n_states} states are more than {_MOST_STATES}")
    elif whole is None:
        missing.append("one process beside: no whole problem was given")
    else:
        told = np.zeros(3)  # what the first process finds, for all
        if processes.rank == 0:
            alone = by_one_process(whole(), theta)
            largest, off = float(np.abs(alone.gradient).max()), np.abs(found.gradient - alone.gradient)
            allowed = AGREED * largest + witness_allowance(Yardstick.of(alone), 0.0)
            worst = int(np.argmax(off / allowed))
            told[:] = off[worst] / largest, allowed[worst] / largest, abs(found.value / alone.value - 1.0)
        gradient, allowed_of_it, value = map(float, processes.sum(told))
        held.append(Held("one process", gradient, allowed_of_it, f"J to {value:.1e}"))
    return DistributedReport(rows.name, found, tuple(held), tuple(missing))


def _difference(rows: Rows, theta: Array, processes: Processes, found: DistributedHypergradient) -> Held:
    """∇J·u against (4 D(h/2) − D(h))/3, D central differences of J."""
    u = np.random.default_rng(_SEED).standard_normal(rows.dim)
    u /= np.linalg.norm(u)
    unsure, slopes = 0.0, []
    for h in (_STEP, _STEP / 2.0):
        ahead, behind = (
            distributed.expected_return(rows, theta + t * u, processes, start=found.follower_value) for t in (h, -h)
        )
        slopes.append((ahead.value - behind.value) / (2.0 * h))
        unsure = max(unsure, (ahead.unsure + behind.unsure) / (2.0 * h))
    best = (4.0 * slopes[1] - slopes[0]) / 3.0
    size = float(np.linalg.norm(found.gradient))
    allowed = _SAFETY * (abs(best - slopes[1]) / 4.0 + unsure) / size
    return Held("differences of J", abs(float(found.gradient @ u) - best) / size, allowed, "along one random direction")
