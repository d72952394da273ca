"""Pictures of a solved linear-quadratic problem: where the closed loop's eigenvalues lie, where the state goes."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.families.lqr.adjoint import loop
from boltzgrad.families.lqr.reference import LQHypergradient
from boltzgrad.families.picture import figure

_HUES = (210, 25, 140, 330, 265, 55, 185, 0)


def pictures(reference: LQHypergradient) -> list[tuple[str, str]]:
    """(title, figure) for what people look at."""
    return [("Closed-loop eigenvalues", eigenvalues(reference)), ("Mean trajectory", trajectory(reference))]


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
    return figure(340, 340, out, "closed-loop eigenvalues", caption)


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
    return figure(
        left + width + 10, height + 40, out, "mean trajectory", f"Mean of the state, ± 2 standard deviations.{shown}"
    )
