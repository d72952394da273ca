"""A picture of a solved Markov game: where the players go."""

from __future__ import annotations

from html import escape

import numpy as np

from boltzgrad.families.game.reference import GameHypergradient
from boltzgrad.families.picture import figure

MOST_STATES = 12
"""[states] Of a game whose graph is drawn."""


def pictures(reference: GameHypergradient) -> list[tuple[str, str]]:
    """(title, figure) for what people look at; none of a game with many states or a horizon."""
    if reference.problem.n_states > MOST_STATES or reference.problem.steps is not None:
        return []
    return [("Where the players go", state_graph(reference))]


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
    return figure(600, 410, out, "state graph", caption)
