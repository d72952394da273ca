r"""Tabular models, many at once, with the follower solved: what estimators sample from and what a white-box follower knows.

A *world* is one model at one θ (one context of it); a *lane* is one independent batch of samples.  In an experiment every
lane has its own θ; when an estimator is checked, all lanes live in one world.  The solves are Newton's method on
V = TV, in all worlds at once, each world stopped by its own residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.tabular.newton import expectation, factors, newton
from boltzgrad.estimators.tabular.successors import Successors
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.horizon.expanded import expanded
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.contexts import ContextualArrays, ContextualModel
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP, LinearisedBuild
from boltzgrad.solvers import FollowerSolution, LeaderSolution, evaluate_leader, solve_follower
from boltzgrad.solvers.linear.direct import DenseLU

_DENSE = 600  # states up to which stacked dense solves are the fastest way


def as_tabular(problem: Any) -> ConfigurableMDP:
    """The problem as a table: a Markov game on (state, leader's action), a finite horizon on (step, state).

    Raises: InvalidOption.
    """
    if isinstance(problem, MarkovGame):
        return problem.as_configurable_mdp()
    if isinstance(problem, ConfigurableMDP):
        return expanded(problem) if problem.model_kind is FiniteHorizonModel else problem
    raise InvalidOption(f"{problem!r} is not tabular; this estimator needs a ConfigurableMDP or a MarkovGame")


@dataclass(frozen=True)
class Moves:
    """Which arrays of a model depend on θ."""

    transition: bool
    initial: bool
    follower_reward: bool
    leader_reward: bool
    probabilities: bool
    contexts: bool


def moves(linearised: LinearisedBuild, seed: int = 0) -> Moves:
    """Which arrays move along a random direction in θ."""
    direction = np.random.default_rng(seed).standard_normal(linearised.dim)
    tangent = linearised.pushforward(direction)

    def any_of(name: str) -> bool:
        return any(np.any(getattr(part, name)) for part in tangent.models)

    own = any(p.follower_transition is not None and np.any(p.follower_transition) for p in tangent.models)
    return Moves(
        transition=any_of("transition") or own,
        initial=any_of("initial"),
        follower_reward=any_of("follower_reward"),
        leader_reward=any_of("leader_reward"),
        probabilities=bool(np.any(tangent.probabilities)),
        contexts=len(tangent.models) > 1,
    )


class TabularWorlds:
    """W solved models and the lanes that live in them.

    `value` V_F (W, S), `policy` (W, S, A), rewards (W, S, A); `lane_world` (L,) the world of each lane, `lane_theta` (L,) the
    index of its θ.  `acting` (W, S, A) is the policy by which trajectories go: `policy` itself, unless that is an estimate.
    The context of a lane is given by `contexts` (L,), or drawn from `uniforms` (L,) by its probability.  `temperature` takes
    the place of the models' own.

    Raises: NotConverged if a follower's residual misses what float64 can reach; InvalidTheta, InvalidModel from `build`.
    """

    successors: Successors
    moves: Moves
    value: Array
    policy: Array
    acting: Array
    followers: list[FollowerSolution]

    def __init__(
        self,
        problem: ConfigurableMDP,
        thetas: Array,
        lane_theta: Array,
        *,
        uniforms: Array | None = None,
        contexts: Array | None = None,
        temperature: float | None = None,
        previous: TabularWorlds | None = None,
    ) -> None:
        self.problem, self.thetas = problem, np.asarray(thetas, float)
        self._factors: list[tuple[tuple[float, bool], Array, list[DenseLU]]] = []
        self.lane_theta = np.asarray(lane_theta)
        self.linearised = [problem.linearise(theta) for theta in self.thetas]
        models: list[TabularModel] = []
        offsets = []
        for lin in self.linearised:
            offsets.append(len(models))
            models += lin.model.models
        if any(m.leader_temperature for m in models):
            raise InvalidOption(
                f"{problem!r} has a leader_temperature: estimators sample the leader's reward r_L alone"
            )
        self.continued = temperature is not None
        if temperature is not None:
            if any(m.reference is not None or m.available is not None or m.moving for m in models):
                raise InvalidOption(
                    f"temperature is set to {temperature:g}; continuation is for plain followers, and {problem!r} has a "
                    "reference, a mask, or a rate that depends on theta"
                )
            models = [replace(m, temperature=temperature) for m in models]
        self.models, self.offsets = models, np.asarray(offsets)
        self.lane_world = self.offsets[self.lane_theta] + (
            np.asarray(contexts) if contexts is not None else self._contexts(uniforms)
        )
        first = models[0]
        if not alike(models):
            raise InvalidOption(
                f"the contexts of {problem!r} differ in shape, discounts or temperature; they must be alike"
            )
        self.S, self.A = first.n_states, first.n_actions
        self.gamma_F, self.gamma_L, self.tau = first.follower_discount, first.leader_discount, float(first.temperature)
        self.r_F = np.stack([m.follower_reward for m in models])
        self.r_L = np.stack([m.leader_reward for m in models])
        self.initial = np.stack([m.initial for m in models])
        self.successors = Successors.of([m.kernel for m in models], previous.successors if previous else None)
        self.moves = previous.moves if previous is not None else moves(self.linearised[0])
        warm = previous.value if previous is not None and previous.value.shape == self.r_F.shape[:2] else None
        self._solve(warm)

    def _contexts(self, uniforms: Array | None) -> Array:
        counts = [len(lin.model.models) for lin in self.linearised]
        if max(counts) == 1:
            return np.zeros(self.lane_theta.size, int)
        if uniforms is None:
            raise InvalidOption("a problem with contexts needs `uniforms` to draw the lanes' contexts from")
        edges = np.stack([np.cumsum(lin.model.probabilities) for lin in self.linearised])[self.lane_theta]
        return np.asarray(np.minimum((uniforms[:, None] >= edges).sum(axis=1), edges.shape[1] - 1))

    @property
    def lanes(self) -> int:
        """Number of lanes L."""
        return int(self.lane_world.size)

    @property
    def dense(self) -> bool:
        """Whether all worlds are small enough for stacked dense solves."""
        kernels = (k for m in self.models for k in (m.kernel, m.follower_kernel))
        return self.S <= _DENSE and all(isinstance(k, DenseKernel) for k in kernels)

    @cached_property
    def kernels(self) -> Array:
        """P (1 or W, S, A, S) of the worlds, dense."""
        return _stack([m.kernel.values for m in self.models])

    @cached_property
    def planned(self) -> Array:
        """The kernel (1 or W, S, A, S) the follower plans with."""
        return _stack([m.follower_kernel.values for m in self.models])

    def _solve(self, warm: Array | None) -> None:
        """The followers of all worlds: `value`, `policy`, `acting`, and `followers` where the worlds are large."""
        if self.dense:
            self.value, self.policy = newton(self.planned, self.r_F, self.gamma_F, self.tau, warm)
        else:
            self.followers = [
                solve_follower(m, warm_start=None if warm is None else warm[i]) for i, m in enumerate(self.models)
            ]
            self.value = np.stack([f.value for f in self.followers])
            self.policy = np.stack([f.policy for f in self.followers])
        self.acting = self.policy

    def expect(self, v: Array, *, planned: bool = False) -> Array:
        """Σ_{s'} p(s'|s,a) v(s') in every world: (W, S) → (W, S, A)."""
        if self.dense:
            return expectation(self.planned if planned else self.kernels, v)
        kernels = [m.follower_kernel if planned else m.kernel for m in self.models]
        return np.stack([k.expect(x) for k, x in zip(kernels, v, strict=True)])

    @cached_property
    def leader(self) -> tuple[Array, Array]:
        """(V_L (W, S), Q_L (W, S, A)) under the policy that acts, exact."""
        if self.dense:
            reward = (self.acting * self.r_L).sum(axis=2)
            v = np.stack([f.solve(r) for f, r in zip(self.factors(), reward, strict=True)])
        else:
            v = np.stack([x.value for x in self._leaders()])
        return v, self.r_L + self.gamma_L * self.expect(v)

    def occupancy(self) -> Array:
        """ν = (I − γ_L P_π)^{-T} ρ (W, S): expected discounted visits."""
        if self.dense:
            pairs = zip(self.factors(), self.initial, strict=True)
            return np.stack([f.solve(rho, transposed=True) for f, rho in pairs])
        return np.stack([x.occupancy for x in self._leaders()])

    def _leaders(self) -> list[LeaderSolution]:
        own = self.acting is self.policy  # whose systems are factorised
        return [
            evaluate_leader(m, f, policy=None if own else self.acting[i])
            for i, (m, f) in enumerate(zip(self.models, self.followers, strict=True))
        ]

    def factors(self, *, follower: bool = False) -> list[DenseLU]:
        """Of I − γ P_π of every world: the policy that acts and the leader's discount, or the follower's own and its kernel."""
        gamma, policy = (self.gamma_F, self.policy) if follower else (self.gamma_L, self.acting)
        planned = follower and any(m.own_kernel for m in self.models)
        for known, of, made in self._factors:
            if known == (gamma, planned) and of is policy:
                return made
        kernels = self.planned if planned else self.kernels
        made = factors(policy, kernels, gamma)
        self._factors.append(((gamma, planned), policy, made))
        return made

    def through_follower(self, weights: Array, world: Array) -> Array:
        """Cotangents on ∇V_F (n, S) in worlds `world` (n,) as cotangents y (n, S) on the immediate gradient: R'c."""
        if self.dense:
            own = self.factors(follower=True)
            if len(own) == 1 and len(weights) > 1:
                return np.asarray(own[0].solve(weights.T, transposed=True).T)
            return np.stack([own[w].solve(x, transposed=True) for w, x in zip(world, weights, strict=True)])
        return np.stack([self.followers[w].system.solve_transposed(x).x for w, x in zip(world, weights, strict=True)])

    def spread_back(self, weights: Array, world: Array) -> Array:
        """Σ_{s,a} p_F(s'|s,a) weights(s,a): (n, S, A) in worlds (n,) → (n, S)."""
        if self.dense:
            if len(self.planned) == 1:
                return np.asarray(np.einsum("nsa,sat->nt", weights, self.planned[0]))
            return np.asarray(np.einsum("nsa,nsat->nt", weights, self.planned[world]))
        return np.stack([self.models[w].follower_kernel.accumulate(x) for w, x in zip(world, weights, strict=True)])

    def objective(self) -> Array:
        """J(θ) of every θ, (n_theta,): the exact return, contexts averaged (the regulariser included)."""
        per_world = (self.initial * self.leader[0]).sum(axis=1)
        out = []
        for i, lin in enumerate(self.linearised):
            part = per_world[self.offsets[i] : self.offsets[i] + len(lin.model.models)]
            value = float(np.asarray(lin.model.probabilities) @ part)
            if self.problem.regulariser is not None:
                value += self.problem.regulariser.value(self.thetas[i])
            out.append(value)
        return np.asarray(out)

    def probability_of(self, lane: int) -> float:
        """The probability of the context that a lane drew."""
        i = int(self.lane_theta[lane])
        return float(self.linearised[i].model.probabilities[self.lane_world[lane] - self.offsets[i]])

    def pull(self, lane: int, arrays: TabularArrays, probability: float = 0.0) -> Array:
        """The gradient (d,) of one lane's sampled cotangent, put at the context that the lane drew."""
        i = int(self.lane_theta[lane])
        lin = self.linearised[i]
        contexts: ContextualModel = lin.model
        at = int(self.lane_world[lane] - self.offsets[i])
        empty = None
        parts = []
        for c in range(len(contexts.models)):
            if c == at:
                parts.append(arrays)
            else:
                empty = empty or arrays.map(np.zeros_like)
                parts.append(empty)
        weights = np.zeros(len(parts))
        weights[at] = probability
        out = lin.pullback(ContextualArrays(tuple(parts), weights))
        if self.problem.regulariser is not None:
            out = out + self.problem.regulariser.gradient_at(self.thetas[i])
        return out


def alike(models: Sequence[TabularModel]) -> bool:
    """Whether all models have the same shape, discounts and temperature, so that they can be solved side by side."""
    return (
        len(
            {
                (m.follower_reward.shape, m.follower_discount, m.leader_discount, m.temperature, m.own_kernel)
                for m in models
            }
        )
        == 1
    )


def stackable(problem: Any) -> bool:
    """Whether a problem's returns can be solved at many θ side by side; else `boltzgrad.hypergradient` is asked for each."""
    if isinstance(problem, MarkovGame):
        return problem.plans_on == problem.acts_on
    return (
        isinstance(problem, ConfigurableMDP)
        and problem.model_kind is TabularModel
        and not isinstance(problem.objective, PolicyObjective)
        and alike(models := problem.contexts(problem.initial_theta(seed=0)).models)
        and not any(m.leader_temperature for m in models)
    )


def _stack(values: Sequence[Array]) -> Array:
    """Kernels stacked; one copy if every world has the same array."""
    if all(v is values[0] for v in values):
        return values[0][None]
    return np.stack(values)
