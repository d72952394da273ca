"""J of a finite-horizon problem by a pass of its own, real or complex, for differencing."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array, largest
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import CALL
from boltzgrad.core.sweep import EPS
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.contexts import as_contexts
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.witnesses.differences import Evaluator, difference_routes

_OPEN = 0.05  # [1] what rounding may move log π by, from which on first order says nothing of the policy


class HorizonEvaluator(Evaluator):
    """J(θ) of a `ConfigurableMDP` over a finite horizon, step by step from the end and then from the start."""

    def __init__(self, problem: ConfigurableMDP) -> None:
        self.problem, self._first = problem, True

    def __call__(self, theta: Array) -> complex:
        """J at θ.  Raises: whatever `build` raises there."""
        problem, contexts = self.problem, as_contexts(self.problem.build(theta))
        total: complex = 0.0
        for model, weight in zip(contexts.models, contexts.probabilities, strict=True):
            policies, coldest, largest = planned(model)
            if isinstance(problem.objective, PolicyObjective):
                value = problem.objective.function(theta, np.stack(policies))
                size = float(np.abs(value))
            else:
                value, size = collected(model, policies)
            total += weight * value
            if self._first:
                cold = largest / coldest
                opened = 4.0 * EPS * cold
                self.rounding += EPS * (8.0 + model.horizon) * size * (1.0 + cold) + (size if opened > _OPEN else 0.0)
                self.work += 30.0 * model.horizon * (model.follower_reward.size + np.size(model.transition)) + CALL
        self._first = False
        if problem.regulariser is not None:
            total += problem.regulariser.function(theta)
        return total

    def units(self, theta: Array) -> Array:
        """The problem's own natural steps (d,)."""
        units: Array = self.problem.array_map(theta).units
        return units


def matrices(model: FiniteHorizonModel, name: str, like: Any = None) -> list[Any]:
    """A kernel of each step as a matrix (S·A, S), from the model's values alone, or from those of a tangent `like` it."""
    values, pattern = getattr(model if like is None else like, name), model.patterns[name == "follower_transition"]
    S, A, H = model.n_states, model.n_actions, model.horizon
    if pattern is None:
        return [values.reshape(-1, S * A, S)[t if values.ndim == 4 else 0] for t in range(H)]
    rows = [values] if values.ndim == 1 else list(values)
    made = [sparse.csr_array((x, pattern.indices, pattern.indptr), shape=(S * A, S)) for x in rows]
    return made * H if len(made) == 1 else made


def planned(model: FiniteHorizonModel) -> tuple[list[Array], float, float]:
    """(the policy of each step, the least τ, the largest |Q_F|), from the end; real or complex."""
    shape, H = (model.n_states, model.n_actions), model.horizon
    kernels = matrices(model, "follower_transition" if model.own_kernel else "transition")
    tau = np.broadcast_to(np.asarray(model.temperature), (shape[0],))[:, None]
    worth, greatest = model.terminal_follower_reward, 0.0
    policies: list[Array] = []
    for t in range(H - 1, -1, -1):
        q = _of(model.follower_reward, t) + model.follower_discount * (kernels[t] @ worth).reshape(shape)
        greatest = max(greatest, float(np.abs(q).max()))
        tilted = q + tau * _of(model.log_reference, t)
        if model.mask is not None:
            mask = model.mask if model.mask.ndim == 2 else model.mask[t]
            tilted = np.where(mask, tilted, tilted.real.min() - 2000.0 * tau.real)
        best = largest(tilted)
        odds = np.exp((tilted - best) / tau)
        whole = odds.sum(axis=1, keepdims=True)
        policies.insert(0, odds / whole)
        worth = (best + tau * np.log(whole))[:, 0]
    return policies, float(np.abs(tau).min()), greatest


def collected(model: FiniteHorizonModel, policies: list[Array]) -> tuple[complex, float]:
    """(the leader's return, Σ |terms| of it), adding up along the way from the start."""
    kernels, crowd = matrices(model, "transition"), np.asarray(model.initial)
    total: complex = 0.0
    size, kept = 0.0, np.asarray(1.0)
    for t, policy in enumerate(policies):
        pay = _of(model.leader_reward, t)
        if model.regularised:
            logs = np.log(np.where(policy != 0.0, policy, 1.0)) - _of(model.log_leader_reference, t)
            pay = pay - model.leader_temperature * np.where(policy != 0.0, logs, 0.0)
        taken = crowd[:, None] * policy
        total = total + kept * (taken * pay).sum()
        size += float(np.abs(kept * taken * pay).sum())
        crowd, kept = kernels[t].T @ taken.ravel(), kept * model.leader_discount
    last = kept * (crowd * model.terminal_leader_reward)
    return total + last.sum(), size + float(np.abs(last).sum())


def _of(x: Any, t: int) -> Any:
    return x[t] if x.ndim == 3 else x


def _work(reference: Any) -> float:
    return float(sum(60.0 * s.model.horizon * (np.size(s.model.transition) + CALL) for s in reference.contexts))


COMPLEX, DIFFERENCES = difference_routes(
    HorizonEvaluator, "a pass of its own over the steps", lambda problem, theta: "", _work
)
