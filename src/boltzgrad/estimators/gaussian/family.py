"""Linear-quadratic problems for sampled estimators."""

from __future__ import annotations

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.gaussian.critics import CRITICS, GaussianCritic
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes
from boltzgrad.estimators.gaussian.worlds import GaussianWorlds
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.worlds import Moves
from boltzgrad.families.lqr.problem import LinearQuadratic

PUBLISHED_CLIP = 30.0


class GaussianFamily:
    """Configurable LQRs whose noise is not seen in advance and whose leader's reward is quadratic."""

    name = "linear-quadratic"
    critics = CRITICS
    critic_type = GaussianCritic

    def __init__(self, problem: LinearQuadratic) -> None:
        self.problem = problem

    def check(self, label: str) -> None:
        """Raises: InvalidOption where the score ∇log p, or the leader's closed form, does not exist."""
        model = self.problem.model(self.problem.initial_theta(seed=0))
        if model.observed or model.bump is not None:
            raise InvalidOption(
                f"{label} for {self.problem!r}: this family needs noise that is not seen in advance and a quadratic leader; "
                "a LinearQuadraticGame has estimators of its own (boltzgrad.estimators.LQGameBCHG)"
            )
        if model.shift is not None:
            raise InvalidOption(
                f"{label} samples inputs of a cost without a cross term, and the follower of {self.problem!r} has one (N)"
            )
        if self.moves().transition and np.linalg.eigvalsh(model.W).min() <= 0.0:
            raise InvalidOption(
                f"{label} needs the score of the transition, but W of {self.problem!r} is singular: no density"
            )
        if self.moves().initial and np.linalg.eigvalsh(model.covariance).min() <= 0.0:
            raise InvalidOption(
                f"{label} needs the score of the start, but the covariance of {self.problem!r} is singular: no density"
            )

    def check_follower(self, label: str) -> None:
        """Nothing is refused: the follower plans with the world's own dynamics."""

    def moves(self) -> Moves:
        """Which matrices depend on θ (looked up at a random θ)."""
        linearised = self.problem.linearise(self.problem.initial_theta(seed=0))
        tangent = linearised.pushforward(np.random.default_rng(0).standard_normal(self.problem.dim))

        def any_of(*names: str) -> bool:
            return any(bool(np.any(getattr(tangent, name))) for name in names)

        return Moves(
            transition=any_of("A", "B", "W"),
            initial=any_of("mean", "covariance"),
            follower_reward=any_of("Q", "R"),
            leader_reward=any_of("leader_Q", "leader_R", "leader_constant"),
            probabilities=False,
            contexts=False,
        )

    def worlds(
        self,
        thetas: Array,
        lane_theta: Array,
        draws: Draws,
        previous: GaussianWorlds | None,
        temperature: float | None = None,
    ) -> GaussianWorlds:
        """The solved worlds of all lanes.  Raises: InvalidOption for another temperature than the problem's."""
        if temperature is not None:
            raise InvalidOption("temperature continuation is for tabular problems")
        known = previous.moves if previous is not None else self.moves()
        return GaussianWorlds(self.problem, thetas, lane_theta, known)

    def episodes(
        self, worlds: GaussianWorlds, sampling: Sampling, draws: Draws, *, as_published: bool
    ) -> GaussianEpisodes:
        """A batch of trajectories in every lane; as published, states are clipped to ±30."""
        clip = PUBLISHED_CLIP if as_published else None
        return GaussianEpisodes(worlds, sampling, draws, as_published=as_published, clip_state=clip)
