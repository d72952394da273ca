r"""HPGD: the guiding term with the centring on ∇Q_F, (1/τ)(∇Q_F − ∇V_F) Q_L.

`HPGD` uses one batch for everything (its Monte-Carlo, SARSA and TD variants); `HPGDOracle` draws what it needs anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Run
from boltzgrad.estimators.sampled import SampledEstimator, SampledRun
from boltzgrad.estimators.sampling import Sampling, positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.critics import MonteCarlo
from boltzgrad.estimators.tabular.episodes import Segments, TabularEpisodes, check_segments
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.rollouts import Rollout, roll
from boltzgrad.estimators.tabular.worlds import TabularWorlds


@dataclass(frozen=True, eq=False, kw_only=True)
class HPGD(SampledEstimator):
    r"""HPGD from one batch.

    `critic`: "monte-carlo" is HPGD (MC), "sarsa" HPGD (SA), "td" HPGD (TD).  `segments` "averaged": ∇Q_F and ∇V_F are
    means over the batch's visits to (s, a) and s (the only form without a white-box follower; biased, and zero where a state
    is visited once); "sampled" or λ: the trajectory's own segment less the white-box ∇V_F; "exact": the white-box ∇A_F.

    `as_published`: weighs with Q̂_L − V̂_L instead of Q̂_L; ends, cuts, time-outs and divisors as in `BCHG`.

    Source: HPGD (Thoma, Pásztor, Krause, Ramponi, Hu 2024, arXiv:2406.01575), Theorem 2.2, Proposition C.1; the variants:
    BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), C.1, (41), Algorithms 8–10.
    """

    name: ClassVar[str] = "hpgd"
    label: ClassVar[str] = "HPGD"
    takes_follower: ClassVar[bool] = True
    critic: Any = "monte-carlo"
    segments: Segments = "averaged"
    baseline: bool = False

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption where averages over visits are asked for and no state is ever visited twice."""
        check_segments(self.segments)
        super().check(problem)
        self.check_white_box(problem, self.segments)

    def combine(self, episodes: Any, values: Any) -> None:
        """The partial derivative, and Σ γ_L^t (Q_L/τ)(∇Q_F − ∇V_F)."""
        worth = values.q - values.v if self.as_published else values.q
        if self.as_published:
            episodes.published_direct(values)
        else:
            episodes.direct(values, baseline=self.baseline)
        episodes.guide_by_advantage(episodes.weights * worth / episodes.tau, self.segments, baseline=self.baseline)


@dataclass(frozen=True, eq=False, kw_only=True)
class HPGDOracle(SampledEstimator):
    r"""HPGD with a trajectory oracle, T ~ Geo(1 − γ) and T' ~ Geo(1 − √γ).

    For each of `sampling.episodes` trajectories: ∇J ≈ Σ_{t≤T} ∇r_L + (1/(1 − γ_L)) [∇log p(s_{T+1}|s_T,a_T) γ_L R' +
    (1/τ) ∇Â_F(s_T, a_T) R], R = Σ_{t≥T}^{T+T'} γ_L^{(t−T)/2} r_L (R' the same from T + 1 on) and ∇Â_F from two fresh
    trajectories from (s_T, a_T) and from s_T.  A start that depends on θ adds ∇log ρ(s_0) Σ_{t≤T} r_L.  Unbiased
    (derivations `hpgd-proposition-e-2`, `-e-3`); the entropy has the sign of the follower's objective, where the print has
    the other one.

    `as_published`: everything as in `HPGD` "monte-carlo", with all four tables from `oracle_steps` further steps that
    start again from states drawn uniformly (BC-HG C.2).

    Source: HPGD (Thoma, Pásztor, Krause, Ramponi, Hu 2024, arXiv:2406.01575), Algorithm 2 (GradEst) and Algorithm 5.
    """

    name: ClassVar[str] = "hpgd-oracle"
    label: ClassVar[str] = "HPGD (oracle)"
    sampling: Sampling = field(default_factory=lambda: Sampling(episodes=10))
    oracle_steps: int = 10_000

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for continuous states, where no oracle of this kind is published."""
        positive_count("oracle_steps", self.oracle_steps)
        super().check(problem)
        family = self.family(problem)
        if not isinstance(family, TabularFamily):
            raise InvalidOption(f"{self.label} is for tabular problems; {problem!r} is not")
        if self.critic != "exact":
            raise InvalidOption(f"critic is {self.critic!r}; {self.label} draws its own returns and takes no critic")
        if self.as_published:
            return
        if self.sampling != Sampling(episodes=self.sampling.episodes):
            raise InvalidOption(
                f"sampling is {self.sampling!r}; {self.label} draws its own horizons: give Sampling(episodes=…) alone"
            )
        family.check_follower(self.label)

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _PublishedOracle(self, problem, draws) if self.as_published else _Oracle(self, problem, draws)

    def combine(self, episodes: Any, values: Any) -> None:
        """Not used: an oracle needs further trajectories."""
        raise NotImplementedError


class _Oracle(SampledRun):
    """Algorithms 2 and 5."""

    estimator: HPGDOracle

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        L = self.draws.lanes
        lane_theta = np.arange(L) if lane_theta is None else lane_theta
        w: Any = self.family.worlds(thetas, lane_theta, self.draws, self.worlds, self.temperature)
        self.worlds = w
        E, gamma = self.estimator.sampling.episodes, w.gamma_L
        T = self._geometric("T", gamma, E)
        T_value = self._geometric("T'", np.sqrt(gamma), E)
        main = self._roll(w, "main", lengths=T + T_value + 2)
        sums = TabularEpisodes(w, main, self.estimator.sampling)
        age = main.age
        before, after = age <= T.ravel(), age - T.ravel()
        sums.add_leader_reward(np.where(main.alive & before, 1.0 / E, 0.0))
        discount = np.where(main.alive, np.sqrt(gamma) ** np.maximum(after, 0), 0.0)
        reward = sums.at(w.r_L)
        here = (discount * reward * ((after >= 0) & (after <= T_value.ravel()))).sum(axis=0)
        ahead = (discount * reward * ((after >= 1) & (after <= T_value.ravel() + 1))).sum(axis=0) / np.sqrt(
            gamma or 1.0
        )
        earned = np.where(main.alive & before, reward, 0.0).sum(axis=0)
        sums.add_start(np.broadcast_to(earned, reward.shape), None)
        at_T = main.alive & (after == 0)
        scale = 1.0 / (E * (1.0 - gamma))
        sums.add_score(np.where(at_T, scale * gamma * ahead, 0.0))
        # ∇Â at (s_T, a_T): two trajectories of their own.
        reached = at_T.any(axis=0)
        s_T = (main.state * at_T).sum(axis=0).reshape(L, E)
        a_T = (main.action * at_T).sum(axis=0).reshape(L, E)
        weight = np.where(reached, scale * here / w.tau, 0.0)
        steps = main.steps
        for name, sign, first in (("Q", 1.0, a_T), ("V", -1.0, None)):
            extra = self._advantage(w, name, s_T, first, sign * weight)
            sums.add(extra)
            steps = steps + extra.steps
        return Estimates(sums.gradients(), steps)

    def _advantage(
        self, w: TabularWorlds, name: str, start: Array, action: Array | None, weight: Array
    ) -> TabularEpisodes:
        """Weight × ∇Q̂_F (or ∇V̂_F) of GradEst, one trajectory for each start."""
        E, gamma = self.estimator.sampling.episodes, w.gamma_F
        T = self._geometric(f"T_{name}", gamma, E)
        T_value = self._geometric(f"T'_{name}", np.sqrt(gamma), E)
        tour = self._roll(w, f"oracle {name}", start=start, first_action=action, lengths=T + T_value + 2)
        out = TabularEpisodes(w, tour, self.estimator.sampling)
        after = tour.age - T.ravel()
        out.add_follower_reward(np.where(tour.alive & (after <= 0), weight, 0.0))
        entropy = -(w.policy * np.log(np.maximum(w.policy, 1e-300))).sum(axis=2)
        payment = out.at(w.r_F) + w.tau * entropy[tour.world, tour.state]
        inside = tour.alive & (after >= 1) & (after <= T_value.ravel() + 1)
        worth = np.where(inside, np.sqrt(gamma) ** np.maximum(after - 1.0, 0.0) * payment, 0.0).sum(axis=0)
        at_T = tour.alive & (after == 0)
        out.add_score(np.where(at_T, weight * worth * gamma / (1.0 - gamma), 0.0))
        return out

    def _roll(self, w: TabularWorlds, name: str, **options: Any) -> Rollout:
        return roll(
            w, self.estimator.sampling, self.draws, name=name, walkers=self.estimator.sampling.episodes, **options
        )

    def _geometric(self, name: str, gamma: float, E: int) -> Array:
        """P(T = t) = (1 − γ) γ^t, (L, E)."""
        if gamma == 0.0:
            return np.zeros((self.draws.lanes, E), int)
        u = self.draws.uniform(name, E)
        return np.asarray(np.floor(np.log1p(-u) / np.log(gamma)), dtype=int)


class _PublishedOracle(SampledRun):
    """The published stand-in for the oracle: tables from many steps that start again everywhere."""

    estimator: HPGDOracle

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        episodes = self.episodes(thetas, lane_theta)
        w = self.worlds
        sampling = Sampling(
            episodes=1, steps=self.estimator.oracle_steps, time_limit=self.estimator.sampling.time_limit
        )
        tour = roll(w, sampling, self.draws, name="oracle", initial=np.full(w.S, 1.0 / w.S))
        oracle = TabularEpisodes(w, tour, sampling, as_published=True)
        published_oracle(episodes, oracle)
        return Estimates(episodes.gradients(), episodes.steps + oracle.steps)


def published_oracle(episodes: TabularEpisodes, oracle: TabularEpisodes) -> None:
    """Puts the published terms on `episodes`: weights from its own visits, the four tables from `oracle`'s."""
    g = oracle.leader_returns()
    benefit = oracle.averages(g, actions=True) - oracle.averages(g, actions=False)[:, :, None]
    r = episodes.rollout
    weights = episodes.weights * benefit[r.lane, r.state, r.action] / episodes.tau
    own, _ = MonteCarlo().fit(episodes, None, Draws([], 0))
    episodes.published_direct(own)
    oracle.guide_by_averages(episodes.visits(weights, actions=True)[0])
    episodes.add(oracle)
