r"""SoBiRL's practical form: ∇Q_F − ∇V_F truncated after one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.sampled import SampledEstimator


@dataclass(frozen=True, eq=False, kw_only=True)
class SoBiRL(SampledEstimator):
    r"""$\nabla r_F(s,a) - \mathbb E_{a'}\nabla r_F(s,a')$ in place of $\nabla Q_F - \nabla V_F$.

    Biased (derivation `sobirl-truncation-bias`), and not available where the kernel depends on θ.

    Source: SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), Algorithm 1, in the form of
    BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), C.1, (44), (45).
    """

    name: ClassVar[str] = "sobirl"
    label: ClassVar[str] = "SoBiRL"
    takes_follower: ClassVar[bool] = True

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption where the kernel depends on θ."""
        super().check(problem)
        if self.family(problem).moves().transition:
            raise InvalidOption(
                f"SoBiRL's truncation does not exist for {problem!r}: its transition kernel depends on θ, and "
                "E_{a'}[γ ∇log p V_F] cannot be had from r_F alone (BC-HG C.1); use BC-HG or HPGD"
            )

    def combine(self, episodes: Any, values: Any) -> None:
        """The partial derivative, and Σ γ_L^t (Q_L/τ)(∇r_F − E ∇r_F)."""
        if self.as_published:
            episodes.published_direct(values)
        else:
            episodes.direct(values, baseline=False)
        episodes.guide_one_step(episodes.weights * values.q / episodes.tau)
