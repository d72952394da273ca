"""Draw the agreement table of `boltzgrad verify four-rooms` as docs/four-rooms.svg: python docs/picture.py."""

from html import escape
from pathlib import Path

import boltzgrad as bg

COLOURS = {"agrees": "#4ec98a", "disagrees": "#ff7b6b", "reference": "#9fb0c0", "skipped": "#9fb0c0"}

SPACE = "\u00a0"  # viewers fold ordinary spaces


def draw(text: str, command: str) -> str:
    """The SVG of a terminal that shows `command` and its output."""
    lines = [f"$ {command}", *text.splitlines()]
    width, height = 7.9 * max(map(len, lines)) + 40, 19 * len(lines) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" role="img" '
        f'aria-label="agreement table"><rect width="100%" height="100%" rx="8" fill="#17202a"/>'
        '<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, monospace" font-size="13" fill="#e4eaf0">'
    ]
    for k, line in enumerate(lines):
        shown, y = escape(line).replace(" ", SPACE), 30 + 19 * k
        for word, colour in COLOURS.items():
            shown = shown.replace(2 * SPACE + word, f'{2 * SPACE}<tspan fill="{colour}">{word}</tspan>')
        style = ' fill="#7fb0e6"' if k == 0 else ' fill="#4ec98a"' if line.startswith("AGREEMENT") else ""
        out.append(f'<text x="20" y="{y}"{style}>{shown}</text>')
    return "\n".join([*out, "</g></svg>\n"])


if __name__ == "__main__":
    problem = bg.problems.load("four-rooms")
    bg.hypergradient(problem, problem.initial_theta())  # the first call also warms the libraries up
    report = bg.verify(problem, problem.initial_theta())
    report.raise_if_disagree()
    Path(__file__).with_name("four-rooms.svg").write_text(
        draw(str(report), "boltzgrad verify four-rooms"), encoding="utf-8"
    )
