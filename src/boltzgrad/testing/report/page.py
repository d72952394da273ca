"""The overview as one page: what it says in one line, failures with their evidence, the heat map, every table."""

from __future__ import annotations

from boltzgrad.testing.report import assets
from boltzgrad.testing.report.collection import Collection
from boltzgrad.testing.report.evidence import card, full
from boltzgrad.testing.report.heat_map import heat_map
from boltzgrad.testing.report.wording import text
from boltzgrad.verify.style import HEAD, STYLE


def page(collection: Collection, title: str = "Hypergradients held against their witnesses") -> str:
    """The whole page: no outside resource, complete without its script.  `title` is put in as text."""
    numbered = list(enumerate(collection.verifications))
    parts = [
        HEAD,
        f'<meta http-equiv="Content-Security-Policy" content="{assets.policy()}">',
        f"<title>{text(title)}</title><style>{STYLE}{assets.STYLE}</style></head><body>",
        f"<h1>{text(title)}</h1>",
        f"<p class='said {'confirmed' if collection.ok else 'disagrees'}'>{text(collection.headline())}</p>",
    ]
    if collection.failures:
        parts += ["<h2>Failures</h2>", *(card(v, k) for k, v in numbered if not v.ok)]
    if collection.unread:
        items = "".join(f"<li><strong>{text(u.name)}</strong>: {text(u.reason)}</li>" for u in collection.unread)
        parts.append(f"<h2>Not read</h2><ul class='unread'>{items}</ul>")
    parts += [
        f"<h2>Problems and routes</h2>{heat_map(collection)}",
        "<h2>Every verification</h2>",
        *(full(v, k) for k, v in numbered),
        f"<script>{assets.SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts)
