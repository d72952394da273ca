"""Agreement of routes: verdicts, tolerances, reports, and the mutants that every check must reject."""

from boltzgrad.verify.agreement import verify
from boltzgrad.verify.report import AgreementReport, Row
from boltzgrad.verify.tolerances import Verdict

__all__ = ["AgreementReport", "Row", "Verdict", "verify"]
