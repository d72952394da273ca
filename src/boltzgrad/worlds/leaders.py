r"""What leaders set in a world: each says the shape of its part of θ, and what that part does.

At θ = 0 they leave the world as it is; but a penalty budget is shared out evenly, and payments are log 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import log_softmax, softmax
from boltzgrad.errors import InvalidOption

if TYPE_CHECKING:
    from boltzgrad.worlds.world import World


class RewardDesign(ABC):
    """A leader that changes what the follower is paid."""

    @abstractmethod
    def shape(self, world: World) -> tuple[int, ...]:
        """The shape of its part of θ.  Raises: InvalidOption where it does not fit the world."""

    @abstractmethod
    def paid(self, world: World, theta: Any) -> Any:
        """What comes on top of the world's reward (S, A)."""

    def costs(self, world: World, paid: Any) -> Any:
        """What of that the leader has to pay (S, A)."""
        return 0.0


@dataclass(frozen=True)
class Table(RewardDesign):
    """A reward of its own for every state and action: θ (S, A) is added."""

    def shape(self, world: World) -> tuple[int, ...]:
        """See `RewardDesign`."""
        return world.shape

    def paid(self, world: World, theta: Any) -> Any:
        """See `RewardDesign`."""
        return theta


@dataclass(frozen=True, eq=False)
class Features(RewardDesign):
    """Σ_k θ_k φ_k is added; `features` (S, k) of a state, or (S, A, k)."""

    features: Any

    def shape(self, world: World) -> tuple[int, ...]:
        """See `RewardDesign`."""
        x = np.asarray(self.features, float)
        S, A = world.shape
        if x.ndim not in (2, 3) or x.shape[:-1] not in ((S,), (S, A)):
            raise InvalidOption(f"features has shape {x.shape}, expected ({S}, k) or ({S}, {A}, k) as in the world")
        return x.shape[-1:]

    def paid(self, world: World, theta: Any) -> Any:
        """See `RewardDesign`."""
        x = np.asarray(self.features, float)
        worth = anp.dot(x, theta)
        return worth if x.ndim == 3 else worth[:, None] * np.ones(world.shape)


@dataclass(frozen=True, eq=False)
class PenaltyBudget(RewardDesign):
    """A `budget` of penalties shared out among `states` by softmax(θ), as in Four-Rooms (BC-HG 5.1): −budget · softmax(θ)_s."""

    states: Sequence[int]
    budget: float = 1.0

    def shape(self, world: World) -> tuple[int, ...]:
        """See `RewardDesign`."""
        _checked_states(self.states, world)
        return (len(self.states),)

    def paid(self, world: World, theta: Any) -> Any:
        """See `RewardDesign`."""
        return placed(-self.budget * softmax(theta), self.states, world.shape[0])[:, None] * np.ones(world.shape)


@dataclass(frozen=True, eq=False)
class Payments(RewardDesign):
    """Payments that cannot be negative, log(1 + exp θ) where `where` (S, A) is true; the leader pays `price` times as much."""

    where: Any = None
    price: float = 1.0

    def shape(self, world: World) -> tuple[int, ...]:
        """See `RewardDesign`."""
        count = int(self._where(world).sum())
        if not count:
            raise InvalidOption("where is false everywhere: there is nothing to pay for")
        return (count,)

    def _where(self, world: World) -> Array:
        if self.where is None:
            return np.ones(world.shape, bool)
        where = np.asarray(self.where)
        if where.shape != world.shape or where.dtype != bool:
            raise InvalidOption(f"where has shape {where.shape} of {where.dtype}, expected {world.shape} of bool")
        return where

    def paid(self, world: World, theta: Any) -> Any:
        """See `RewardDesign`."""
        S, A = world.shape
        # log(1 + exp θ) = −log σ(−θ), which neither overflows nor cancels.
        soft = -log_softmax(anp.stack([-theta, 0.0 * theta], axis=-1))[:, 0]
        return anp.reshape(placed(soft, np.flatnonzero(self._where(world)), S * A), (S, A))

    def costs(self, world: World, paid: Any) -> Any:
        """See `RewardDesign`."""
        return self.price * paid


@dataclass(frozen=True)
class Logits:
    """Probabilities p ∝ p₀ exp θ: θ has an entry for each outcome that the world allows, none for its end."""


@dataclass(frozen=True)
class Temperatures:
    """The follower's temperature in each state, `base` · exp θ_s."""

    base: float


def placed(x: Any, places: Any, size: int) -> Any:
    """A vector (size,) with the entries of x (k,) at `places`, and zeros elsewhere; traced by autograd."""
    source = np.full(size, len(places))
    source[np.asarray(places)] = np.arange(len(places))
    return anp.concatenate([x, np.zeros(1)])[source]


def _checked_states(states: Sequence[int], world: World) -> None:
    if not isinstance(states, (list, tuple, range, np.ndarray)):
        raise InvalidOption(f"states is {states!r}; expected a list of states")
    bad = [s for s in states if not (isinstance(s, (int, np.integer)) and 0 <= s < world.shape[0])]
    if bad or len(set(states)) != len(states) or not len(states):
        what = f"{bad[0]!r} is none of 0 … {world.shape[0] - 1}" if bad else "each once, at least one"
        raise InvalidOption(f"states: {what}")
