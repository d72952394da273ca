"""Models that are solved as a table of another shape: what such a table knows of the model that it was made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from boltzgrad.core.arrays import Array


class Given(ABC):
    """A model as it was given, S states, beside the table that it is solved as.

    How what is found is said in the model's own shape: `families/tabular/as_given.py`; J without the table: `valued.py`.
    """

    model: Any
    setting: str
    """The name of what makes it one, in messages."""
    policies: bool = False
    """Whether the table's policies are the model's, so that a general f(θ, π) can judge them."""
    words: str
    """What is to be said of it besides states and actions."""

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.model.n_states)

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.model.n_actions)

    @abstractmethod
    def untraced(self) -> Given:
        """The same in plain numbers."""

    def start(self, unit: Array | float) -> Array | None:
        """Where the follower's values of the table begin, in `unit`s, if anything is known of them."""
        return None
