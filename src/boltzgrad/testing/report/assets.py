"""The overview's own style and script, beside the style sheet that all pages share; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; } /* a phone held sideways enlarges some paragraphs else */
body { max-width: 76rem; overflow-wrap: anywhere; }
a { color: var(--link); } :focus-visible { outline: 2px solid var(--bar); outline-offset: 1px; }
.soft { color: var(--soft); } .confirmed { color: var(--good); } .zero-to-rounding, .unfinished { color: var(--unsure); }
.models-derivative-is-wrong { color: var(--bad); font-weight: 600; }
.said { font-size: 1.05rem; margin-top: .2rem; }
.card { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 4px;
        padding: .2rem 1rem .8rem; margin: .8rem 0; }
section.card { color: var(--ink); font-weight: normal; }
.card.cannot-tell, .card.zero-to-rounding { border-left-color: var(--unsure); }
.card h3 { font-size: 1rem; margin: .6rem 0 .2rem; } .card h4 { font-size: .95rem; margin: .8rem 0 .2rem; }
.card p, .card ul { margin: .3rem 0; } .card ul, .legend ul, .unread { padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; margin: .3rem 0; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
details { border-top: 1px solid var(--line); padding: .4rem 0; } details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .15rem 0; } .full { scroll-margin-top: 3.5rem; }
.key { display: inline-block; min-width: 2.6em; text-align: center; padding: .05rem .2rem; }
.legend ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; }
.none { background: none; border: 1px solid var(--line); }
.heat { background: var(--heat-colour); color: var(--heat-ink); font-weight: normal; }
.heat.disagrees { box-shadow: inset 0 0 0 2px var(--bad); font-weight: 700; }
.heat.cannot-tell, .heat.zero-to-rounding { outline: 2px dashed var(--unsure); outline-offset: -2px; }
#map { width: auto; } #map th, #map td { padding: .25rem .5rem; }
#map td, #map thead th { text-align: center; white-space: nowrap; min-width: 0; }
#map td.number { text-align: right; } #map td.verdict, #map thead th.verdict { text-align: left; }
#map thead th { vertical-align: bottom; font-weight: 600; }
#map thead .route { writing-mode: vertical-rl; transform: rotate(180deg); line-height: 1.2; text-align: left; }
#map tr > :first-child { position: sticky; left: 0; z-index: 1; background: var(--paper); text-align: left;
                         border-right: 1px solid var(--line); }
#map tbody th { font-weight: 600; white-space: normal; min-width: 7rem; max-width: 15rem; }
#map tbody th small { display: block; font-weight: normal; font-size: 12px; color: var(--soft); }
#map button { all: unset; cursor: pointer; text-decoration: underline dotted; text-underline-offset: 3px; }
#map button:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
/* The second text is for readers aloud, who have aria-sort: a heading's name stays as it is. */
#map [aria-sort=ascending] .label::after { content: " ▲"; content: " ▲" / ""; }
#map [aria-sort=descending] .label::after { content: " ▼"; content: " ▼" / ""; }
#map .route .label::after { display: inline-block; transform: rotate(90deg); }
.full table td { overflow-wrap: normal; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .75rem; } #map tbody th { min-width: 6rem; max-width: 8rem; }
  .card { padding: .1rem .7rem .6rem; } dl { gap: .1rem .7rem; }
}
"""

# Without it the page is complete, in the order of the failures; headings become buttons only where it runs.
SCRIPT = """
(() => {
  "use strict";
  const table = document.getElementById("map"), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const compare = (a, b, words) => words ? a.localeCompare(b, "en", { numeric: true }) : Number(a) - Number(b);
  const sort = (head, k) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const rows = [...body.rows].map((row) => [row.cells[k].dataset.sort, row]);
    const there = rows.filter(([key]) => key !== undefined), missing = rows.filter(([key]) => key === undefined);
    there.sort(([a], [b]) => (down ? -1 : 1) * compare(a, b, head.dataset.kind === "words"));
    body.append(...[...there, ...missing].map(([, row]) => row)); // what has no number is last either way
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  heads.forEach((head, k) => {
    const button = document.createElement("button"), label = head.querySelector(".label");
    button.type = "button";
    label.replaceWith(button);
    button.append(label);
    button.addEventListener("click", () => sort(head, k));
  });
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    const details = target && target.closest("details");
    if (details) { details.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => { if (event.target.closest("a[href^='#']")) setTimeout(reveal); });
  reveal();
})();
"""


def policy() -> str:
    """A content security policy: nothing from outside, and no script but this one even if an escape were forgotten."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
