"""What the pages have in common: one style sheet for light and dark, and the colour scale of relative differences."""

from __future__ import annotations

import numpy as np

# Text stands out from its ground by at least 4.5 : 1 in both schemes, on every colour of the scale as well; a test in a
# browser measures it.  `--heat` is set at each cell, so that dark mode can have a scale of its own.
STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #566575; --line: #d5dde5; --paper: #ffffff; --card: #f5f7fa;
        --bar: #3b6ea8; --link: #2c5f9a; --good: #1a7544; --bad: #b93426; --unsure: #8a5a00; --heat-ink: #14202b; }
.heat { --heat-colour: hsl(calc(210 - 200 * var(--heat)) calc((35 + 40 * var(--heat)) * 1%)
                           calc((84 - 20 * var(--heat)) * 1%)); }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #9fb0c0; --line: #33414f; --paper: #141b22; --card: #1b242d;
          --bar: #7fb0e6; --link: #8fbcec; --good: #5fd39a; --bad: #ff8a7a; --unsure: #e3b04f; --heat-ink: #f2f6fa; }
  .heat { --heat-colour: hsl(calc(210 - 200 * var(--heat)) calc((30 + 35 * var(--heat)) * 1%)
                             calc((24 + 6 * var(--heat)) * 1%)); }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.35rem; margin-bottom: .2rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
p.soft, figcaption { color: var(--soft); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; min-width: 10rem; }
.agrees { color: var(--good); } .disagrees, .not-smooth { color: var(--bad); font-weight: 600; }
.cannot-tell, .failed { color: var(--unsure); } .skipped, .reference { color: var(--soft); }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg rect.heat { fill: var(--heat-colour); } svg text.heat { fill: var(--heat-ink); }
figure { margin: 0; }
"""

HEAD = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
    "<meta name='viewport' content='width=device-width, initial-scale=1'>"
)


def heat(relative: float) -> float:
    """Where a relative difference is on the colour scale: 0 at 1e-16 and below (cool), 1 at 1e-2 and above (hot).

    >>> heat(0.0), heat(1e-9), heat(float("inf"))
    (0.0, 0.5, 1.0)
    """
    return float(np.clip((np.log10(max(relative, 1e-17)) + 16.0) / 14.0, 0.0, 1.0))


def exponent(relative: float) -> str:
    """A relative difference as the text of its cell: its power of ten, "=" for none at all, "∞" for no number.

    >>> exponent(3e-12), exponent(0.0), exponent(float("inf"))
    ('-12', '=', '∞')
    """
    if relative == 0.0:
        return "="
    return f"{max(np.log10(relative), -17.0):.0f}" if np.isfinite(relative) else "∞"


def css_class(verdict: str) -> str:
    """The class of a verdict's text, such as "cannot-tell"."""
    return verdict.replace(" ", "-").replace("'", "")
