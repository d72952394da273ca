"""Models that are solved as a table of another shape, and how what is found is said in their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.model import TabularArrays

if TYPE_CHECKING:
    from boltzgrad.families.tabular.sensitivities import Sensitivities
    from boltzgrad.solvers.leader import LeaderSolution


@dataclass(frozen=True)
class Valued:
    """J by sweeps through a model as it was given: [J] the value, which may be complex, the follower's values to start from
    next time, and what an estimate of its error needs: the last change of any sweep relative to its size, their number, the
    rounding [J] and how many steps count.
    """

    value: Any
    start: Array
    change: float
    sweeps: int
    rounding: float
    steps: float


@dataclass(frozen=True, eq=False)
class Stated(TabularArrays):
    """∂J/∂(what was given) of a model that is solved as another table: as in `Sensitivities`, the rest by name."""

    temperature: Any = 0.0
    follower_discount: float = 0.0
    leader_discount: float = 0.0
    leader_temperature: float = 0.0
    log_reference: Any = 0.0
    log_leader_reference: Any = 0.0


class Given(ABC):
    """A model as it was given, S states, beside the table that it is solved as."""

    n_states: int
    n_actions: int
    setting: str
    """The name of what makes it one, in messages."""
    policies: bool = False
    """Whether the table's policies are the model's, so that a general f(θ, π) can judge them."""
    words: str
    """What is to be said of it besides states and actions."""

    @abstractmethod
    def untraced(self) -> Given:
        """The same in plain numbers."""

    @abstractmethod
    def leader(self, solution: LeaderSolution) -> LeaderSolution:
        """The leader's solution in the model's own shape."""

    @abstractmethod
    def cotangent(self, found: Sensitivities) -> Stated:
        """∂J/∂(what was given) from that of the table."""

    @abstractmethod
    def valued(self, start: Array | None) -> Valued:
        """J, without the table: what finite and complex differences are taken of."""
