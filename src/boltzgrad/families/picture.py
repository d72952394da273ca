"""What a family's pictures are drawn into: a figure of a page, in scalable vector graphics."""

from __future__ import annotations

from html import escape


def figure(width: float, height: float, body: list[str], label: str, caption: str) -> str:
    """A drawing of so many pixels with its label for readers who do not see it, and its caption."""
    return (
        f"<figure><svg viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' role='img' aria-label='{escape(label)}'>"
        f"{''.join(body)}</svg><figcaption>{caption}</figcaption></figure>"
    )
