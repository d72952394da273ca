"""Draw docs/applications/*.svg, what each leader reaches by following its exact gradient: python docs/applications.py [NAME …]."""

import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np

import boltzgrad as bg

STEPS, FIRST = 40, 0.3  # how many, and how long the first is
SIDE, TOP, GAP = 132, 46, 26  # of a panel, in pixels; above it; between two
PALE, DARK, INK = np.array([238, 243, 249]), np.array([0, 82, 148]), "#1d2733"

Panel = tuple[str, np.ndarray, str]
"""A heading, a table, and what its rows and columns are."""


def followed(problem, theta, sign: float = 1.0, steps: int = STEPS):
    """(θ after ascent of sign · J, J at every step): steps along the gradient that grow, and are halved until J is better."""
    reference = bg.hypergradient(problem, theta)
    values, rate = [reference.value], FIRST / np.linalg.norm(reference.gradient)
    for _ in range(steps):
        for _ in range(40):
            there = theta + sign * rate * reference.gradient
            found = bg.hypergradient(problem, there)
            if sign * (found.value - reference.value) > 0.0:
                theta, reference, rate = there, found, 1.5 * rate
                break
            rate *= 0.5
        values.append(reference.value)
    return theta, values


def visits(transition, initial, policy, discount: float):
    """Discounted visits (S,)."""
    chain = np.einsum("sa,saz->sz", policy, transition)
    return np.linalg.solve(np.eye(len(initial)) - discount * chain.T, initial)


def policies(problem, theta):
    """The policy of each context."""
    return [s.follower.policy for s in bg.hypergradient(problem, theta).contexts]


def irl(problem, before, after) -> list[Panel]:
    def seen(theta):
        model, policy = problem.model(theta), policies(problem, theta)[0]
        return visits(model.transition, model.initial, policy, 0.9)[:, None] * policy

    axes = "states ↓ actions →"
    return [
        ("the expert's visits", problem.objective.weights, axes),
        ("the follower's at first", seen(before), axes),
        ("the follower's after", seen(after), axes),
    ]


def rlhf_kl(problem, before, after) -> list[Panel]:
    axes = "text so far ↓ next token →"
    return [
        ("reference π⁰", problem.model(before).reference, axes),
        ("π at first", policies(problem, before)[0], axes),
        ("π after", policies(problem, after)[0], axes),
    ]


def reward_shaping(problem, before, after) -> list[Panel]:
    task, _, start, discount, _ = problem.objective.made_of

    def walked(theta):
        return visits(task, start, policies(problem, theta)[0], discount).reshape(4, 4)

    axes = "the grid: start ↖ goal ↘"
    return [
        ("visits at first", walked(before), axes),
        ("visits after", walked(after), axes),
        ("shaping, best action", after.reshape(16, 4).max(axis=1).reshape(4, 4), axes),
    ]


def contract_design(problem, before, after) -> list[Panel]:
    def paid(theta):
        return np.log1p(np.exp(theta)).reshape(4, 4)

    steps = "from ↓ to →"
    return [
        ("payments at first", paid(before), steps),
        ("payments after", paid(after), steps),
        ("effort at first", policies(problem, before)[0][:4], "level ↓ effort →"),
        ("effort after", policies(problem, after)[0][:4], "level ↓ effort →"),
    ]


def navigation(problem, before, after) -> list[Panel]:
    cells = [(i, j) for i in range(4) for j in range(4) if i != 1 or j == 3]

    def on_the_map(values):
        table = np.full((4, 4), np.nan)
        table[tuple(np.array(cells).T)] = values
        return table

    def walked(theta):
        return on_the_map(bg.hypergradient(problem, theta).leader.occupancy.sum(axis=0))

    def paid(theta):
        return on_the_map(problem.source(theta).follower_reward[:, 0])

    return [
        (f"paid at x = {place(before)}", paid(before), "the maze; wall in grey"),
        ("visits in 11 steps", walked(before), "start ↖ destination ↘"),
        (f"paid at x = {place(after)}", paid(after), "the maze; wall in grey"),
        ("visits in 11 steps", walked(after), "start ↖ destination ↘"),
    ]


def place(x) -> str:
    return f"({x[0]:.1f}, {x[1]:.1f})".replace("-", "−")


def tax_design(problem, before, after) -> list[Panel]:
    taxes = np.array([2.0 / (1.0 + np.exp(-(t + np.log(0.15 / 0.85)))) for t in (before, after)])

    def wealth(theta):
        both = zip(problem.contexts(theta).models, policies(problem, theta), strict=True)
        return 0.1 * sum(0.5 * visits(m.transition, m.initial, policy, 0.9) for m, policy in both)

    around = slice(6, 15)
    return [
        ("taxes on goods, income", taxes, "at first, after ↓ y₁ y₂ y₃ z →"),
        (
            "share of time at wealth",
            np.array([wealth(before), wealth(after)])[:, around],
            "at first, after ↓ −40 … 40 →",
        ),
    ]


def principal_agent(problem, before, after) -> list[Panel]:
    none = bg.problems.load("principal-agent", budget=0.0).contexts(before).models[0].follower_reward

    def bonus(theta):
        return problem.contexts(theta).models[0].follower_reward - none

    axes = "states ↓ actions →"
    kinds = [(f"agent {k + 1}, after", policy, axes) for k, policy in enumerate(policies(problem, after)[:2])]
    return [("bonus at first", bonus(before), axes), ("bonus after", bonus(after), axes), *kinds]


def meta_rl(problem, before, after) -> list[Panel]:
    def common(theta):
        e = np.exp(theta.reshape(5, 3))
        return e / e.sum(axis=1, keepdims=True)

    axes = "states ↓ actions →"
    kinds = [(f"task {k + 1}, after", policy, axes) for k, policy in enumerate(policies(problem, after)[:2])]
    return [("reference at first", common(before), axes), ("reference after", common(after), axes), *kinds]


def mechanism_design(problem, before, after) -> list[Panel]:
    axes = "states ↓ actions →"
    return [
        ("policy at first", policies(problem, before)[0][:4], axes),
        ("policy after", policies(problem, after)[0][:4], axes),
        ("boosts after", after[2:].reshape(4, 3), axes),
    ]


APPLICATIONS: dict[str, tuple[Callable[..., list[Panel]], float]] = {
    "irl": (irl, 1.0),
    "rlhf-kl": (rlhf_kl, -1.0),  # a loss
    "reward-shaping": (reward_shaping, 1.0),
    "contract-design": (contract_design, 1.0),
    "navigation": (navigation, 1.0),
    "tax-design": (tax_design, 1.0),
    "principal-agent": (principal_agent, 1.0),
    "meta-rl": (meta_rl, 1.0),
    "mechanism-design": (mechanism_design, 1.0),
}


def draw(name: str, panels: Sequence[Panel], values: Sequence[float], way: str = "ascent") -> str:
    """The SVG of some tables and of J along the way."""
    width = (len(panels) + 1) * (SIDE + GAP) + GAP
    height = TOP + SIDE + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{name}: what the leader reaches along its exact gradient">'
        f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>'
        f'<g font-family="system-ui, DejaVu Sans, sans-serif" font-size="11" fill="{INK}">'
    ]
    for k, (title, table, axes) in enumerate(panels):
        out += heat(GAP + k * (SIDE + GAP), title, np.asarray(table, float), axes)
    out += curve(GAP + len(panels) * (SIDE + GAP), values, way)
    return "\n".join([*out, "</g></svg>\n"])


def heat(x: float, title: str, table: np.ndarray, axes: str) -> list[str]:
    """A table in shades of blue between its least and its largest entry; what is not there is grey."""
    rows, columns = table.shape
    w, h = SIDE / columns, SIDE / max(rows, 3)
    low, high = np.nanmin(table), np.nanmax(table)
    out = [f'<text x="{x}" y="22" font-weight="600">{escape(title)}</text>']
    out.append(f'<text x="{x}" y="37" fill="#5b6875">{number(low)} … {number(high)}</text>')
    for i in range(rows):
        for j in range(columns):
            value = table[i, j]
            share = (value - low) / (high - low) if high > low else 0.0
            red, green, blue = np.rint(PALE + share * (DARK - PALE)) if np.isfinite(value) else (196, 196, 196)
            said = f"<title>{number(value)}</title>" if np.isfinite(value) else ""
            out.append(
                f'<rect x="{x + j * w:.1f}" y="{TOP + i * h:.1f}" width="{w - 1:.1f}" height="{h - 1:.1f}" '
                f'fill="rgb({red:.0f},{green:.0f},{blue:.0f})">{said}</rect>'
            )
    out.append(f'<text x="{x}" y="{TOP + SIDE + 16}" font-size="10" fill="#5b6875">{escape(axes)}</text>')
    return out


def curve(x: float, values: Sequence[float], way: str) -> list[str]:
    """J from the first step to the last."""
    low, high = min(values), max(values)
    across = np.linspace(x, x + SIDE, len(values))
    down = TOP + SIDE - SIDE * (np.asarray(values) - low) / (high - low)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    return [
        f'<text x="{x}" y="22" font-weight="600">J(θ)</text>',
        f'<text x="{x}" y="37" fill="#5b6875">{number(values[0])} → {number(values[-1])}</text>',
        f'<path d="M{x} {TOP}V{TOP + SIDE}H{x + SIDE}" fill="none" stroke="#b8c2cc"/>',
        f'<polyline points="{points}" fill="none" stroke="#d55e00" stroke-width="2"/>',
        f'<text x="{x}" y="{TOP + SIDE + 16}" font-size="10" fill="#5b6875">{len(values) - 1} steps of exact {way} →</text>',
    ]


def number(value: float) -> str:
    """Two decimals, with a true minus."""
    return f"{value + 0.0:.2f}".replace("-", "−")


def picture(name: str) -> str:
    """The picture of one application."""
    panels, sign = APPLICATIONS[name]
    problem = bg.problems.load(name)
    before = problem.initial_theta(seed=0)
    after, values = followed(problem, before, sign)
    return draw(name, panels(problem, before, after), values, "ascent" if sign > 0.0 else "descent")


if __name__ == "__main__":
    folder = Path(__file__).with_name("applications")
    folder.mkdir(exist_ok=True)
    for each in sys.argv[1:] or APPLICATIONS:
        (folder / f"{each}.svg").write_text(picture(each), encoding="utf-8")
