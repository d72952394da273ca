"""Agreement of routes and of estimators: verdicts, tolerances, reports, and the mutants that every check must reject."""

from boltzgrad.verify.agreement import verify
from boltzgrad.verify.estimator_check import check_estimator, check_samples
from boltzgrad.verify.estimator_record import BiasVerdict, EstimatorCheck
from boltzgrad.verify.report import AgreementReport, Row
from boltzgrad.verify.tolerances import Verdict

__all__ = [
    "AgreementReport",
    "BiasVerdict",
    "EstimatorCheck",
    "Row",
    "Verdict",
    "check_estimator",
    "check_samples",
    "verify",
]
