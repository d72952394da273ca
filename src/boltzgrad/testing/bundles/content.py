"""What a bundle holds of each family: arrays by name with their axes, the Jacobian of those that depend on θ, and constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from boltzgrad.gradients import Hypergradient
from boltzgrad.gradients.game.reference import GameHypergradient
from boltzgrad.gradients.lqr.reference import LQHypergradient
from boltzgrad.gradients.tabular.reference import TabularHypergradient
from boltzgrad.problems import SparseKernel, TabularModel
from boltzgrad.problems.kernel import Array, Kernel

_TABULAR_AXES = {
    "transition": "state, action, next state",
    "initial": "state",
    "follower_reward": "state, action",
    "leader_reward": "state, action",
    "follower_transition": "state, action, next state",
}


@dataclass(frozen=True, eq=False)
class Entry:
    """An array of a bundle with its meaning and its axes, comma-separated."""

    array: Array
    meaning: str
    axes: str


Entries = dict[str, Entry]


@dataclass(frozen=True, eq=False)
class Content:
    """The arrays of a bundle by name (`model/…`, `cotangent/…`, `jacobian/…`, `follower/…`, `leader/…`), the constants of its
    models, and the reasons why something is not there.
    """

    entries: Entries
    constants: dict[str, Any]
    omitted: dict[str, str]


def content(reference: Hypergradient, most_numbers: int) -> Content:
    """The content of a solved problem."""
    entries: Entries = {
        "theta": Entry(reference.theta, "the leader's parameters θ", "parameter"),
        "gradient": Entry(reference.gradient, "the hypergradient ∇J(θ)", "parameter"),
        "coordinate_bounds": Entry(
            reference.coordinate_bounds, "a proved bound on the error of each entry of the gradient", "parameter"
        ),
    }
    if isinstance(reference, TabularHypergradient):
        found, constants, columns = _tabular(reference)
    elif isinstance(reference, GameHypergradient):
        found, constants, columns = _game(reference)
    else:
        assert isinstance(reference, LQHypergradient)
        found, constants, columns = _lqr(reference)
    entries |= found
    jacobians, omitted = _jacobians(entries, columns, reference.theta.size, most_numbers)
    return Content(entries | jacobians, constants, omitted)


def _jacobians(
    entries: Entries, columns: Iterator[dict[str, Array]], dim: int, most_numbers: int
) -> tuple[Entries, dict[str, str]]:
    """The derivatives (…, d) of the model's arrays that depend on θ."""
    movable = [entry.array for name, entry in entries.items() if "model/" in name and entry.array.dtype.kind == "f"]
    total = dim * sum(array.size for array in movable)
    if total > 4 * most_numbers:
        return {}, {"jacobian": f"{total} numbers are too many for files; the cotangents are there"}
    kept: dict[str, list[Array]] = {}
    for column in columns:
        for name, x in column.items():
            kept.setdefault(name, []).append(x)
    out, omitted = {}, {}
    for name, xs in kept.items():
        stacked = np.stack(xs, axis=-1)
        if not stacked.any():
            continue
        where = name.replace("model/", "jacobian/")
        if stacked.size > most_numbers:
            omitted[where] = f"{stacked.size} numbers are too many for a file; the cotangent is there"
            continue
        of = entries[name]
        axes = f"{of.axes}, parameter" if of.axes else "parameter"
        out[where] = Entry(stacked, f"∂({name.rpartition('/')[2]})/∂θ", axes)
    return out, omitted


def _kernel(name: str, kernel: Kernel, meaning: str) -> Entries:
    if not isinstance(kernel, SparseKernel):
        return {f"model/{name}": Entry(np.asarray(kernel.values), meaning, _TABULAR_AXES[name])}
    pattern = kernel.pattern
    row = "row s·A + a holds the successors of action a in state s"
    return {
        f"model/{name}": Entry(np.asarray(kernel.values), f"{meaning}; the values of a CSR matrix, {row}", "entry"),
        f"model/{name}_indices": Entry(pattern.indices, "the next state of each value", "entry"),
        f"model/{name}_indptr": Entry(pattern.indptr, "where each row begins among the values, and the end", "row"),
    }


def _model(model: TabularModel) -> Entries:
    out = _kernel("transition", model.kernel, "p(s'|s,a); rows sum to one, or to less where an episode may end")
    for name, meaning in (
        ("initial", "the start ρ(s)"),
        ("follower_reward", "r_F(s,a)"),
        ("leader_reward", "r_L(s,a)"),
    ):
        out[f"model/{name}"] = Entry(np.asarray(getattr(model, name)), meaning, _TABULAR_AXES[name])
    if model.own_kernel:
        out |= _kernel("follower_transition", model.follower_kernel, "the kernel that the follower plans with")
    return out


def _discounts(model: Any) -> dict[str, Any]:
    return {
        "follower_discount": model.follower_discount,
        "leader_discount": model.leader_discount,
        "temperature": model.temperature,
    }


def _tabular(reference: TabularHypergradient) -> tuple[Entries, dict[str, Any], Iterator[dict[str, Array]]]:
    many = len(reference.contexts) > 1
    out: Entries = {}
    for c, (solved, cotangent) in enumerate(
        zip(reference.contexts, reference.contextual_cotangent.models, strict=True)
    ):
        one = _model(solved.model)
        for name in vars(cotangent):
            if (x := getattr(cotangent, name)) is not None:
                axes = one[f"model/{name}"].axes
                one[f"cotangent/{name}"] = Entry(x, f"∂J/∂({name})", axes)
        follower = solved.follower
        one["follower/V"] = Entry(follower.value, "the follower's soft value V_F", "state")
        one["follower/Q"] = Entry(follower.q, "Q_F", "state, action")
        one["follower/policy"] = Entry(follower.policy, "the follower's Boltzmann policy π(a|s)", "state, action")
        if solved.leader is not None:
            one["leader/V"] = Entry(solved.leader.value, "the leader's value V_L under π", "state")
            one["leader/Q"] = Entry(solved.leader.q, "Q_L", "state, action")
            one["leader/occupancy"] = Entry(solved.leader.occupancy, "ν(s), the discounted number of visits", "state")
        out |= {_in_context(name, c, many): entry for name, entry in one.items()}
    if many:
        weights = np.asarray(reference.linearised.contexts.probabilities)
        out["model/probabilities"] = Entry(weights, "the probability of each context", "context")
        out["cotangent/probabilities"] = Entry(
            reference.contextual_cotangent.probabilities, "∂J/∂(probabilities)", "context"
        )
    if reference.outside.any():
        meaning = "the part of ∇J that does not go through the arrays: ∂f/∂θ of the objective, and the regulariser's"
        out["outside"] = Entry(reference.outside, meaning, "parameter")
    constants = {
        "contexts": len(reference.contexts),
        "objective": "return" if reference.contexts[0].leader is not None else "a function f(theta, policy) of its own",
        "regularised": reference.problem.regulariser is not None,
        **_discounts(reference.contexts[0].model),
    }
    return out, constants, _tabular_columns(reference, many)


def _in_context(name: str, c: int, many: bool) -> str:
    return f"context-{c}/{name}" if many else name


def _tabular_columns(reference: TabularHypergradient, many: bool) -> Iterator[dict[str, Array]]:
    for column in reference.linearised.columns():
        out = {}
        for c, arrays in enumerate(column.models):
            for name in vars(arrays):
                if (x := getattr(arrays, name)) is not None:
                    out[_in_context(f"model/{name}", c, many)] = np.asarray(x)
        if many:
            out["model/probabilities"] = column.probabilities
        yield out


def _game(reference: GameHypergradient) -> tuple[Entries, dict[str, Any], Iterator[dict[str, Array]]]:
    game, solved = reference.problem, reference.solved
    S, A, B = game.n_states, game.n_leader_actions, game.n_follower_actions
    pairs, axes = (S, A, B), "state, leader's action, follower's action"
    out: Entries = {}
    for name, entry in _model(game.joint).items():
        if entry.axes == "state, action":
            out[name] = Entry(entry.array.reshape(pairs), entry.meaning.replace("(s,a)", "(s,a,b)"), axes)
        elif entry.axes == "state, action, next state":
            out[name] = Entry(
                entry.array.reshape(*pairs, S), entry.meaning.replace("s,a", "s,a,b"), f"{axes}, next state"
            )
        else:
            out[name] = Entry(entry.array, entry.meaning.replace("s·A + a", "(s·A + a)·B + b"), entry.axes)
    out["model/policy"] = Entry(
        solved.f, "the leader's policy f(a|s), the only array that depends on θ", "state, leader's action"
    )
    out["cotangent/policy"] = Entry(reference.cotangent, "∂J/∂f", "state, leader's action")
    out["follower/V"] = Entry(solved.value, "V_F(s,a) = τ log Σ_b exp(Q_F/τ)", "state, leader's action")
    out["follower/Q"] = Entry(solved.q, "Q_F", axes)
    out["follower/U"] = Entry(solved.continuation, "the follower's value of a state, before the leader moves", "state")
    out["follower/policy"] = Entry(solved.policy, "the follower's policy g(b|s,a)", axes)
    out["leader/V"] = Entry(reference.leader.value, "V_L", "state")
    out["leader/Q"] = Entry(solved.q_leader, "Q_L", axes)
    constants = {"follower_acts_on": game.acts_on, "follower_plans_on": game.plans_on, **_discounts(game.joint)}
    columns = ({"model/policy": np.asarray(reference.pushforward(u))} for u in np.eye(reference.theta.size))
    return out, constants, columns


_LQ = {
    "A": ("x' = A x + B u + w", "state, state"),
    "B": ("B", "state, input"),
    "W": ("covariance of w", "state, state"),
    "Q": ("the follower's cost of the state", "state, state"),
    "R": ("the follower's cost of the input", "input, input"),
    "mean": ("mean of x₀", "state"),
    "covariance": ("covariance of x₀", "state, state"),
    "leader_Q": ("the leader's cost of the state", "state, state"),
    "leader_R": ("the leader's cost of the input", "input, input"),
    "leader_constant": ("the leader's constant reward", ""),
}


def _lqr(reference: LQHypergradient) -> tuple[Entries, dict[str, Any], Iterator[dict[str, Array]]]:
    model, solved = reference.model, reference.follower
    out: Entries = {}
    for name, (meaning, axes) in _LQ.items():
        out[f"model/{name}"] = Entry(np.asarray(getattr(model, name)), meaning, axes)
        out[f"cotangent/{name}"] = Entry(np.asarray(getattr(reference.cotangent, name)), f"∂J/∂({name})", axes)
    if model.bump is not None:
        out["model/bump_target"] = Entry(model.bump.target, "where the leader's bump is", "state")
        out["model/bump_precision"] = Entry(model.bump.precision, "Λ of h exp(−½ (x − x̄)'Λ(x − x̄))", "state, state")
    out["follower/P"] = Entry(solved.P, "the follower's cost matrix (Riccati)", "state, state")
    out["follower/K"] = Entry(solved.K, "its gain: u ~ N(−K x, Σ)", "input, state")
    out["follower/covariance"] = Entry(solved.covariance, "Σ = (τ/2)(R + γB'PB)⁻¹", "input, input")
    if model.observed:
        out["follower/K_w"] = Entry(
            solved.K_w, "its gain on the disturbance, which it sees: u ~ N(−K x − K_w w, Σ)", "input, state"
        )
    constants = {
        "horizon": model.horizon,
        "observed": model.observed,
        "bump_height": None if model.bump is None else model.bump.height,
        **_discounts(model),
    }
    columns = (
        {f"model/{name}": np.asarray(getattr(column, name)) for name in _LQ}
        for column in reference.linearised.columns()
    )
    return out, constants, columns
