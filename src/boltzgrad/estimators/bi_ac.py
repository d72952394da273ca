"""Bi-AC: the partial derivative with a critic whose backup assumes a Stackelberg stage game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boltzgrad.errors import InvalidOption, NotConverged
from boltzgrad.estimators.naive import NaivePGD
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.critics import TabularCritic, along
from boltzgrad.estimators.tabular.episodes import TabularEpisodes, Values
from boltzgrad.families.game.problem import MarkovGame

_SWEEPS = 100_000
_CLOSE = 1e-10


@dataclass(frozen=True)
class Stackelberg(TabularCritic):
    """The fixed point of Q ← r_L + γ_L Σ p max_{a'} Q(s', a', b*(s', a')), b* the follower's mode.  Source: BC-HG (46)–(49).

    On states z = (s, a) of a game with `leader_actions` actions.
    """

    leader_actions: int

    def fit(self, episodes: TabularEpisodes, state: Any, draws: Draws) -> tuple[Values, Any]:
        """See `TabularCritic.fit`.  Raises: NotConverged."""
        w, A = episodes.worlds, self.leader_actions
        mode = w.policy.argmax(axis=2)[..., None]
        q = np.zeros_like(w.r_L) if state is None or state.shape != w.r_L.shape else state.copy()
        moving = np.ones(len(q), bool)
        for _ in range(_SWEEPS):
            led = np.take_along_axis(q, mode, axis=2)[..., 0].reshape(len(q), -1, A)
            best = np.repeat(led.max(axis=2), A, axis=1)
            new = w.r_L + w.gamma_L * w.expect(best)
            gap = np.abs(new - q).max(axis=(1, 2))
            # A world that has arrived waits for the others, so that it does not depend on them.
            q = np.where(moving[:, None, None], new, q)
            moving &= gap > _CLOSE * np.maximum(1.0, np.abs(q).max(axis=(1, 2)))
            if not moving.any():
                lanes = q[w.lane_world]
                return along(episodes, lanes, (w.policy * q).sum(axis=2)[w.lane_world]), q
        raise NotConverged(
            f"Bi-AC's operator moves by {gap[moving].max():.3g} after {_SWEEPS} sweeps, asked for {_CLOSE:g}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BiAC(NaivePGD):
    """Bi-level actor-critic, adapted to a follower that answers optimally.  Markov games only.

    The critic is the operator's exact fixed point; the actor follows the partial derivative.  Biased by design: the operator
    is not the leader's value, and the follower's answer is ignored.

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), C.1, (46)–(49), after Zhang, Chen, Huang, Li,
    Yang, Zhang, Wang, "Bi-Level Actor-Critic for Multi-Agent Coordination", AAAI 2020, 34:7325–7332.
    """

    name: ClassVar[str] = "bi-ac"
    label: ClassVar[str] = "Bi-AC"
    takes_follower: ClassVar[bool] = False

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for anything that is not a game in which the follower sees the leader's action."""
        if not isinstance(problem, MarkovGame) or problem.acts_on != "action":
            raise InvalidOption(
                f"Bi-AC needs a MarkovGame whose follower sees the leader's action; {problem!r} is not one"
            )
        super().check(problem)

    def critic_for(self, family: Any) -> Any:
        """The Stackelberg critic of the game."""
        if self.critic != "exact":
            raise InvalidOption(f"critic is {self.critic!r}; Bi-AC brings its own, the fixed point of its operator")
        return Stackelberg(family.game.n_leader_actions)
