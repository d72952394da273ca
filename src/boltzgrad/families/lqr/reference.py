"""The reference hypergradient of linear-quadratic problems, with the exact solution it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.families.lqr.adjoint import cotangents, symmetric
from boltzgrad.families.lqr.error_bound import coordinate_bounds
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.problem import LinearisedLQ, LinearQuadratic
from boltzgrad.solvers.balls import lyapunov, stretch
from boltzgrad.solvers.lqr import LQSolution, check_leader_stable, solve_lqr

EPS = float(np.finfo(float).eps)
_SEED, _PROBES, _ULPS = 20_260_103, 4, 2.0
# Below this part of natural units products leave float64's range, with a complex step of 1e-30 among the factors.
_UNDERFLOW = 1e-270


@dataclass(frozen=True, eq=False, repr=False)
class LQHypergradient(Hypergradient):
    """J(θ) and ∇J(θ) of a `LinearQuadratic`; `follower` is the Riccati solution, `cotangent` an `LQArrays`."""

    follower: LQSolution
    cotangent: LQArrays
    linearised: LinearisedLQ

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: factorisations and tapes do not travel."""
        return lqr_hypergradient, (self.problem, self.theta)

    @property
    def model(self) -> LQModel:
        """The model at θ."""
        return self.linearised.model

    @property
    def leader(self) -> None:
        """The leader's values are closed-form here; there is no table to show."""
        return

    @property
    def size(self) -> str:
        """Dimensions and horizon in words."""
        model = self.model
        horizon = "infinite horizon" if model.horizon is None else f"{model.horizon} steps"
        return f"{model.n_states} states, {model.n_inputs} inputs, {horizon}"

    @property
    def solution(self) -> str:
        """How the Riccati equation was solved, and how well."""
        seen = ", sees the disturbance" if self.model.observed else ""
        return self.follower.describe() + seen

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        bounds = coordinate_bounds(
            self.linearised, self.follower, self.cotangent, self.gradient, self.problem.entry_error
        )
        return bounds[list(among)]

    def _coordinate_estimates(self) -> Array:
        """Roundings of every entry, and of P in a Riccati sweep; everything solved again (see `tabular/error_estimate.py`)."""
        rng, units = np.random.default_rng(_SEED), self.follower.units
        model, P0 = units.model(self.model), self.follower.P * units.of_P
        largest = np.zeros(self.theta.size)

        def rounded(x: Any, size: Any) -> Any:
            out = np.asarray(x + _ULPS * EPS * np.abs(size) * rng.choice((-1.0, 1.0), size=np.shape(x)))
            return symmetric(out) if out.ndim == 2 and np.array_equal(x, np.asarray(x).T) else out

        for _ in range(_PROBES):
            parts = {name: rounded(x, x) for name, x in model.arrays().named()}
            parts["Q"] = rounded(parts["Q"], P0)
            nudged = LQArrays(**parts)
            P = _refined(model, nudged, P0)
            _, cotangent = cotangents(model, nudged, P, lambda K: rounded(K, K))
            largest = np.maximum(largest, np.abs(self.linearised.pullback(units.cotangents(cotangent)) - self.gradient))
        return largest + EPS * np.abs(self.gradient) + _UNDERFLOW * units.reward * self.array_map.slopes

    def _term_sizes(self) -> Array:
        return self.array_map.root_sum_squares(self.cotangent.parts())

    def _value_scale(self) -> float:
        """Σ |∂J/∂x · x| over the entries of the leader's arrays, in which J is linear, and the bump."""
        own = [getattr(self.cotangent, f) * getattr(self.model, f) for f in ("leader_Q", "leader_R", "leader_constant")]
        bump = self.value - sum(float(x.sum()) for x in own) if self.model.bump is not None else 0.0
        return sum(float(np.abs(x).sum()) for x in own) + abs(bump)

    def _remaining_steps(self) -> float:
        """What a step's rounding grows to, ‖Σ_t γ^t F^t ⊗ F^t‖ in natural units, for the follower and the leader."""
        return max(self._amplification(self.model.follower_discount), self._leaders_steps())

    def _amplification(self, discount: float) -> float:
        closed = self.follower.units.factors.A * self.follower.closed
        proved = stretch(closed, discount)
        rate = discount * float(np.abs(np.linalg.eigvals(closed)).max()) ** 2
        return proved if np.isfinite(proved) else 1.0 / max(1.0 - rate, EPS)

    def _leaders_steps(self) -> float:
        """The same for the leader's own sums; where they are walked step by step, at least their discounted number."""
        model = self.model
        forever = 1.0 / (1.0 - model.leader_discount) if model.leader_discount < 1.0 else np.inf
        if model.horizon is None and model.bump is None:
            return self._amplification(model.leader_discount)
        steps = forever if model.horizon is None else min(forever, float(model.horizon))
        if model.horizon is None:
            return max(steps, self._amplification(model.leader_discount))
        grown, F = np.eye(model.n_states), self.follower.units.factors.A * self.follower.closed
        for _ in range(model.horizon - 1):
            grown = np.eye(model.n_states) + model.leader_discount * F @ grown @ F.T
        return max(steps, float(np.linalg.norm(grown, 2)))

    def _array_map(self) -> ArrayMap:
        steps = min(self.remaining_steps, 1.0 / EPS)
        scales = self.follower.units.scales(self.model, steps)
        found: ArrayMap = self.problem.array_map(self.theta, self.linearised)
        return replace(found, scales=scales.parts())


def _refined(model: LQModel, nudged: LQArrays, P: Array) -> Array:
    """P for the nudged arrays: Newton from P (the arrays may fail the model's own symmetry checks by an ulp)."""
    gamma = model.follower_discount
    for _ in range(3):
        M = nudged.R + gamma * nudged.B.T @ P @ nudged.B
        K = np.linalg.solve(M, gamma * nudged.B.T @ P @ nudged.A)
        F = nudged.A - nudged.B @ K
        P = symmetric(lyapunov(F.T, nudged.Q + K.T @ nudged.R @ K, gamma))
    return np.asarray(P)


def lqr_hypergradient(
    problem: LinearQuadratic, theta: Any, *, warm_start: Any = None, tolerance: float | None = None
) -> LQHypergradient:
    """The exact hypergradient by one Riccati solution and three Lyapunov equations (BC-HG Props 1, 2, (59)–(98)).

    `warm_start` and `tolerance` are accepted for the sake of one signature; the Riccati solve needs neither.
    """
    linearised = problem.linearise(theta)
    model = linearised.model
    solution = solve_lqr(model)
    check_leader_stable(model, solution)
    balanced = solution.units.model(model)
    value, hats = cotangents(balanced, balanced.arrays(), solution.P * solution.units.of_P)
    cotangent = solution.units.cotangents(hats)
    return LQHypergradient(
        value=solution.units.reward * float(value),
        gradient=linearised.pullback(cotangent),
        theta=problem.check_theta(theta),
        problem=problem,
        follower=solution,
        cotangent=cotangent,
        linearised=linearised,
    )
