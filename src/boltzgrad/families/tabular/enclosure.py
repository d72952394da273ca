r"""J and ∇J of a table in ball arithmetic: proved to contain the exact numbers, to as many digits as are asked for.

Hats are midpoints, exact numbers of many bits; P_π and softmax are evaluated in balls, so that every inequality below is
between numbers that are known.

1. **Inverses.**  For x̂ ≥ 0 with (I − γP_π)x̂ ≥ l > 0, N = max x̂/l ≥ ‖(I − γP_π)⁻¹‖_∞, because the inverse is non-negative.
   x̂ comes from float64 and is checked in balls.
2. **The follower.**  V̂ is improved by Newton steps, whose residuals are in balls and whose factorisation in float64.
   With e = N'‖TV̂ − V̂‖, N' = max x̂/(l − κ max γPx̂) for all policies within κ = e^{2cr/τ} − 1 of π_V̂, c ≥ γ Σ_s' p: where e ≤ r,
   |V* − V̂| ≤ e (the path lemma of `solvers/enclosing.py`).
3. **The leader's values, the visits and the adjoint** solve linear systems whose matrices are balls: |x − x̂| ≤ N‖residual‖, in
   the 1-norm for transposed ones.
4. Everything else is a formula, evaluated in balls: `adjoint.py`; cotangents are pulled back through `build` in balls
   (`core/ball_trace.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd.extend import Box

from boltzgrad.core import ball_trace
from boltzgrad.core.arrays import Array
from boltzgrad.core.balls import Balls, as_balls, flint, floats, least, most, total, widened
from boltzgrad.core.kernel import DenseKernel, Kernel
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.trajectory_objectives import TrajectoryObjective
from boltzgrad.errors import InvalidOption, NotConverged
from boltzgrad.families.tabular.adjoint import ContextSolution
from boltzgrad.families.tabular.contexts import arrays_of, as_contexts
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.reference import tabular_hypergradient
from boltzgrad.solvers.linear import LinearSystem

MOST_STATES, MOST_ENTRIES = 1024, 300_000
_STEPS, _BITS_A_STEP = 20, 16  # refinements, and what each of them is sure to bring


@dataclass(frozen=True, eq=False)
class _Kernel:
    """γ p(s'|s,a) as balls where it is not exactly zero: entry k leads from row s·A + a to a state."""

    row: Array
    to: Array
    values: Balls
    shape: tuple[int, int]

    @classmethod
    def of(cls, kernel: Kernel, values: Balls, discount: Any) -> _Kernel:
        S, A = kernel.n_states, kernel.n_actions
        if isinstance(kernel, DenseKernel):
            flat_values = values.reshape(S * A, S)
            row, to = np.nonzero(np.asarray(np.frompyfunc(lambda x: not x.is_zero(), 1, 1)(flat_values), bool))
            held = flat_values[row, to]
        else:
            row, to = np.repeat(np.arange(S * A), kernel.pattern.row_lengths), np.asarray(kernel.pattern.indices)
            held = values
        return cls(row, to, discount * held, (S, A))

    def expect(self, v: Balls) -> Balls:
        """γ Σ p v (S, A)."""
        return self._collect(self.row, self.values * v[self.to], self.shape[0] * self.shape[1]).reshape(self.shape)

    def accumulate(self, x: Balls) -> Balls:
        """γ Σ_{s,a} p x(s,a) (S,)."""
        return self._collect(self.to, self.values * x.ravel()[self.row], self.shape[0])

    def outer(self, x: Balls, v: Balls, like: Kernel, discount: Any) -> Balls:
        """γ x(s,a) v(s') at every entry of the stored kernel."""
        x = discount * x
        if isinstance(like, DenseKernel):
            return x[:, :, None] * v
        return x.ravel()[self.row] * v[self.to]

    @staticmethod
    def _collect(places: Array, x: Balls, n: int) -> Balls:
        out = as_balls(np.zeros(n))
        np.add.at(out, places, x)
        return out


@dataclass(frozen=True, eq=False)
class _System:
    """(I − γP_π) in balls, with a factorisation in float64 and N ≥ ‖(I − γP_π)⁻¹‖_∞."""

    kernel: _Kernel
    policy: Balls
    rough: LinearSystem

    def apply(self, x: Balls, transposed: bool) -> Balls:
        if transposed:
            return x - self.kernel.accumulate(self.policy * x[:, None])
        return x - (self.policy * self.kernel.expect(x)).sum(axis=1)

    def steps(self) -> tuple[Any, Any, Any]:
        """(max x̂, l, max γPx̂) of the first step above.  Raises: NotConverged."""
        x = as_balls(np.maximum(self.rough.solve(np.ones(self.kernel.shape[0])).x, 0.0))
        left = self.apply(x, False)
        low = least(left)
        if not low > 0:
            raise NotConverged("enclose: the follower's chain does not end as far as float64 tells; nothing is proved")
        return most(x), low, most(x - left)

    def solve(self, b: Balls, *, transposed: bool, bits: int) -> Balls:
        """Balls that contain the solution."""
        x = as_balls(np.zeros(len(b)))
        ahead = self.rough.solve_transposed if transposed else self.rough.solve
        size, tiny = None, flint.arb(2) ** (-bits)
        for _ in range(_STEPS + bits // _BITS_A_STEP):
            left = b - self.apply(x, transposed)
            now = most(left)
            if (size is not None and not now < size / 4) or not now > tiny * most(b):
                break
            size = now
            step = as_balls(ahead(floats(left / now)).x) * flint.arb(now.mid())
            x = np.frompyfunc(lambda y: flint.arb(y.mid()), 1, 1)(x + step)
        left = b - self.apply(x, transposed)
        longest, low, _ = self.steps()
        return widened(x, flint.arb((longest / low * (total(left) if transposed else most(left))).upper()))


def _soften(model: TabularModel, kernel: _Kernel, reward: Balls, v: Balls) -> tuple[Balls, Balls, Balls]:
    """(TV (S,), π (S, A), log π (S, A)); an action that is not there has weight zero, and log 0 is left at 0."""
    tau = as_balls(float(model.temperature))
    q = reward + kernel.expect(v)
    there = _there(model)
    plain = np.where(there, floats(q), -np.inf)
    top = as_balls(plain.max(axis=1, keepdims=True))
    exponent = np.where(there, (q - top) / tau, as_balls(0.0))
    e = np.where(there, np.exp(exponent), as_balls(0.0))
    z = e.sum(axis=1, keepdims=True)
    log = np.where(there, exponent - np.log(z), as_balls(0.0))
    return top[:, 0] + tau * np.log(z[:, 0]), e / z, log


def _there(model: TabularModel) -> Array:
    return np.ones(model.follower_reward.shape, bool) if model.available is None else np.asarray(model.available, bool)


def _optimum(
    model: TabularModel, kernel: _Kernel, reward: Balls, start: Array, rough: LinearSystem, bits: int
) -> Balls:
    """V* (S,) in balls: the second step above.  Raises: NotConverged."""
    v = as_balls(np.asarray(start, float))
    size, tiny = None, flint.arb(2) ** (-bits)
    for _ in range(_STEPS + bits // _BITS_A_STEP):
        left = _soften(model, kernel, reward, v)[0] - v
        now = most(left)
        if (size is not None and not now < size / 4) or not now > tiny * most(v):
            break
        size = now
        step = as_balls(rough.solve(floats(left / now)).x) * flint.arb(now.mid())
        v = np.frompyfunc(lambda y: flint.arb(y.mid()), 1, 1)(v + step)
    value, policy, _ = _soften(model, kernel, reward, v)
    gap = most(value - v)
    longest, low, carried = _System(kernel, policy, rough).steps()
    heaviest = most(kernel.expect(as_balls(np.ones(len(v)))))
    near = flint.arb((2 * longest / low * gap).upper())
    kappa = (2 * heaviest * near / as_balls(float(model.temperature))).expm1()
    room = flint.arb((low - kappa * carried).lower())
    error = flint.arb((longest / room * gap).upper()) if room > 0 else None
    if error is None or not error <= near:
        raise NotConverged("enclose: the follower's residual is too large to prove anything")
    return widened(v, error)


@dataclass(frozen=True, eq=False)
class Enclosed:
    """One context: its value, ∂/∂ each array of its model in the order of `parts()`, and ∂f/∂θ, all in balls."""

    value: Any
    cotangents: list[Balls]
    direct: Balls | None


def enclosed_context(
    problem: ConfigurableMDP, theta: Array, s: ContextSolution, parts: list[Balls], bits: int
) -> Enclosed:
    """One model's value and cotangents, from its arrays in balls and its solution in float64.  Raises: NotConverged."""
    m, objective = s.model, problem.objective
    tau, gamma = as_balls(float(m.temperature)), as_balls(float(m.follower_discount))
    beta = as_balls(float(m.leader_discount))
    world = _Kernel.of(m.kernel, parts[0], beta)
    plan = _Kernel.of(m.follower_kernel, parts[4] if m.own_kernel else parts[0], gamma)
    initial, reward, paid = parts[1], parts[2], parts[3]
    value = _optimum(m, plan, reward, s.follower.value, s.follower.system, bits)
    _, policy, log = _soften(m, plan, reward, value)
    ours = _System(plan, policy, s.follower.system)
    direct = None
    if isinstance(objective, PolicyObjective):
        worth, direct, slope = ball_trace.slopes(objective.function, theta, policy)
        guidance = policy * (slope - (policy * slope).sum(axis=1, keepdims=True)) / tau
        start, visits, moved = as_balls(np.zeros(m.n_states)), as_balls(np.zeros(policy.shape)), None
    else:
        assert s.leader is not None
        theirs = _System(world, policy, s.leader.system)
        running = paid - as_balls(float(m.leader_temperature)) * log
        start = theirs.solve((policy * running).sum(axis=1), transposed=False, bits=bits)
        occupancy = theirs.solve(initial, transposed=True, bits=bits)
        visits = occupancy[:, None] * policy
        q = running + world.expect(start)
        guidance = visits * (q - (policy * q).sum(axis=1, keepdims=True)) / tau
        worth, moved = (initial * start).sum(), world.outer(visits, start, m.kernel, beta)
    adjoint = ours.solve(plan.accumulate(guidance), transposed=True, bits=bits)
    sensitivity = guidance + policy * adjoint[:, None]
    own = plan.outer(sensitivity, value, m.follower_kernel, gamma)
    if m.own_kernel:
        nothing = as_balls(np.zeros(np.shape(m.kernel.values)))
        return Enclosed(worth, [nothing if moved is None else moved, start, sensitivity, visits, own], direct)
    return Enclosed(worth, [own if moved is None else moved + own, start, sensitivity, visits], direct)


def enclosed(problem: ConfigurableMDP, theta: Array, bits: int) -> tuple[Any, Balls]:
    """(J, ∇J (d,)) in balls, at `bits` of working precision.  Raises: InvalidOption, NotConverged."""
    contexts = tabular_hypergradient(problem, theta).contexts
    for s in contexts:
        _refuse(problem, s.model)
    made: list[TabularModel] = []

    def function(t: Any) -> tuple[Any, ...]:
        built = as_contexts(problem.build(t))
        made[:] = built.models
        return arrays_of(built).parts()

    arrays = ball_trace.enclosed(function, theta)
    for model in made:
        _refuse_rounded(model)
    at, found = 0, []
    for s in contexts:
        count = len(s.model.arrays().parts())
        found.append(enclosed_context(problem, theta, s, arrays[at : at + count], bits))
        at += count
    values, weights = np.array([x.value for x in found], object), arrays[-1]
    cotangents = [p * c for p, x in zip(weights, found, strict=True) for c in x.cotangents]
    value, gradient = (weights * values).sum(), ball_trace.pulled(function, theta, [*cotangents, values])
    for p, x in zip(weights, found, strict=True):
        gradient = gradient if x.direct is None else gradient + p * x.direct
    if problem.regulariser is not None:
        more, slope = ball_trace.scalar(problem.regulariser.function, theta)
        value, gradient = value + more, gradient + slope
    return value, gradient


def _refuse_rounded(m: TabularModel) -> None:
    """Raises: InvalidOption for a model that was made before, so that what its references and temperatures give was rounded."""
    parts = {
        "a reference": (m.reference is not None, m.follower_reward),
        "a leader_reference": (m.leader_reference is not None, m.leader_reward),
        "a temperature for each state": (np.ndim(m.unit) == 1, m.follower_reward),
    }
    for name, (given, x) in parts.items():
        if given and not isinstance(x, Box):
            raise InvalidOption(
                f"build returns a model with {name} that was made outside of it, where τ log π⁰ was rounded: make it in build"
            )


def _refuse(problem: ConfigurableMDP, m: TabularModel) -> None:
    """Raises: InvalidOption where the table is too large, or made of another kind of follower."""
    if isinstance(problem.objective, TrajectoryObjective):
        raise InvalidOption(
            "enclose is not for losses of trajectories: labels and counts are rounded when they are made"
        )
    if m.given is not None:
        raise InvalidOption(
            f"enclose is for followers who discount, or whose episodes end; {problem!r} is of another kind"
        )
    entries = m.follower_reward.size * m.n_states if isinstance(m.kernel, DenseKernel) else m.kernel.pattern.nnz
    if m.n_states > MOST_STATES or entries > MOST_ENTRIES:
        raise InvalidOption(
            f"enclose works in ball arithmetic: {m.n_states} states and {entries} entries of the kernel, at most "
            f"{MOST_STATES} and {MOST_ENTRIES}"
        )
