"""The reference hypergradient of Markov games, with the exact solutions it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient, open_policy
from boltzgrad.core.linearise import Linearised
from boltzgrad.families.game.adjoint import guidance_and_adjoint, policy_cotangent
from boltzgrad.families.game.error_bound import cotangent_bounds
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.tabular.build_rounding import RUNS
from boltzgrad.families.tabular.error_bound import MEASURED
from boltzgrad.families.tabular.error_estimate import EPS, SEED, UNCORRELATED, noise, nudge, nudged_model, probes
from boltzgrad.solvers.follower import FollowerSolution
from boltzgrad.solvers.game import GameSolution, solve_game
from boltzgrad.solvers.leader import LeaderSolution


@dataclass(frozen=True, eq=False, repr=False)
class GameHypergradient(Hypergradient):
    """J(θ) and ∇J(θ) of a `MarkovGame`.

    `cotangent` (S, A) is ∂J/∂f, `solved` both players' solutions; over a horizon they have a first axis for the step.  What the
    gradient was made from is on pairs (step, state) then: `in_policy` (rows, A) is ∂J/∂f, `on_rows` the solutions, `guidance` w
    (rows, A, B), `adjoint` y (rows,).
    """

    in_policy: Array
    on_rows: GameSolution
    guidance: Array
    adjoint: Array
    linearised: Linearised[Array, Array]

    def __reduce__(self) -> Any:
        """Pickled as problem and θ, to be solved again: factorisations and tapes do not travel."""
        return game_hypergradient, (self.problem, self.theta)

    @property
    def cotangent(self) -> Array:
        """∂J/∂f (S, A), or (H, S, A)."""
        return self._by_step(self.in_policy)

    @cached_property
    def solved(self) -> GameSolution:
        """Both players' solutions, by step where there is a horizon."""
        if self.problem.steps is None:
            return self.on_rows
        tables = ("f", "policy", "q", "value", "continuation", "planned", "q_leader", "benefit")
        given: dict[str, Any] = {name: getattr(self.on_rows, name) for name in tables}
        by_step: dict[str, Any] = {name: x if x is None else self._by_step(x) for name, x in given.items()}
        return replace(self.on_rows, **by_step)

    def _by_step(self, x: Array) -> Array:
        steps = self.problem.steps
        return x if steps is None else steps.by_step(x)

    @property
    def follower(self) -> FollowerSolution:
        """The follower on pairs (a, b), and of rows (step, state); its own policy g is `solved.policy`."""
        return self.on_rows.follower

    @property
    def leader(self) -> LeaderSolution:
        """The leader's values on pairs (a, b), and of rows (step, state)."""
        return self.on_rows.leader

    @property
    def size(self) -> str:
        """States and both players' actions in words."""
        game = self.problem
        actions = f"{game.n_leader_actions} leader's × {game.n_follower_actions} follower's actions"
        if game.steps is not None:
            return f"{game.steps.horizon} steps × {game.steps.shape[0]} states × {actions}"
        return f"{game.n_states} states × {actions}{', episodes end' if game.joint.ends else ''}"

    @property
    def solution(self) -> str:
        """How the follower was solved, and how well."""
        sees = {"action": "sees the action", "state": "does not see the action"}[self.problem.acts_on]
        planning = "" if self.problem.acts_on == self.problem.plans_on else ", plans as if it would not"
        return f"{sees}{planning}; {self.follower.describe()}"

    def _coordinate_bounds(self, among: Sequence[int]) -> Array:
        error, eps = cotangent_bounds(self.problem, self.on_rows, self.guidance, self.adjoint), self.problem.entry_error
        size = np.abs(self.in_policy)
        out = []
        for j in among:
            column = self.linearised.pushforward(np.eye(1, self.theta.size, j)[0])
            slope = np.abs(column)
            terms = int(np.count_nonzero(slope)) + 4
            lost = abs(float(self.gradient[j]) - float((column * self.in_policy).sum()))
            out.append(((1 + eps) * slope * error).sum() + (2 * eps + terms * EPS) * (slope * size).sum() + lost)
        bounds = np.asarray(out) + MEASURED * self._pullback_rounding(RUNS)[list(among)]
        return np.where(np.isnan(bounds), np.inf, bounds)

    def _coordinate_estimates(self) -> Array:
        """Roundings of the game, of f and of the Q's; everything solved again (see `tabular/error_estimate.py`)."""
        game, rng, count = self.problem, np.random.default_rng(SEED), probes(self.problem.joint)
        largest, square = np.zeros(self.theta.size), np.zeros(self.in_policy.shape)
        for _ in range(count):
            moved = _WithJoint(game, nudged_model(game.joint, self.follower, self.leader, rng))
            solved = solve_game(moved, nudge(self.on_rows.f, rng), warm_start=self.follower.value)
            cotangent = policy_cotangent(
                moved, solved, *guidance_and_adjoint(moved, solved, rounding=noise(solved.q_leader, rng))
            )
            largest = np.maximum(largest, np.abs(self.linearised.pullback(cotangent) - self.gradient))
            square += (cotangent - self.in_policy) ** 2
        through = self.array_map.root_sum_squares((np.sqrt(square / count),)) / UNCORRELATED
        return np.maximum(largest, through) + self._pullback_rounding(count) + EPS * np.abs(self.gradient)

    def _pullback_rounding(self, runs: int) -> Array:
        """What rounding every operation of the policy's derivative at random does to the gradient (d,)."""
        rounded = self.linearised.rounded
        if rounded is None:
            return np.zeros_like(self.gradient)
        rng = np.random.default_rng(SEED)
        off = [np.abs(rounded.pull((self.in_policy,), rng) - self.gradient) for _ in range(runs)]
        return np.asarray(np.max(off, axis=0))

    def _term_sizes(self) -> Array:
        return self.array_map.root_sum_squares((self.in_policy,))

    def _value_scale(self) -> float:
        return self.leader.size

    def _largest_value(self) -> float:
        return max(self.value_scale, float(np.abs(self.leader.value).max()))

    def _policy_rounding(self) -> float:
        return open_policy(self.follower.q, self.problem.joint.temperature, self.leader.q, self.leader.occupancy)

    def _remaining_steps(self) -> float:
        return max(self.follower.system.remaining_steps, self.leader.system.remaining_steps)

    def _array_map(self) -> ArrayMap:
        found: ArrayMap = self.problem.array_map(self.theta, self.linearised)
        return found


class _WithJoint(MarkovGame):
    """A game with another joint model, for the probe above."""

    def __init__(self, game: MarkovGame, joint: Any) -> None:
        self.__dict__.update(game.__dict__)
        self.joint = joint


def game_hypergradient(
    problem: MarkovGame,
    theta: Any,
    *,
    warm_start: GameHypergradient | None = None,
    tolerance: float | None = None,
) -> GameHypergradient:
    """The exact hypergradient of a game by Newton on U (S,) and one adjoint solve (BC-HG Theorem 2, (8)(9)(40))."""
    theta = problem.check_theta(theta)
    linearised = problem.linearise(theta)
    start = None if warm_start is None else warm_start.follower.value
    solved = solve_game(problem, linearised.model, warm_start=start, tolerance=tolerance)
    guidance, adjoint = guidance_and_adjoint(problem, solved)
    cotangent = policy_cotangent(problem, solved, guidance, adjoint)
    return GameHypergradient(
        value=solved.leader.expected_return,
        gradient=linearised.pullback(cotangent),
        theta=theta,
        problem=problem,
        in_policy=cotangent,
        on_rows=solved,
        guidance=guidance,
        adjoint=adjoint,
        linearised=linearised,
    )
