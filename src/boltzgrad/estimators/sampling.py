r"""How a batch of trajectories is drawn, and what a discount becomes under it.

`horizon="geometric"` ends a trajectory with probability 1 − κ after every step, κ = max(γ_L, γ_F), and weighs with γ/κ
instead of γ: an infinite discounted sum from finitely many steps, without bias (HPGD Alg. 2 and 5 are the case
γ_L = γ_F).  `horizon="episode"` waits for the model's own end (or until γ^T < 10⁻¹²); a number T cuts after T steps and
has a bias of the order γ^T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from boltzgrad.errors import InvalidOption

Horizon = Literal["geometric", "episode"] | int

_TAIL = 1e-12


@dataclass(frozen=True)
class Sampling:
    """`episodes` trajectories a batch, each as long as `horizon` says.

    With `steps`, instead, `episodes` environments run for exactly that many steps and start again whenever an episode
    ends or lasts `time_limit` steps, as the published experiments do; what is cut is treated as an end (a bias, as is a
    `time_limit` without `steps`).

    Raises: InvalidOption.
    """

    episodes: int = 10
    horizon: Horizon = "geometric"
    steps: int | None = None
    time_limit: int | None = None

    def __post_init__(self) -> None:
        positive_count("episodes", self.episodes)
        if isinstance(self.horizon, str):
            if self.horizon not in ("geometric", "episode"):
                raise InvalidOption(
                    f"horizon is {self.horizon!r}; expected 'geometric', 'episode' or a number of steps"
                )
        else:
            positive_count("horizon", self.horizon)
        for name in ("steps", "time_limit"):
            if getattr(self, name) is not None:
                positive_count(name, getattr(self, name))

    def survival(self, *discounts: float) -> float:
        """κ: the probability that a trajectory goes on after a step."""
        if self.steps is None and self.horizon == "geometric":
            return max(discounts)
        return 1.0

    def limit(self, *discounts: float) -> int:
        """The largest number of steps of a trajectory."""
        if self.steps is not None:
            return self.steps
        if isinstance(self.horizon, str):
            worst = max(discounts)
            # Geometric lengths beyond this have probability 10⁻¹²: the cut is far below rounding of any mean.
            return 1 if worst == 0.0 else int(np.ceil(np.log(_TAIL) / np.log(worst))) + 1
        return self.horizon


def positive_count(name: str, value: object) -> int:
    """`value` as a positive integer.  Raises: InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidOption(f"{name} is {value!r}; expected a positive integer")
    return int(value)
