"""Every finding of the project: what came out where papers, published code and general tools were held against exact gradients.

`names()` and `get(name)`; `kept()` is what was last measured of each, as the list, the page and JSON show it.
"""

from __future__ import annotations

from boltzgrad.findings.catalogue import findings, get, names
from boltzgrad.findings.finding import CUTS, Finding, Numbers, Rows, apart
from boltzgrad.findings.record import filled, kept, numbers_of
from boltzgrad.findings.rows import CommittedRows

__all__ = [
    "CUTS",
    "CommittedRows",
    "Finding",
    "Numbers",
    "Rows",
    "apart",
    "filled",
    "findings",
    "get",
    "kept",
    "names",
    "numbers_of",
]
