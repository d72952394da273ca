"""Somebody else's V, Q and policy held against the follower's answer, and what a wrong one looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidCandidate, InvalidOption
from boltzgrad.families.family import Answer
from boltzgrad.families.registry import family_of
from boltzgrad.testing.candidate import plain, read_theta, relative_tolerance
from boltzgrad.verify.tolerances import HALF_THE_DIGITS, SAFETY


def check_follower(
    candidate: Mapping[str, Any] | Callable[[Array], Mapping[str, Any]],
    problem: Any,
    theta: Any,
    *,
    tolerance: float | None,
    context: int,
) -> str:
    """What is wrong with a candidate, or "" (`assert_follower` has the names).  Raises: InvalidCandidate, InvalidOption."""
    if tolerance is not None:
        tolerance = relative_tolerance(tolerance)
    start = read_theta(problem, theta)
    exact = family_of(problem).answer
    if exact is None:
        raise InvalidOption(
            f"{type(problem).__name__} is of a family whose follower's answer is no array to compare with"
        )
    answer = exact(problem, start, context)
    at = start.copy() if problem.tree is None else problem.tree.unpack(start.copy())
    given = candidate(at) if callable(candidate) else candidate
    if not isinstance(given, Mapping) or not given:
        raise InvalidCandidate(
            f"the candidate is {'empty' if isinstance(given, Mapping) else f'a {type(given).__name__}'}; expected a mapping "
            f"with some of {', '.join(answer.values)}"
        )
    complaints = [_complaint(name, x, answer, tolerance) for name, x in given.items()]
    found = [complaint for complaint in complaints if complaint]
    name = getattr(problem, "name", "") or "problem"
    return "\n".join([f"{name}: not the follower's answer", *found]) if found else ""


def _complaint(name: str, x: Any, answer: Answer, tolerance: float | None) -> str:
    if name not in answer.values:
        raise InvalidCandidate(f"the candidate has {name!r}; this problem's follower has {', '.join(answer.values)}")
    yours, exact = plain(x, name, InvalidCandidate), answer.values[name]
    if yours.dtype.kind != "f":
        raise InvalidCandidate(f"{name} holds {yours.dtype} values, expected float64 or float32")
    if yours.shape != exact.shape:
        raise InvalidCandidate(f"{name} has shape {yours.shape}, expected {exact.shape}")
    bad = np.argwhere(~np.isfinite(yours))
    if len(bad):
        raise InvalidCandidate(f"{name}{list(map(int, bad[0]))} is {yours[tuple(bad[0])]}; every entry must be finite")
    off = np.abs(yours - exact)
    at = np.unravel_index(int(np.argmax(off)), off.shape)
    allowed = _allowed(name, yours, answer, tolerance)
    if off[at] <= allowed:
        return ""
    where = ", ".join(str(int(i)) for i in at)
    lines = [
        f"{name}[{where}]: yours {yours[at]:.12g}, exact {exact[at]:.12g}; difference {off[at]:.2g}, allowed {allowed:.2g}; "
        f"{int((off > allowed).sum())} of {off.size} entries are off"
    ]
    lines += [f"  looks like: {words}" for words in _looks_like(name, np.asarray(yours, float), answer, allowed)]
    return "\n".join(lines)


def _allowed(name: str, yours: Array, answer: Answer, tolerance: float | None) -> float:
    """What sweeps in the candidate's precision round off, what is not known of the exact answer, and the tolerance."""
    size = (
        max(1.0, float(np.abs(answer.values[name]).max()))
        if name == "policy"
        else float(np.abs(answer.values[name]).max())
    )
    own = (HALF_THE_DIGITS if tolerance is None else tolerance) * size
    eps = float(np.finfo(yours.dtype).eps)
    # An error of Q is an error of the policy 1/τ times as large; what all actions share drops out.
    of_q = answer.size if name == "policy" else None
    rounding = eps * (size * answer.horizon if of_q is None else of_q)
    return min(own + SAFETY * (answer.bounds[name] + rounding), 1.0 if name == "policy" else np.inf)


def _looks_like(name: str, yours: Array, answer: Answer, allowed: float) -> list[str]:
    """Known ways to get a follower wrong that explain this array."""
    exact, out = answer.values[name], []
    near = max(allowed, 1e-3 * float(np.abs(yours - exact).max()))
    for words, arrays in answer.mistaken():
        wrong = arrays.get(name)
        if wrong is not None and np.abs(wrong.reshape(exact.shape) - exact).max() > near:
            off = float(np.abs(wrong.reshape(exact.shape) - yours).max())
            if off <= near:
                out.append(f"‘{words}’ (it matches yours to {off:.0e})")
    if name == "policy":
        sums = yours.sum(axis=-1)
        if np.abs(sums - 1.0).max() > 1e-6:
            out.append(f"no policy: rows sum to {sums.min():.6g} … {sums.max():.6g}; they must sum to 1")
    elif not out and name == "V" and answer.backup is not None:
        change = float(np.abs(answer.backup(yours.ravel()) - yours.ravel()).max())
        apart = float(np.abs(yours - exact).max())
        if change < 0.2 * apart:
            out.append(
                f"a follower stopped early, or a constant added: one more backup would change your V by {change:.1e}, and it "
                f"is up to 1/(1 − γ) = {answer.horizon:.3g} times as far from its fixed point"
            )
        else:
            out.append(f"no fixed point of the soft Bellman equation: one more backup changes your V by {change:.1e}")
    return out
