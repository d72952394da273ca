"""Pictures of a solved problem for the report: where the closed loop's eigenvalues lie, where the state goes."""

from __future__ import annotations

from html import escape

import numpy as np

from boltzgrad.gradients import Hypergradient
from boltzgrad.gradients.game.reference import GameHypergradient
from boltzgrad.gradients.lqr.adjoint import loop
from boltzgrad.gradients.lqr.reference import LQHypergradient
from boltzgrad.problems.kernel import Array

MOST_STATES = 12  # of a game whose graph is drawn
_HUES = (210, 25, 140, 330, 265, 55, 185, 0)


def pictures(reference: Hypergradient) -> list[tuple[str, str]]:
    """(title, figure) for what people look at in this family of problems; none for tabular ones."""
    if isinstance(reference, LQHypergradient):
        return [("Closed-loop eigenvalues", eigenvalues(reference)), ("Mean trajectory", trajectory(reference))]
    if isinstance(reference, GameHypergradient) and reference.problem.n_states <= MOST_STATES:
        return [("Where the players go", state_graph(reference))]
    return []


def _figure(width: float, height: float, body: list[str], label: str, caption: str) -> str:
    return (
        f"<figure><svg viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' role='img' aria-label='{escape(label)}'>"
        f"{''.join(body)}</svg><figcaption>{caption}</figcaption></figure>"
    )


def eigenvalues(reference: LQHypergradient) -> str:
    """The eigenvalues of A − BK in the complex plane, with the circle the leader's discount allows."""
    values = np.linalg.eigvals(reference.follower.closed)
    allowed = 1.0 / np.sqrt(max(reference.model.leader_discount, 1e-6))
    reach = max(1.15, 1.1 * float(np.abs(values).max()), 1.1 * min(allowed, 1.5))
    middle, scale = 170.0, 150.0 / reach
    out = [
        f"<line x1='10' x2='330' y1='{middle}' y2='{middle}' stroke='var(--line)'/>",
        f"<line y1='10' y2='330' x1='{middle}' x2='{middle}' stroke='var(--line)'/>",
        f"<circle cx='{middle}' cy='{middle}' r='{scale:.1f}' fill='none' stroke='var(--soft)'/>",
    ]
    if allowed <= reach:
        out.append(
            f"<circle cx='{middle}' cy='{middle}' r='{scale * allowed:.1f}' fill='none' stroke='var(--soft)' "
            "stroke-dasharray='4 4'/>"
        )
    for value in values:
        x, y = middle + scale * value.real, middle - scale * value.imag
        out.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' fill='var(--bar)'><title>{value:.6g}</title></circle>")
    largest = float(np.abs(values).max())
    caption = f"Eigenvalues of A − BK; unit circle, and dashed 1/√γ_L where it fits. Largest modulus {largest:.6g}."
    return _figure(340, 340, out, "closed-loop eigenvalues", caption)


def trajectory(reference: LQHypergradient) -> str:
    """The mean of each state over time, with a band of two standard deviations."""
    model = reference.model
    at = loop(model, model.arrays(), reference.follower.P)
    steps = min(model.horizon or 60, 60)
    mean, covariance = [model.mean], [model.covariance]
    for _ in range(steps):
        mean.append(at.F @ mean[-1])
        covariance.append(at.F @ covariance[-1] @ at.F.T + at.noise)
    middle, spread = np.array(mean), 2.0 * np.sqrt(np.array([np.diag(c).clip(0.0) for c in covariance]))
    low, high = float((middle - spread).min()), float((middle + spread).max())
    low, high = (low - 1.0, high + 1.0) if high - low < 1e-12 else (low, high)
    left, width, height = 60.0, 560.0, 240.0
    x = left + width * np.arange(steps + 1) / max(steps, 1)

    def y(values: Array) -> Array:
        return np.asarray(10.0 + height * (high - values) / (high - low))

    out = []
    for value in (low, (low + high) / 2, high):
        at_y = float(y(np.array(value)))
        out.append(f"<line x1='{left}' x2='{left + width}' y1='{at_y:.1f}' y2='{at_y:.1f}' stroke='var(--line)'/>")
        out.append(f"<text x='{left - 6}' y='{at_y + 4:.1f}' text-anchor='end'>{value:.3g}</text>")
    for i in range(min(model.n_states, len(_HUES))):
        top, bottom, line = (y(v[:, i]) for v in (middle + spread, middle - spread, middle))
        area = " ".join(
            f"{a:.1f},{b:.1f}" for a, b in [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
        )
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, line, strict=True))
        colour = f"hsl({_HUES[i]} 60% 50%)"
        out.append(
            f"<polygon points='{area}' fill='{colour}' fill-opacity='.13' stroke='{colour}' stroke-opacity='.45'/>"
        )
        out.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        out.append(f"<text x='{left + 8 + 46 * i}' y='24' style='fill:{colour}'>x[{i}]</text>")
    out.append(f"<text x='{left}' y='{height + 28:.0f}'>0</text>")
    out.append(f"<text x='{left + width}' y='{height + 28:.0f}' text-anchor='end'>{steps} steps</text>")
    shown = "" if model.n_states <= len(_HUES) else f" The first {len(_HUES)} of {model.n_states} states."
    return _figure(
        left + width + 10, height + 40, out, "mean trajectory", f"Mean of the state, ± 2 standard deviations.{shown}"
    )


def state_graph(reference: GameHypergradient) -> str:
    """States on a circle; an arrow's width is the probability of the step under both policies."""
    game, solved = reference.problem, reference.solved
    S = game.n_states
    joint = (solved.f[:, :, None] * solved.policy).reshape(S, -1)
    p = game.joint.kernel.under(joint)
    p = p if isinstance(p, np.ndarray) else p.toarray()
    names = game.state_names or [str(s) for s in range(S)]
    centre, radius, node = np.array([300.0, 190.0]), 130.0, 22.0
    angle = np.pi / 2 + 2 * np.pi * np.arange(S) / S
    place = centre + radius * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    out = [
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='9' markerHeight='9' "
        "markerUnits='userSpaceOnUse' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='var(--bar)'/></marker></defs>"
    ]
    for s in range(S):
        for t in range(S):
            if p[s, t] < 5e-3:
                continue
            width, shade = 1.0 + 4.0 * p[s, t], 0.35 + 0.65 * p[s, t]
            if s == t:
                away = (place[s] - centre) / radius
                side = np.array([-away[1], away[0]])
                a, b = place[s] + node * (away + 0.5 * side), place[s] + node * (away - 0.5 * side)
                c, d = a + 46 * away + 22 * side, b + 46 * away - 22 * side
                label = place[s] + 62 * away
                path = f"M{a[0]:.1f},{a[1]:.1f} C{c[0]:.1f},{c[1]:.1f} {d[0]:.1f},{d[1]:.1f} {b[0]:.1f},{b[1]:.1f}"
            else:
                along = (place[t] - place[s]) / np.linalg.norm(place[t] - place[s])
                side = np.array([-along[1], along[0]])
                bend = (place[s] + place[t]) / 2 + 26 * side
                a, b = place[s] + node * along + 6 * side, place[t] - (node + 4) * along + 6 * side
                label = (place[s] + place[t]) / 2 + 36 * side
                path = f"M{a[0]:.1f},{a[1]:.1f} Q{bend[0]:.1f},{bend[1]:.1f} {b[0]:.1f},{b[1]:.1f}"
            stroke = f"stroke='var(--bar)' stroke-width='{width:.1f}' opacity='{shade:.2f}'"
            out.append(f"<path d='{path}' fill='none' {stroke} marker-end='url(#tip)'/>")
            at = f"x='{label[0]:.1f}' y='{label[1] + 4:.1f}'"
            out.append(f"<text {at} text-anchor='middle'>{p[s, t]:.2f}</text>")
    for s in range(S):
        x, y = place[s]
        out.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{node}' fill='var(--paper)' stroke='var(--ink)'/>"
            f"<text x='{x:.1f}' y='{y + 5:.1f}' text-anchor='middle' style='font-weight:600'>{escape(names[s])}</text>"
        )
    caption = "Probability of each step under the leader's policy and the follower's answer (below 0.5 % not drawn)."
    return _figure(600, 410, out, "state graph", caption)
