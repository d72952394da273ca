"""What was found of a table, said of the model that it was made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import Kernel
from boltzgrad.families.tabular.average import Average, over_actions, paid_to
from boltzgrad.families.tabular.clocked import Clocked
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.model import TabularArrays
from boltzgrad.families.tabular.sensitivities import Sensitivities
from boltzgrad.solvers import LeaderSolution


@dataclass(frozen=True, eq=False)
class Stated(TabularArrays):
    """∂J/∂(what was given) of a model that is solved as another table: as in `Sensitivities`, the rest by name."""

    temperature: Any = 0.0
    follower_discount: float = 0.0
    leader_discount: float = 0.0
    leader_temperature: float = 0.0
    log_reference: Any = 0.0
    log_leader_reference: Any = 0.0


@singledispatch
def leader_of(given: Given, solution: LeaderSolution) -> LeaderSolution:
    """The leader's solution in the model's own shape."""
    raise NotImplementedError(f"{type(given).__name__} has no leader_of")


@singledispatch
def cotangent_of(given: Given, found: Sensitivities) -> Stated:
    """∂J/∂(what was given) from that of the table."""
    raise NotImplementedError(f"{type(given).__name__} has no cotangent_of")


@leader_of.register
def _steps_of_leader(given: Clocked, solution: LeaderSolution) -> LeaderSolution:
    """Values, Benefits and visits with a first axis for the step."""
    return replace(
        solution,
        value=_by_step(given, solution.value),
        q=_by_step(given, solution.q),
        advantage=_by_step(given, solution.advantage),
        benefit=_by_step(given, solution.benefit),
        occupancy=_by_step(given, solution.occupancy),
        reward=_by_step(given, solution.reward),
    )


def _by_step(given: Clocked, x: Array) -> Array:
    return x.reshape(given.steps, given.n_states, *x.shape[1:])


@cotangent_of.register
def _summed_over_steps(given: Clocked, found: Sensitivities) -> Stated:
    """Sums over the steps."""
    model, steps = given.model, given.steps

    def summed(x: Array) -> Array:
        return np.asarray(_by_step(given, x).sum(axis=0))

    def of_kernel(x: Any, kernel: Kernel, copies: int) -> Array:
        shape = np.shape(kernel.values)
        return np.zeros(shape) if not copies else np.asarray(x).reshape(copies, *shape).sum(axis=0)

    own = of_kernel(found.follower_transition, model.follower_kernel, steps)
    world = of_kernel(found.transition, model.kernel, steps - 1)
    tau = found.temperature
    return Stated(
        world if model.own_kernel else world + own,
        found.initial[: given.n_states],
        summed(found.follower_reward),
        summed(found.leader_reward),
        own if model.own_kernel else None,
        temperature=summed(tau) if np.ndim(tau) else tau,
        follower_discount=found.follower_discount,
        leader_discount=found.leader_discount,
        leader_temperature=found.leader_temperature,
        log_reference=summed(found.log_reference),
        log_leader_reference=summed(found.log_leader_reference),
    )


@leader_of.register
def _averages_of_leader(given: Average, solution: LeaderSolution) -> LeaderSolution:
    """The leader's bias, zero in s₀, and the stationary distribution for its occupancy."""
    N, J = given.leaders.length, given.leaders.gain
    bias = N * (solution.value - J)
    return replace(
        solution,
        value=bias - bias[given.leaders.state],
        q=N * (solution.q - J) + J - bias[given.leaders.state],
        advantage=N * solution.advantage,
        benefit=N * solution.benefit,
        occupancy=solution.occupancy / N,
        reward=paid_to(given.model, given.policy),
        residual=N * solution.residual,
    )


@cotangent_of.register
def _through_cycles(given: Average, found: Sensitivities) -> Stated:
    """Of kernel and rewards by the pull-back of the table; of the rest by formula, g being a function of it, too."""
    model, solved = given.model, found.solved
    assert solved is not None
    at = model.arrays()
    names = [name for name, _ in at.named() if name in ("transition", "follower_reward", "leader_reward")]
    names += ["follower_transition"] if model.own_kernel else []

    def table(parts: Any) -> Any:
        made = model.with_arrays(replace(at, **{name: parts[i] for i, name in enumerate(names)}))
        plain = made.plain().moved(solved.model.moving)
        return traced_tuple(plain.arrays().parts())

    pull, _ = make_vjp(table, tuple(np.asarray(getattr(at, name), float) for name in names))
    parts = pull(tuple(solved.cotangent(found.weight).parts()))
    pulled = dict(zip(names, map(np.asarray, parts), strict=True))
    # What is lost by a gain that grows: ∂J/∂g = −Σ m, ∂g/∂τ(s) = −d KL.
    worth = float(np.asarray(found.follower_reward).sum())
    kl = given.followers.stationary * (given.policy * given.relative).sum(axis=1)
    tau = over_actions(model.temperature)
    each = np.ndim(model.temperature) == 1
    return Stated(
        pulled["transition"],
        np.zeros(given.n_states),
        pulled["follower_reward"],
        pulled["leader_reward"],
        pulled.get("follower_transition"),
        temperature=found.temperature + worth * (kl if each else float(kl.sum())),
        follower_discount=float("nan"),
        leader_discount=float("nan"),
        leader_temperature=found.leader_temperature / given.leaders.length,
        log_reference=np.where(model.there, tau * pulled["follower_reward"], 0.0),
        log_leader_reference=found.log_leader_reference,
    )
