"""The reference hypergradient of linear-quadratic followers that plan for H steps, and its proved bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.families.lqr.adjoint import symmetric
from boltzgrad.families.lqr.problem import LinearisedLQ, LinearQuadratic
from boltzgrad.families.lqr_steps.adjoint import Numbers, StepsSolution, cotangents, gathered, numbers
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel, LQStepsArrays
from boltzgrad.solvers.balls import Ball, as_ball, norm

EPS = float(np.finfo(float).eps)
_SEED, _PROBES, _ULPS = 20_261_128, 4, 2.0


@dataclass(frozen=True, eq=False)
class StepsFollower:
    """The follower's answer: `P` (H + 1, n, n), gains `K` (H, m, n) and `K_w` (zero unless the noise is observed), `covariance`
    (H, m, m) of u, and the closed loops `closed` (H, n, n).
    """

    P: Array
    K: Array
    K_w: Array
    covariance: Array
    closed: Array

    @classmethod
    def of(cls, found: StepsSolution) -> StepsFollower:
        """Of what the adjoint found."""
        loops = found.loops
        K_w = [np.zeros_like(at.K) if at.K_w is None else at.K_w for at in loops]
        gains, spreads, closed = ([getattr(at, name) for at in loops] for name in ("K", "sigma", "F"))
        return cls(np.array(found.P), np.array(gains), np.array(K_w), np.array(spreads), np.array(closed))


@dataclass(frozen=True, eq=False, repr=False)
class LQStepsHypergradient(Hypergradient):
    """J(θ) and ∇J(θ) of a `LinearQuadratic` whose follower plans for H steps; `cotangent` is an `LQStepsArrays`."""

    follower: StepsFollower
    cotangent: LQStepsArrays
    at_steps: Numbers
    linearised: LinearisedLQ

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: tapes do not travel."""
        return lqr_steps_hypergradient, (self.problem, self.theta)

    @property
    def model(self) -> FiniteHorizonLQModel:
        """The model at θ."""
        found: Any = self.linearised.model
        return found  # type: ignore[no-any-return]

    @property
    def leader(self) -> None:
        """The leader's values are closed-form here; there is no table to show."""
        return

    @property
    def size(self) -> str:
        """Dimensions and steps in words."""
        return f"{self.model.n_states} states, {self.model.n_inputs} inputs, {self.model.horizon} steps planned"

    @property
    def solution(self) -> str:
        """How the gains were found."""
        return f"Riccati, {self.model.horizon} steps back{', sees the disturbance' if self.model.observed else ''}"

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        """The adjoint on balls, every entry of radius `entry_error`; then as for all LQ problems (`lqr/error_bound.py`)."""
        eps = self.problem.entry_error
        balls = {
            name: [Ball(x, eps * norm(np.asarray(x))) for x in steps] for name, steps in numbers(self.model).items()
        }
        with np.errstate(all="ignore"):
            _, enclosed, _ = cotangents(self.model, balls)
        errors = {
            name: [_off(e, c) for e, c in zip(steps, self.at_steps[name], strict=True)]
            for name, steps in enclosed.items()
        }
        out = []
        for j in among:
            column: Any = self.linearised.pushforward(np.eye(1, self.theta.size, j)[0])
            moved = numbers(self.model.with_arrays(column))
            total, pushed, terms = 0.0, 0.0, self.model.horizon + 4
            for name, slopes in moved.items():
                for slope, c, error in zip(slopes, self.at_steps[name], errors[name], strict=True):
                    total += (1 + eps) * norm(np.asarray(slope)) * error
                    total += (2 * eps + (np.size(slope) + terms) * EPS) * float(np.abs(slope * c).sum())
                    pushed += float(np.sum(slope * c))
            out.append(total + abs(float(self.gradient[j]) - pushed))
        return np.where(np.isnan(out), np.inf, out)

    def _coordinate_estimates(self) -> Array:
        """Roundings of every entry, and of P at every step; everything solved again."""
        rng, largest = np.random.default_rng(_SEED), np.zeros(self.theta.size)

        def rounded(x: Any) -> Any:
            off = _ULPS * EPS * np.abs(x) * rng.choice((-1.0, 1.0), size=np.shape(x))
            out = np.asarray(x + off)
            square = out.ndim == 2 and np.array_equal(x, np.asarray(x).T)
            return symmetric(out) if square else out

        for _ in range(_PROBES):
            nudged = {name: [rounded(x) for x in steps] for name, steps in numbers(self.model).items()}
            _, found, _ = cotangents(self.model, nudged, rounded)
            moved = self.linearised.pullback(_assembled(self.model, found)) - self.gradient
            largest = np.maximum(largest, np.abs(moved))
        return np.asarray(largest + EPS * np.abs(self.gradient))

    def _term_sizes(self) -> Array:
        return self.array_map.root_sum_squares(self.cotangent.parts())

    def _value_scale(self) -> float:
        """Σ |∂J/∂x · x| over the entries of the leader's arrays, in which J is linear."""
        own = ("leader_Q", "leader_R", "leader_constant", "leader_terminal_Q")
        return sum(float(np.abs(getattr(self.cotangent, f) * getattr(self.model, f)).sum()) for f in own)

    def _remaining_steps(self) -> float:
        return float(self.model.horizon)

    def _array_map(self) -> ArrayMap:
        found: ArrayMap = self.problem.array_map(self.theta, self.linearised)
        return found


def _off(enclosed: Any, computed: Any) -> float:
    ball = as_ball(enclosed)
    return ball.radius + norm(ball.mid - np.asarray(computed))


def _assembled(model: FiniteHorizonLQModel, at_steps: Numbers) -> Any:
    return LQStepsArrays(**{name: gathered(model, name, steps) for name, steps in at_steps.items()})


def lqr_steps_hypergradient(
    problem: LinearQuadratic, theta: Any, *, warm_start: Any = None, tolerance: float | None = None
) -> LQStepsHypergradient:
    """The exact hypergradient by recursions over H steps (BC-HG Props 1, 2, (59)–(98), step by step).

    `warm_start` and `tolerance` are accepted for the sake of one signature; nothing here is iterated.
    """
    linearised = problem.linearise(theta)
    model: Any = linearised.model
    value, at_steps, found = cotangents(model, numbers(model))
    cotangent: Any = _assembled(model, at_steps)
    return LQStepsHypergradient(
        value=float(value),
        gradient=linearised.pullback(cotangent),
        theta=problem.check_theta(theta),
        problem=problem,
        follower=StepsFollower.of(found),
        cotangent=cotangent,
        at_steps=at_steps,
        linearised=linearised,
    )
