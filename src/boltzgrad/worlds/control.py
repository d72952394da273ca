"""Two classic control problems, from their published constants, on grids of any size.

The dynamics are those of Gymnasium's Pendulum-v1 and MountainCar-v0 (Moore 1990; Sutton and Barto 2018, example 10.1), written
from their documentation; tests hold each against the environments' own `step` at random states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.worlds.grid import Discretised, discretise

GRAVITY, MASS, LENGTH, STEP, FASTEST, STRONGEST = 10.0, 1.0, 1.0, 0.05, 8.0, 2.0
"""The pendulum's [m/s², kg, m, s, rad/s, N m]."""
FORCE, SLOPE, SPEED, LEFT, RIGHT, GOAL = 0.001, 0.0025, 0.07, -1.2, 0.6, 0.5
"""The car's, in its own units a step."""


def pendulum_step(x: Array, u: Array) -> Array:
    """(angle from upright, angular velocity) (N, 2) after one step under a torque u (1,)."""
    torque = np.clip(u[0], -STRONGEST, STRONGEST)
    faster = 1.5 * GRAVITY / LENGTH * np.sin(x[:, 0]) + 3.0 / (MASS * LENGTH**2) * torque
    speed = np.clip(x[:, 1] + faster * STEP, -FASTEST, FASTEST)
    return np.stack([x[:, 0] + speed * STEP, speed], axis=1)


def pendulum_reward(x: Array, u: Array, y: Array) -> Array:
    """− angle² − 0.1 velocity² − 0.001 torque² (N,), before the step."""
    angle = np.mod(x[:, 0] + np.pi, 2.0 * np.pi) - np.pi
    return np.asarray(-(angle**2 + 0.1 * x[:, 1] ** 2 + 0.001 * np.clip(u[0], -STRONGEST, STRONGEST) ** 2))


def pendulum(
    shape: Sequence[int] = (101, 101), *, torques: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0), discount: float = 0.97
) -> Discretised:
    """The pendulum on a grid of angles (periodic) and velocities; states are (angle from upright, velocity).

    >>> pendulum((21, 21)).shape
    (441, 5)
    """
    return discretise(
        pendulum_step,
        low=[-np.pi, -FASTEST],
        high=[np.pi, FASTEST],
        shape=shape,
        periodic=[True, False],
        actions=torques,
        reward=pendulum_reward,
        discount=discount,
    )


def car_step(x: Array, u: Array) -> Array:
    """(position, velocity) (N, 2) after one step under a push u (1,) of −1, 0 or 1."""
    speed = np.clip(x[:, 1] + FORCE * u[0] - SLOPE * np.cos(3.0 * x[:, 0]), -SPEED, SPEED)
    place = np.clip(x[:, 0] + speed, LEFT, RIGHT)
    return np.stack([place, np.where((place <= LEFT) & (speed < 0.0), 0.0, speed)], axis=1)


def mountain_car(shape: Sequence[int] = (101, 101), *, discount: float = 0.99) -> Discretised:
    """The car that has to swing up a hill: −1 a step until the goal; starts uniformly in [−0.6, −0.4], at rest.

    >>> mountain_car((21, 21)).outcomes.end.max()
    np.float64(1.0)
    """
    return discretise(
        car_step,
        low=[LEFT, -SPEED],
        high=[RIGHT, SPEED],
        shape=shape,
        actions=[-1.0, 0.0, 1.0],
        reward=lambda x, u, y: -np.ones(len(x)),
        terminal=lambda y: (y[:, 0] >= GOAL) & (y[:, 1] >= 0.0),
        discount=discount,
        initial=np.stack([np.linspace(-0.6, -0.4, 41), np.zeros(41)], axis=1),
    )
