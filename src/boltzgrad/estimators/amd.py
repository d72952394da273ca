"""Adaptive model design: tables of values and of their gradients, backed up together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import Kernel
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.newton import soften
from boltzgrad.estimators.tabular.worlds import as_tabular
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class AMD(Estimator):
    r"""Model-based backups of Q_F, ∇Q_F, Q_L and the gradient value, `sweeps` joint Jacobi sweeps.

        Q_F ← r_F + γ_F P V_F,   ∇Q_F ← ∇r_F + γ_F (P ∇V_F + ∇p V_F),   Q_L ← r_L + γ_L P V_L,
        G ← ∇r_L + (1/τ) A_L ∇A_F + γ_L (P πG + ∇p V_L);   the estimate is Σ_s ρ (πG)(s) (+ ∇ρ V_L).

    Deterministic.  The tables live on from one call of a run to the next; a single estimate starts from zero and has a bias
    that falls like γ^sweeps.  (Algorithm 7 prints exp(λQ) and a factor λ where 1/λ is meant.)

    Source: HPGD (Thoma, Pásztor, Krause, Ramponi, Hu 2024, arXiv:2406.01575), Algorithm 7, after
    Chen, Yang, Li, Wang, Yang, Wang, "Adaptive model design for Markov decision process", ICML 2022.
    """

    name: ClassVar[str] = "amd"
    label: ClassVar[str] = "AMD"
    sweeps: int = 100

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for a general objective or a problem that is not tabular."""
        positive_count("sweeps", self.sweeps)
        if isinstance(as_tabular(problem).objective, PolicyObjective):
            raise InvalidOption(f"AMD backs up the leader's rewards; {problem!r} has a general objective f(θ, π)")
        tabular = as_tabular(problem)
        if any(m.leader_temperature for m in tabular.contexts(tabular.initial_theta(seed=0)).models):
            raise InvalidOption(f"AMD backs up the leader's rewards; {problem!r} has a leader_temperature besides")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _AMDRun(self, as_tabular(problem), draws.lanes)


class _AMDRun(Run):
    def __init__(self, estimator: AMD, problem: ConfigurableMDP, lanes: int) -> None:
        self.estimator, self.problem = estimator, problem
        self.tables: list[list[_Tables]] = []

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        out = np.empty_like(thetas)
        for i, theta in enumerate(thetas):
            lin = self.problem.linearise(theta)
            contexts = lin.model
            models = contexts.models
            if self.temperature is not None:
                models = [replace(m, temperature=self.temperature) for m in models]
            columns = [lin.pushforward(e) for e in np.eye(self.problem.dim)]
            if len(self.tables) <= i:
                self.tables.append([_Tables(m, self.problem.dim) for m in contexts.models])
            total = np.zeros(theta.size)
            for c, (model, table) in enumerate(zip(models, self.tables[i], strict=True)):
                value, gradient = table.back_up(model, [t.models[c] for t in columns], self.estimator.sweeps)
                total += contexts.probabilities[c] * gradient
                total += value * np.array([t.probabilities[c] for t in columns])
            if self.problem.regulariser is not None:
                total += self.problem.regulariser.gradient_at(theta)
            out[i] = total
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        return Estimates(out[lanes], np.zeros(lanes.size, int))


class _Tables:
    """Q_F, ∇Q_F, Q_L and G of one model, kept from call to call."""

    def __init__(self, model: TabularModel, dim: int) -> None:
        shape = model.follower_reward.shape
        self.q, self.q_leader = np.zeros(shape), np.zeros(shape)
        self.grad_q, self.guide = np.zeros((*shape, dim)), np.zeros((*shape, dim))

    def back_up(self, model: TabularModel, columns: list[TabularArrays], sweeps: int) -> tuple[float, Array]:
        """(J, ∇J) of this model after the sweeps."""
        S, A = model.follower_reward.shape
        d = len(columns)
        tau, gamma_F, gamma_L = model.temperature, model.follower_discount, model.leader_discount
        world, planned = _csr(model.kernel), _csr(model.follower_kernel)
        grad_r = np.stack([c.follower_reward for c in columns], axis=-1)
        grad_leader = np.stack([c.leader_reward for c in columns], axis=-1)
        moving = [_moving(model.kernel, c.transition) for c in columns]
        own = [
            m if c.follower_transition is None else _moving(model.follower_kernel, c.follower_transition)
            for m, c in zip(moving, columns, strict=True)
        ]

        def score(parts: list[Any], v: Array) -> Array | float:
            if all(p is None for p in parts):
                return 0.0
            return np.stack([np.zeros(S * A) if p is None else p @ v for p in parts], axis=-1).reshape(S, A, d)

        for _ in range(sweeps):
            v, policy = soften(self.q, tau)
            mean = policy[:, :, None]
            grad_v, v_leader = (mean * self.grad_q).sum(axis=1), (policy * self.q_leader).sum(axis=1)
            benefit = self.q_leader - v_leader[:, None]
            advantage = self.grad_q - grad_v[:, None, :]
            ahead = (mean * self.guide).sum(axis=1)
            self.guide = (
                grad_leader
                + benefit[:, :, None] * advantage / tau
                + gamma_L * ((world @ ahead).reshape(S, A, d) + score(moving, v_leader))
            )
            self.grad_q = grad_r + gamma_F * ((planned @ grad_v).reshape(S, A, d) + score(own, v))
            self.q = model.follower_reward + gamma_F * (planned @ v).reshape(S, A)
            self.q_leader = model.leader_reward + gamma_L * (world @ v_leader).reshape(S, A)
        _, policy = soften(self.q, tau)
        v_leader = (policy * self.q_leader).sum(axis=1)
        start = np.stack([c.initial for c in columns], axis=-1)
        gradient = model.initial @ (policy[:, :, None] * self.guide).sum(axis=1) + v_leader @ start
        return float(model.initial @ v_leader), np.asarray(gradient)


def _csr(kernel: Kernel) -> sparse.csr_array:
    """The kernel as a sparse matrix (S·A, S)."""
    return sparse.csr_array(kernel.flat)


def _moving(kernel: Kernel, values: Array) -> Any:
    """A tangent of the kernel as a matrix (S·A, S), or None where it is zero."""
    return kernel.with_values(np.asarray(values)).flat if np.any(values) else None
