"""PARL: the implicit function theorem in the logits of the follower's policy, with an inverse that has to be damped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimator, Run
from boltzgrad.estimators.one_by_one import OneByOne
from boltzgrad.estimators.streams import Draws
from boltzgrad.families.tabular.hessian import parl_gradient
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class PARL(Estimator):
    r"""∂J/∂θ − ∂_φ∂_θ F (∂²_φ F − ηI)⁻¹ ∂_φ J in logits φ, with the model's own derivatives: nothing is sampled.

    The follower's Hessian has a zero eigenvalue for each state.  With `damping` η = 0 it is pseudo-inverted, and the estimate
    is ∇J; with η > 0, in place of the non-singularity that PARL assumes, components are short by η/(μ + η): `bg.parl_gradient`.

    Source: PARL (Chakraborty et al. 2024), as SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), Table 1, compares with it.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> check = bg.check_estimator(PARL(damping=0.01), problem, problem.initial_theta(seed=0))
    >>> check.verdict.value, bool(check.relative_bias > 0.01)
    ('biased', True)
    """

    name: ClassVar[str] = "parl"
    label: ClassVar[str] = "PARL"
    damping: float = 0.0

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for what is no table, or a damping that is no number of at least 0."""
        if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
            raise InvalidOption(f"PARL's Hessian is that of a table; {problem!r} is none")
        if isinstance(self.damping, bool) or not isinstance(self.damping, (int, float)) or not self.damping >= 0.0:
            raise InvalidOption(f"damping is {self.damping!r}; expected a number of at least 0")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return OneByOne(problem, self._gradient)

    def _gradient(self, problem: Any, theta: Array) -> Array:
        return parl_gradient(problem, theta, damping=self.damping)
