r"""Followers with a reference policy, actions that are not there, and rates that depend on θ, as plain ones with entropy.

**A reference** π⁰:  max_π ⟨π, Q⟩ − τ KL(π ‖ π⁰) = τ log Σ_a π⁰(a) exp(Q(a)/τ) is the soft maximum of Q + τ log π⁰.  So the
follower is the one with entropy and the reward r_F + τ log π⁰.

**An action that is not there**, π⁰(a|s) = 0, gets the successors of one that is, b, and the reward of b less `NEVER` τ:
its weight exp(−`NEVER`) is below the smallest float64, so it is exactly zero, and so is everything that it is multiplied with.

**A leader's reference** is τ_L log π⁰_L in its reward; what is left, −τ_L log π, is what solvers and witnesses add.

**A temperature that moves**: the policy depends on r_F/τ alone, and the values V_F/τ on r_F/τ and temperature one.

**A discount that moves**: γ enters only as γ p(s'|s,a), the kernel of a chain that ends with probability 1 − γ at every step,
with discount one.

**A temperature for each state**: V_F(s)/τ(s) has temperature one, the reward r_F/τ(s) and the weights γ_F p(s'|s,a) τ(s')/τ(s).
Rows of weights may sum to more than one; their chain is the old one in other units, and I − P has the same inverse up to these.

Each is an identity in θ, so derivatives follow from the arrays'.  Source: derivations `soft-bellman-fixed-point`; SoBiRL 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import Box
from scipy import sparse
from scipy.sparse import csgraph

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import check_available, check_policy, numeric_array, untraced
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel

if TYPE_CHECKING:
    from boltzgrad.families.tabular.model import TabularModel

Put = Callable[[str, Any], None]
NEVER = 1000.0


@dataclass(frozen=True, eq=False)
class MadeWith:
    """What a model's rewards and kernels were made with, by which a copy (`dataclasses.replace`) knows what has changed."""

    temperature: float
    leader_temperature: float
    policies: tuple[Any, Any, Any]

    @classmethod
    def of(cls, model: TabularModel) -> MadeWith:
        """What a model says of itself now."""
        policies = (model.reference, model.available, model.leader_reference)
        return cls(model.temperature, model.leader_temperature, policies)


def take_reference(model: TabularModel, put: Put, temperature: Any) -> None:
    """Put `reference` and `available` into the reward and the kernels.  Raises: InvalidModel."""
    shape = (model.n_states, model.n_actions)
    there = check_available(model.available, [shape])
    weights = None
    if model.reference is not None:
        weights = followed(numeric_array("reference", model.reference, ndim=2, axes="(states, actions)"))
        positive = check_policy("reference", np.real(np.asarray(untraced(weights))), [shape], there)
        there = positive if not positive.all() else None
    elif there is None:
        return
    reward = model.follower_reward
    if weights is not None:
        safe = weights if there is None else anp.where(there, weights, 1.0)
        reward = reward + temperature * anp.log(safe)
        put("reference", np.real(np.asarray(untraced(weights))))
    put("available", there)
    if there is not None:
        states, instead = np.arange(shape[0])[:, None], np.argmax(there, axis=1)
        reward = anp.where(there, reward, reward[states, instead[:, None]] - NEVER * temperature)
        stand_in = np.where(there, np.arange(shape[1]), instead[:, None])
        own = model.own_kernel
        put("kernel", _with_rows(model.kernel, stand_in))
        put("follower_kernel", _with_rows(model.follower_kernel, stand_in) if own else model.kernel)
        _publish(model, put, own)
    put("follower_reward", reward)


def take_leader_reference(model: TabularModel, put: Put) -> None:
    """Put τ_L log π⁰_L into the leader's reward.  Raises: InvalidModel."""
    if model.leader_reference is None:
        return
    shape = (model.n_states, model.n_actions)
    weights = followed(numeric_array("leader_reference", model.leader_reference, ndim=2, axes="(states, actions)"))
    plain = np.real(np.asarray(untraced(weights)))
    there = check_available(model.available, [shape])
    if model.reference is not None:
        positive = np.real(np.asarray(untraced(model.reference))) > 0.0
        there = positive if there is None else there & positive
    lost = ~(
        check_policy("leader_reference", plain, [shape]) | (~there if there is not None else np.zeros(shape, bool))
    )
    if lost.any():
        s, a = map(int, np.argwhere(lost)[0])
        raise InvalidModel(f"leader_reference[{s}, {a}] is 0 where the follower may act: its log is infinite")
    put("leader_reward", model.leader_reward + model.leader_temperature * anp.log(anp.where(plain > 0.0, weights, 1.0)))
    put("leader_reference", plain)


def retake(model: TabularModel, put: Put) -> None:
    """Put references in again where a copy of a model (`dataclasses.replace`) has other temperatures than it was made with.

    Raises: InvalidModel where that copy is being traced, since the references' own derivatives are in the rewards.
    """
    made, now = model.made_with, MadeWith.of(model)
    assert made is not None
    if any(x is not y for x, y in zip(made.policies, now.policies, strict=True)):
        raise InvalidModel(
            "a copy of a model has another reference, or other actions are available: make it anew with them"
        )
    more, leaders_more = now.temperature - made.temperature, now.leader_temperature - made.leader_temperature
    own = bool(more) and (model.reference is not None or model.available is not None)
    leaders = bool(leaders_more) and model.leader_reference is not None
    if not (own or leaders):
        return
    if isinstance(model.follower_reward, Box) or isinstance(model.leader_reward, Box):
        raise InvalidModel(
            "a model with a reference has another temperature than it was made with; make it anew with that"
        )
    if own:
        weights = np.ones(model.follower_reward.shape) if model.reference is None else model.reference
        there = weights > 0.0 if model.available is None else model.available & (weights > 0.0)
        states, instead = np.arange(len(there))[:, None], np.argmax(there, axis=1)
        log = np.log(np.where(there, weights, 1.0))
        put(
            "follower_reward",
            model.follower_reward + more * np.where(there, log, log[states, instead[:, None]] - NEVER),
        )
    if leaders:
        log = np.log(np.where(model.leader_reference > 0.0, model.leader_reference, 1.0))
        put("leader_reward", model.leader_reward + leaders_more * log)


def absorb(model: TabularModel, put: Put, moving: Mapping[str, Any]) -> None:
    """Put scalars that depend on θ into the arrays."""
    if not moving:
        return
    if "temperature" in moving:
        tau = followed(moving["temperature"])
        each = np.ndim(untraced(tau)) == 1
        put("follower_reward", _in_units(model, tau[:, None] if each else tau))
        put("unit", np.real(np.asarray(untraced(tau))) if each else model.unit * float(np.real(untraced(tau))))
        put("scale", model.scale * tau)
        put("temperature", 1.0)
        if each:
            put("follower_kernel", weighted(model.follower_kernel, tau))
            _publish(model, put, True)
    if "follower_discount" in moving or "leader_discount" in moving:
        world, plans = model.kernel, model.follower_kernel
        if "leader_discount" in moving:
            put("kernel", world.with_values(followed(moving["leader_discount"]) * world.values))
            put("leader_discount", 1.0)
        if "follower_discount" in moving:
            plans = plans.with_values(followed(moving["follower_discount"]) * plans.values)
            put("follower_discount", 1.0)
        put("follower_kernel", plans)
        _publish(model, put, True)
    put("moving", {**model.moving, **{name: np.real(untraced(x)) for name, x in moving.items()}})


def _in_units(model: TabularModel, tau: Any) -> Any:
    """r_F/τ; an action that is not there stays exactly `NEVER` below its stand-in, and −`NEVER` τ/τ does not seem to move."""
    reward = model.follower_reward / tau
    if model.available is None:
        return reward
    instead = np.argmax(model.available, axis=1)[:, None]
    return anp.where(model.available, reward, reward[np.arange(len(instead))[:, None], instead] - NEVER)


def weighted(kernel: Kernel, tau: Any) -> Kernel:
    """The weights p(s'|s,a) τ(s')/τ(s)."""
    if isinstance(kernel, DenseKernel):
        return kernel.with_values(kernel.values * tau / tau[:, None, None])
    assert isinstance(kernel, SparseKernel)
    lengths = np.diff(kernel.pattern.indptr)
    source = np.repeat(np.arange(kernel.n_states * kernel.n_actions) // kernel.n_actions, lengths)
    return kernel.with_values(kernel.values * tau[kernel.pattern.indices] / tau[source])


def _publish(model: TabularModel, put: Put, own: bool) -> None:
    put("transition", public(model.kernel))
    put("follower_transition", public(model.follower_kernel) if own else None)


def public(kernel: Kernel) -> Any:
    """What the `transition` field shows: the dense array, or the CSR matrix (the kernel itself while traced)."""
    if isinstance(kernel, DenseKernel):
        return kernel.values
    return kernel if isinstance(kernel.values, Box) else kernel.flat


def _with_rows(kernel: Kernel, stand_in: Array) -> Kernel:
    """The kernel with the successors of action stand_in[s, a] (S, A) in row (s, a)."""
    rows = np.arange(len(stand_in))[:, None]
    if isinstance(kernel, DenseKernel):
        return kernel.with_values(kernel.values[rows, stand_in])
    assert isinstance(kernel, SparseKernel)
    pattern = kernel.pattern
    taken = (rows * kernel.n_actions + stand_in).ravel()
    lengths = np.diff(pattern.indptr)[taken]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.arange(indptr[-1]) + np.repeat(pattern.indptr[taken] - indptr[:-1], lengths)
    shape = {"n_states": kernel.n_states, "n_actions": kernel.n_actions}
    return SparseKernel(SparsePattern(indptr, pattern.indices[entries], **shape), kernel.values[entries])


def row_sums(kernel: Kernel) -> Array:
    """Σ_s' p(s'|s,a) (S, A) of a kernel that may be traced, or complex."""
    plain = kernel.with_values(np.real(np.asarray(untraced(kernel.values))))
    return np.asarray(plain.row_sums)


def refuse_endless(name: str, kernel: Kernel) -> None:
    """Raise InvalidModel where a discount is one and some state is never left for an end: no sum of rewards is finite there."""
    ends = row_sums(kernel).min(axis=1) < 1.0 - 1e-12
    if ends.all():
        return
    S, A = kernel.n_states, kernel.n_actions
    values = np.real(np.asarray(untraced(kernel.values)))
    if isinstance(kernel, SparseKernel):
        held = values != 0.0
        source = np.repeat(np.arange(S * A), np.diff(kernel.pattern.indptr))[held] // A
        target = kernel.pattern.indices[held]
    else:
        source, _, target = np.nonzero(values)
    # Backwards from the ends, which one more node S leads to.
    first = np.flatnonzero(ends)
    edges = (np.concatenate([target, np.full(first.size, S)]), np.concatenate([source, first]))
    graph = sparse.csr_array((np.ones(edges[0].size, bool), edges), shape=(S + 1, S + 1))
    reached = np.zeros(S + 1, bool)
    reached[csgraph.breadth_first_order(graph, S, return_predecessors=False)] = True
    if not reached.all():
        s = int(np.argmin(reached))
        raise InvalidModel(
            f"{name} is 1, and from state {s} no episode ever ends ({int((~reached).sum())} of {S} states): its value is no "
            "finite number; let rows of transition sum to less than one where episodes end, or give a discount below 1"
        )
