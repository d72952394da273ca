"""Stoc-SoBiRL: trajectory losses, differentiated through Q_F and V_F from further trajectories, with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.sampling import Sampling, positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.cotangents import TabularCotangents
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.rollouts import Rollout, roll
from boltzgrad.estimators.tabular.worlds import TabularWorlds


@dataclass(frozen=True, eq=False, kw_only=True)
class StocSoBiRL(Estimator):
    r"""$\frac1M\sum_m \nabla l(d_m) + \frac1{\tau M}\sum_m l(d_m)\sum_h(\bar\nabla Q - \bar\nabla V)(s_h, a_h)$.

    l(d) = Σ_{h<H} γ_L^h r_L, one trajectory d of `horizon` H steps a loss; for every visited (s_h, a_h) `J` trajectories of
    `length` T for ∇Q_F and `J` for ∇V_F.  Biased by the two truncations only: γ_L^H and γ_F^T.

    `momentum` μ < 1: h_k = g_k + (1 − μ)(h_{k−1} − g(the same samples; θ_{k−1}))  (Algorithm 4, (81)).  Rewards only may
    depend on θ.

    Source: SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), Algorithm 3, (79).
    """

    name: ClassVar[str] = "stoc-sobirl"
    label: ClassVar[str] = "Stoc-SoBiRL"
    M: int = 10
    J: int = 1
    horizon: int = 50
    length: int = 50
    momentum: float = 1.0

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption where kernel or start depend on θ, or the objective is not a return."""
        for name in ("M", "J", "horizon", "length"):
            positive_count(name, getattr(self, name))
        if not 0.0 < self.momentum <= 1.0:
            raise InvalidOption(f"momentum is {self.momentum!r}; expected a number in (0, 1], 1 for none")
        family = TabularFamily(problem)
        family.check(self.label)
        what = family.moves()
        if what.transition or what.initial or what.contexts:
            raise InvalidOption(
                f"Stoc-SoBiRL (SoBiRL Alg. 3) shapes rewards only; the kernel, start or contexts of {problem!r} depend on θ"
            )
        family.check_follower(self.label)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _StocSoBiRLRun(self, problem, draws)


class _StocSoBiRLRun(Run):
    def __init__(self, estimator: StocSoBiRL, problem: Any, draws: Draws) -> None:
        self.estimator, self.draws, self.family = estimator, draws, TabularFamily(problem)
        self.worlds: TabularWorlds | None = None
        self.tracked: Array | None = None

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        lanes = np.arange(self.draws.lanes) if lane_theta is None else lane_theta
        before = self.worlds
        self.worlds = w = self.family.worlds(thetas, lanes, self.draws, before, self.temperature)
        e = self.estimator
        main = roll(w, Sampling(episodes=e.M, horizon=e.horizon), self.draws, name="losses", walkers=e.M)
        starts, actions = (self._by_lane(x, w.lanes) for x in (main.state, main.action))
        tours, steps = [], main.steps
        for name, first in (("Q", actions), ("V", None)):
            start = np.repeat(starts, e.J, axis=1)
            tour = roll(
                w,
                Sampling(episodes=1, horizon=e.length),
                self.draws,
                name=f"gradient of {name}",
                start=start,
                first_action=None if first is None else np.repeat(first, e.J, axis=1),
                lengths=np.full(start.shape, e.length),
                walkers=start.shape[1],
            )
            tours.append(tour)
            steps = steps + tour.steps
        gradient = self._evaluate(w, main, tours)
        if e.momentum < 1.0 and self.tracked is not None and before is not None:
            gradient = gradient + (1.0 - e.momentum) * (self.tracked - self._evaluate(before, main, tours))
        self.tracked = gradient
        return Estimates(gradient, steps)

    def _by_lane(self, x: Array, lanes: int) -> Array:
        """(T, L·M) as (L, M·H), zero after the last row: the same shape whatever other lanes do."""
        full = np.zeros((self.estimator.horizon, x.shape[1]), x.dtype)
        full[: len(x)] = x
        return full.reshape(-1, lanes, self.estimator.M).transpose(1, 2, 0).reshape(lanes, -1)

    def _evaluate(self, w: TabularWorlds, main: Rollout, tours: list[Rollout]) -> Array:
        """The estimate for given samples, with losses and rewards at the θ of `w`."""
        e = self.estimator
        sums = TabularCotangents(w)
        weight = np.where(main.alive, w.gamma_L**main.age, 0.0)
        loss = (weight * w.r_L[main.world, main.state, main.action]).sum(axis=0)
        np.add.at(sums.leader_reward, (main.lane, main.state, main.action), weight / e.M)
        # Visit (m, h) of lane l sent out J walkers: neighbours in the tours.
        visits = self._by_lane(main.alive * loss, w.lanes)
        share = np.repeat(visits, e.J, axis=1).ravel() / (w.tau * e.M * e.J)
        for sign, tour in zip((1.0, -1.0), tours, strict=True):
            x = np.where(tour.alive, sign * share * w.gamma_F**tour.age, 0.0)
            np.add.at(sums.follower_reward, (tour.lane, tour.state, tour.action), x)
        return sums.gradients()
