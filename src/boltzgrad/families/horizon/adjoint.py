r"""The reference for finite horizons: values backward, visits and adjoint forward, cotangents in the model's own arrays.

    V_H = terminal_F,  Q_t = r_F + γ_F P V_{t+1},  V_t = τ log Σ_a π⁰ exp(Q_t/τ),  log π_t = log π⁰ + (Q_t − V_t)/τ
    U_H = terminal_L,  c_t = r_L − τ_L (log π_t − log π⁰_L),  Q_L,t = c_t + γ_L P U_{t+1},  U_t = Σ_a π_t Q_L,t,  J = ρ·U_0
    ν_0 = ρ,   ν_{t+1} = γ_L Σ p ν_t π_t,   w_t = ν_t π_t (Q_L,t − U_t)/τ
    y_0 = 0,   m_t = w_t + π_t y_t,         y_{t+1} = γ_F Σ p m_t

    ∂J/∂ρ = U_0,  ∂J/∂r_L,t = ν_t π_t,  ∂J/∂r_F,t = m_t,  ∂J/∂p_t = γ_L ν_t π_t U_{t+1} + γ_F m_t V_{t+1},
    ∂J/∂terminal_F = y_H,  ∂J/∂terminal_L = ν_H,  ∂J/∂γ_F = Σ m_t P V_{t+1},  ∂J/∂γ_L = Σ ν_t π_t P U_{t+1},
    ∂J/∂ log π⁰ = τ m_t,  ∂J/∂τ(s) = −Σ_t y_t KL(π_t ‖ π⁰) − Σ_{t,a} w_t (log π_t − log π⁰),
    ∂J/∂τ_L = −Σ ν_t π_t (log π_t − log π⁰_L),  ∂J/∂ log π⁰_L = τ_L ν_t π_t,

summed over the steps where an array is the same at each.  A general objective f(θ, π), π (H, S, A), has
w_t = π_t (f_π,t − Σ π_t f_π,t)/τ and no leader's terms.

The formula is written once and evaluated in three arithmetics (`Arithmetic`): float64, float64 with random roundings, and balls
that hold the exact number.  Source: SoBiRL (24) and BC-HG Theorem 1 with a step index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import Kernel, summed_outer
from boltzgrad.core.softmaxes import centred
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays


class Arithmetic:
    """The operations that the formula is made of besides + − × ÷, in float64."""

    def array(self, x: Array) -> Any:
        """A number that the model holds."""
        return x

    def logarithm(self, x: Array) -> Any:
        """The logarithm of a number that the model holds."""
        return x

    def expect(self, kernel: Kernel, v: Any) -> Any:
        """Σ_s' p v (S, A)."""
        return kernel.expect(v)

    def accumulate(self, kernel: Kernel, x: Any) -> Any:
        """Σ_{s,a} p x (S,)."""
        return kernel.accumulate(x)

    def outer(self, kernel: Kernel, xs: Sequence[Any], vs: Sequence[Any]) -> Any:
        """Σ_t x_t(s,a) v_t(s') for every entry of a kernel."""
        return summed_outer(kernel, xs, vs)

    def backup(self, reward: Any, ahead: Any) -> Any:
        """The sum reward + ahead (S, A)."""
        return reward + ahead

    def soften(self, x: Any, there: Array | None) -> tuple[Any, Any, Any]:
        """(x − lse, softmax, log Σ exp) over the actions that are there (S, A); log-weights are zero elsewhere."""
        exponents = x if there is None else np.where(there, x, -np.inf)
        top = exponents.max(axis=1)
        weights = np.exp(exponents - top[:, None])
        total = weights.sum(axis=1)
        lse = top + np.log(total)
        log = x - lse[:, None]
        return log if there is None else np.where(there, log, 0.0), weights / total[:, None], lse

    def centred(self, policy: Any, q: Any) -> Any:
        """The difference q − Σ_b π(b) q(b) (S, A)."""
        return centred(policy, q)

    def mean(self, policy: Any, q: Any) -> Any:
        """Σ_a π(a) q(a) (S,)."""
        return (policy * q).sum(axis=1)

    def total(self, x: Any, axis: int | None = None) -> Any:
        """A sum."""
        return x.sum(axis=axis)

    def stacked(self, parts: Sequence[Any], each: bool) -> Any:
        """The parts one a step, or their sum."""
        return np.stack(parts) if each else np.sum(parts, axis=0)


PLAIN = Arithmetic()


@dataclass(frozen=True, eq=False)
class HorizonFollower:
    """The follower's answer: `value` V (H + 1, S), `q` Q and `policy` π (H, S, A), `log_policy` log π (H, S, A).

    Both come from one pass backward, exact to rounding; how wrong they may be is in the hypergradient's bounds.
    """

    value: Array
    q: Array
    policy: Array
    log_policy: Array


@dataclass(frozen=True, eq=False)
class HorizonLeader:
    """The leader's side: `value` U (H + 1, S), `q` Q_L and `benefit` Q_L − U (H, S, A), `occupancy` ν (H + 1, S), discounted,
    `expected_return` J, `reward` c (H, S, A), r_L less τ_L (log π − log π⁰_L).
    """

    value: Array
    q: Array
    benefit: Array
    occupancy: Array
    expected_return: float
    reward: Array


@dataclass(frozen=True, eq=False)
class HorizonSolution:
    """One model solved in some arithmetic: the formula's letters, one a step, and `arrays`, the cotangent of its value."""

    model: FiniteHorizonModel
    V: list[Any]
    q: list[Any]
    policy: list[Any]
    log_policy: list[Any]
    U: list[Any]
    q_leader: list[Any]
    benefit: list[Any]
    paid: list[Any]
    visits: list[Any]
    guidance: list[Any]
    adjoint: list[Any]
    value: Any
    arrays: HorizonArrays
    direct: Array | None = None
    slope: Array | None = None

    def cotangent(self, weight: float = 1.0) -> HorizonArrays:
        """∂(weight · value)/∂(each array of the model)."""
        return self.arrays.scaled(weight)

    @cached_property
    def follower(self) -> HorizonFollower:
        """The follower's answer as arrays."""
        return HorizonFollower(*map(np.stack, (self.V, self.q, self.policy, self.log_policy)))

    @property
    def leader(self) -> HorizonLeader | None:
        """The leader's side as arrays; None for a general objective f(θ, π)."""
        if self.slope is not None:
            return None
        values = np.stack(self.U), np.stack(self.q_leader), np.stack(self.benefit), np.stack(self.visits)
        return HorizonLeader(*values, float(self.value), np.stack(self.paid))


@dataclass(frozen=True, eq=False)
class _At:
    """A model's numbers in an arithmetic, by step."""

    model: FiniteHorizonModel
    ops: Arithmetic
    world: Sequence[Kernel]
    plans: Sequence[Kernel]
    made: dict[str, Any]

    @classmethod
    def of(cls, model: FiniteHorizonModel, ops: Arithmetic) -> _At:
        made = {name: ops.array(x) for name, x in model.arrays().named() if "transition" not in name}
        for name, given in (
            ("log_reference", model.reference),
            ("log_leader_reference", model.leader_reference),
        ):
            if given is not None:
                made[name] = ops.logarithm(getattr(model, name))
        return cls(model, ops, model.kernels(), model.kernels(own=True), made)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["made"][name]
        except KeyError:
            raise AttributeError(name) from None

    def step(self, name: str, t: int) -> Any:
        x = self.made[name]
        return x[t] if x.ndim == 3 else x

    def there(self, t: int) -> Array | None:
        mask = self.model.mask
        return None if mask is None else np.asarray(mask if mask.ndim == 2 else mask[t])

    @property
    def tau(self) -> Any:
        """τ as it multiplies (S, A)."""
        tau = self.made["temperature"]
        return tau[:, None] if tau.ndim else tau


def plan(model: FiniteHorizonModel, ops: Arithmetic = PLAIN) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """(V_0 … V_H, Q_t, π_t, log π_t), backward."""
    at = _At.of(model, ops)
    V, q, policy, logs = [at.terminal_follower_reward], [], [], []
    for t in reversed(range(model.horizon)):
        q.append(ops.backup(at.step("follower_reward", t), at.follower_discount * ops.expect(at.plans[t], V[-1])))
        log, pi, lse = ops.soften(q[-1] / at.tau + at.step("log_reference", t), at.there(t))
        policy.append(pi)
        logs.append(log)
        V.append(at.temperature * lse)
    return V[::-1], q[::-1], policy[::-1], logs[::-1]


def solve(
    model: FiniteHorizonModel,
    ops: Arithmetic = PLAIN,
    objective: tuple[float, Array, Any] | None = None,
) -> HorizonSolution:
    """One model and its adjoint; `objective` is (f, ∂f/∂θ, ∂f/∂π (H, S, A)) at the policy that `plan` finds, if it is a
    general one.
    """
    at, H = _At.of(model, ops), model.horizon
    V, q, policy, logs = plan(model, ops)
    U, q_leader, benefit, paid = [at.terminal_leader_reward], [], [], []
    visits = [at.initial]
    over = [log - at.step("log_leader_reference", t) for t, log in enumerate(logs)]
    if objective is None:
        for t in reversed(range(H)):
            reward = at.step("leader_reward", t)
            if model.regularised:
                reward = reward - at.leader_temperature * over[t]
            paid.append(reward)
            q_leader.append(ops.backup(reward, at.leader_discount * ops.expect(at.world[t], U[-1])))
            benefit.append(ops.centred(policy[t], q_leader[-1]))
            U.append(ops.mean(policy[t], q_leader[-1]))
        U, q_leader, benefit, paid = U[::-1], q_leader[::-1], benefit[::-1], paid[::-1]
        for t in range(H):
            visits.append(at.leader_discount * ops.accumulate(at.world[t], visits[t][:, None] * policy[t]))
        guidance = [visits[t][:, None] * policy[t] * benefit[t] / at.tau for t in range(H)]
        value, direct, slope = ops.total(at.initial * U[0]), None, None
    else:
        value, direct, slope = objective
        guidance = [policy[t] * ops.centred(policy[t], slope[t]) / at.tau for t in range(H)]
    adjoint = [0.0 * guidance[0][:, 0]]
    sensitivity = []
    for t in range(H):
        sensitivity.append(guidance[t] + policy[t] * adjoint[t][:, None])
        adjoint.append(at.follower_discount * ops.accumulate(at.plans[t], sensitivity[t]))
    cotangent = _cotangent(at, V, U, policy, logs, over, visits, guidance, adjoint, sensitivity, objective is None)
    return HorizonSolution(
        model, V, q, policy, logs, U, q_leader, benefit, paid, visits, guidance, adjoint, value, cotangent, direct, slope
    )  # fmt: skip


def _cotangent(
    at: _At,
    V: list[Any],
    U: list[Any],
    policy: list[Any],
    logs: list[Any],
    over: list[Any],
    visits: list[Any],
    guidance: list[Any],
    adjoint: list[Any],
    sensitivity: list[Any],
    returns: bool,
) -> HorizonArrays:
    model, ops, H = at.model, at.ops, at.model.horizon
    nothing = 0.0 * policy[0]
    taken = [visits[t][:, None] * policy[t] if returns else nothing for t in range(H)]
    kl = [logs[t] - at.step("log_reference", t) for t in range(H)]
    each = {name: x.ndim == 3 for name, x in model.arrays().named()}
    own = _outer(at, at.plans, "follower_transition" if model.own_kernel else "transition", sensitivity, V, "follower")
    world = _outer(at, at.world, "transition", taken, U, "leader") if returns else 0.0 * own
    if not returns and model.own_kernel:
        world = 0.0 * _outer(at, at.world, "transition", taken, V, "leader")

    def by_state(parts: list[Any]) -> Any:
        sums = ops.stacked(parts, False)
        return sums if model.temperature.ndim else ops.total(sums)

    temperature = [
        -(adjoint[t] * ops.total(policy[t] * kl[t], axis=1)) - ops.total(guidance[t] * kl[t], axis=1) for t in range(H)
    ]
    ahead = [ops.total(sensitivity[t] * ops.expect(at.plans[t], V[t + 1])) for t in range(H)]
    ahead_leader = [ops.total(taken[t] * ops.expect(at.world[t], U[t + 1])) for t in range(H)] if returns else []
    zero = ops.total(nothing)
    return HorizonArrays(
        transition=world if model.own_kernel else world + own,
        initial=U[0] if returns else 0.0 * policy[0][:, 0],
        follower_reward=ops.stacked(sensitivity, each["follower_reward"]),
        leader_reward=ops.stacked(taken, each["leader_reward"]),
        terminal_follower_reward=adjoint[H],
        terminal_leader_reward=visits[H] if returns else 0.0 * policy[0][:, 0],
        temperature=by_state(temperature),
        follower_discount=ops.stacked(ahead, False),
        leader_discount=ops.stacked(ahead_leader, False) if returns else zero,
        leader_temperature=ops.stacked([-ops.total(taken[t] * over[t]) for t in range(H)], False),
        log_reference=ops.stacked([at.tau * m for m in sensitivity], each["log_reference"]),
        log_leader_reference=ops.stacked([at.leader_temperature * x for x in taken], each["log_leader_reference"]),
        follower_transition=own if model.own_kernel else None,
    )


def _outer(at: _At, kernels: Sequence[Kernel], name: str, xs: list[Any], vs: list[Any], whose: str) -> Any:
    """γ Σ x_t(s,a) v_{t+1}(s'), step by step where the kernel has one for each."""
    discount = at.made[whose + "_discount"]
    weighted = [discount * x for x in xs]
    if at.model.shared(name):
        return at.ops.outer(kernels[0], weighted, vs[1:])
    return at.ops.stacked([at.ops.outer(k, [x], [v]) for k, x, v in zip(kernels, weighted, vs[1:], strict=True)], True)
