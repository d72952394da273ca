"""The experiments by name."""

from __future__ import annotations

from boltzgrad.errors import unknown
from boltzgrad.experiments.experiment import Experiment
from boltzgrad.experiments.four_rooms import FOUR_ROOMS, TWO_GOALS
from boltzgrad.experiments.lqr_game import LQR_GAME
from boltzgrad.experiments.rlhf import RLHF
from boltzgrad.experiments.synthetic import SYNTHETIC, SYNTHETIC_HARD
from boltzgrad.experiments.thermal_control import THERMAL_CONTROL
from boltzgrad.experiments.toy_game import TOY_GAME
from boltzgrad.experiments.trained_follower import TRAINED_FOLLOWER

EXPERIMENTS = {
    e.name: e
    for e in (
        FOUR_ROOMS,
        TWO_GOALS,
        THERMAL_CONTROL,
        TOY_GAME,
        LQR_GAME,
        SYNTHETIC,
        SYNTHETIC_HARD,
        TRAINED_FOLLOWER,
        RLHF,
    )
}


def names() -> list[str]:
    """Every experiment's name.

    >>> names()[:2]
    ['four-rooms', 'four-rooms-two-goals']
    """
    return list(EXPERIMENTS)


def get(name: str) -> Experiment:
    """The experiment of that name.  Raises: UnknownName."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
