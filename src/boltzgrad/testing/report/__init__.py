"""Many verifications as one self-contained page: failures first, the heat map of problems × routes, every table."""

from boltzgrad.testing.report.page import page

__all__ = ["page"]
