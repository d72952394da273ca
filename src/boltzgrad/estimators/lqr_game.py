"""BC-HG and Naive-PGD for the linear-quadratic Markov game (Theorem 2 with Gaussian policies)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimator, Run
from boltzgrad.estimators.gaussian.game import GameRun, check_game
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws


@dataclass(frozen=True, eq=False, kw_only=True)
class LQGameBCHG(Estimator):
    r"""Theorem 2 with a Gaussian leader.

    `segments`: "sampled" (Lemma 2 along the trajectory, which goes on beyond the leader's horizon until γ_F^k < 10⁻⁶) or
    "exact" (given (x, a, u) the next state is known, and so is ∇Q_F).  `baseline`: Q_L averaged over u and centred over a,
    V_F centred over a.  `critic`: "exact", or "monte-carlo" (returns; V̂ their mean over the batch at the same step; biased).
    `actions` "expected": at every visited state the leader's action is summed out of the first term, and the follower's, at
    every visited (x, a), out of the second, in closed form (segments="exact", baseline=True, critic="exact").

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), Algorithm 1; Theorem 2, (8)(9); 5.4.
    """

    name: ClassVar[str] = "bc-hg"
    label: ClassVar[str] = "BC-HG"
    guided: ClassVar[bool] = True
    sampling: Sampling = field(default_factory=lambda: Sampling(episodes=4))
    segments: Literal["sampled", "exact"] = "sampled"
    baseline: bool = False
    critic: Literal["exact", "monte-carlo"] = "exact"
    actions: Literal["sampled", "expected"] = "sampled"

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for other problems than a LinearQuadraticGame with a bump and a horizon."""
        check_game(problem, self.label)
        if self.sampling != Sampling(episodes=self.sampling.episodes):
            raise InvalidOption(
                f"sampling is {self.sampling!r}; trajectories of {problem!r} have its own horizon: give "
                "Sampling(episodes=…) alone"
            )
        if self.segments not in ("sampled", "exact"):
            raise InvalidOption(f"segments is {self.segments!r}; expected 'sampled' or 'exact'")
        if self.critic not in ("exact", "monte-carlo"):
            raise InvalidOption(f"critic is {self.critic!r}; expected 'exact' or 'monte-carlo'")

        if self.actions not in ("sampled", "expected"):
            raise InvalidOption(f"actions is {self.actions!r}; expected 'sampled' or 'expected'")
        if self.actions == "expected" and not (self.segments == "exact" and self.baseline and self.critic == "exact"):
            raise InvalidOption("actions='expected' goes with segments='exact', baseline=True and critic='exact'")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return GameRun(
            problem,
            self.sampling,
            draws,
            guided=self.guided,
            segments=self.segments,
            baseline=self.baseline,
            critic=self.critic,
            actions=self.actions,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LQGameNaivePGD(LQGameBCHG):
    """The partial derivative only: Σ γ_L^t ∇log f(a|x) Q_L.  Biased by design.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), C.1; the first term of (8).
    """

    name: ClassVar[str] = "naive"
    label: ClassVar[str] = "Naive-PGD"
    guided: ClassVar[bool] = False
