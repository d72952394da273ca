"""Tabular problems (and Markov games as such) for sampled estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.critics import CRITICS, TabularCritic
from boltzgrad.estimators.tabular.episodes import TabularEpisodes
from boltzgrad.estimators.tabular.learnt import LearntWorlds
from boltzgrad.estimators.tabular.rollouts import roll
from boltzgrad.estimators.tabular.worlds import Moves, TabularWorlds, as_tabular, moves
from boltzgrad.followers import Learner
from boltzgrad.followers.learner import World


class TabularFamily:
    """Configurable MDPs, and Markov games on (state, leader's action), where Theorem 1 is Theorem 2."""

    name = "tabular"
    critics = CRITICS
    critic_type = TabularCritic

    def __init__(self, problem: Any) -> None:
        self.problem, self.game = as_tabular(problem), problem

    def check(self, label: str) -> None:
        """Raises: InvalidOption for a general objective f(θ, π), which has no rewards to sample."""
        if isinstance(self.problem.objective, PolicyObjective):
            raise InvalidOption(
                f"{label} samples the leader's rewards; {self.problem!r} has a general objective f(θ, π): use M-SoBiRL, "
                "or zero-order differences"
            )
        models = self.problem.contexts(self.problem.initial_theta(seed=0)).models
        if any(m.leader_temperature for m in models):
            raise InvalidOption(
                f"{label} samples the leader's reward r_L alone; {self.problem!r} has a leader_temperature besides"
            )
        if any(1.0 in (m.follower_discount, m.leader_discount) for m in models):
            raise InvalidOption(
                f"{label} ends its trajectories by a constant discount below one; {self.problem!r} is undiscounted, its "
                "discount depends on theta, or each state has a temperature of its own"
            )
        self.check_scores(label)

    def check_scores(self, label: str) -> None:
        """Raises: InvalidOption where an entry of the kernel or the start is zero and its derivative is not: no score."""
        theta = self.problem.initial_theta(seed=0)
        linearised = self.problem.linearise(theta)
        tangent = linearised.pushforward(np.random.default_rng(0).standard_normal(theta.size))
        for model, moved in zip(linearised.model.models, tangent.models, strict=True):
            for name in ("transition", "initial"):
                values, slope = getattr(model.arrays(), name), getattr(moved, name)
                if np.any((np.asarray(values) == 0.0) & (np.asarray(slope) != 0.0)):
                    raise InvalidOption(
                        f"{label} samples scores ∇log p, and an entry of {self.problem!r}'s {name} is zero with a derivative "
                        "that is not: trajectories never show it; keep probabilities positive, or use zero-order differences"
                    )

    def check_follower(self, label: str) -> None:
        """Raises: InvalidOption where the follower plans with a kernel of its own: the world's steps are not those of ∇Q_F."""
        if any(m.own_kernel for m in self.problem.contexts(self.problem.initial_theta(seed=0)).models):
            raise InvalidOption(
                f"{label} takes ∇Q_F from trajectories of the world, and the follower of {self.problem!r} plans with a "
                "kernel of its own (follower_transition), so they would be biased: use BC-HG or HPGD with segments='exact'"
            )

    def check_learner(self, label: str) -> None:
        """Raises: InvalidOption where a follower plans with a kernel of its own; InvalidModel for what no learner learns on."""
        for m in self.problem.contexts(self.problem.initial_theta(seed=0)).models:
            World(m)
            if m.own_kernel:
                raise InvalidOption(
                    f"{label} with follower= watches the world, and the follower of {self.problem!r} plans with a kernel of "
                    "its own (follower_transition): what it expects is not what is seen"
                )

    def moves(self) -> Moves:
        """Which arrays depend on θ (looked up at a random θ)."""
        return moves(self.problem.linearise(self.problem.initial_theta(seed=0)))

    def worlds(
        self,
        thetas: Array,
        lane_theta: Array,
        draws: Draws,
        previous: TabularWorlds | None,
        temperature: float | None = None,
    ) -> TabularWorlds:
        """The solved worlds of all lanes."""
        uniforms = self._uniforms(draws, previous)
        return TabularWorlds(
            self.problem, thetas, lane_theta, uniforms=uniforms, previous=previous, temperature=temperature
        )

    def worlds_of(
        self,
        learner: Learner,
        made: list[np.random.Generator],
        thetas: Array,
        lane_theta: Array,
        draws: Draws,
        previous: TabularWorlds | None,
        temperature: float | None = None,
    ) -> LearntWorlds:
        """The worlds of all lanes with the followers that a learner leaves there."""
        return LearntWorlds(
            self.problem,
            thetas,
            lane_theta,
            uniforms=self._uniforms(draws, previous),
            previous=previous,
            temperature=temperature,
            learner=learner,
            generators=made,
        )

    @staticmethod
    def _uniforms(draws: Draws, previous: TabularWorlds | None) -> Array | None:
        return draws.uniform("context") if previous is None or previous.moves.contexts else None

    def episodes(
        self, worlds: TabularWorlds, sampling: Sampling, draws: Draws, *, as_published: bool
    ) -> TabularEpisodes:
        """A batch of trajectories in every lane."""
        return TabularEpisodes(worlds, roll(worlds, sampling, draws), sampling, as_published=as_published)
