"""What a bundle holds of a finite-horizon problem, and the problem made of that again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.objectives import Regulariser
from boltzgrad.errors import BundleUnusable
from boltzgrad.families.content import described
from boltzgrad.families.family import Content, Entries, Entry
from boltzgrad.families.horizon.adjoint import HorizonSolution
from boltzgrad.families.horizon.model import FiniteHorizonModel, HorizonArrays
from boltzgrad.families.horizon.reference import HorizonHypergradient
from boltzgrad.families.remade import Line, Load
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_KERNELS = ("transition", "follower_transition")
_MOST_STEPS = 100_000


def _entries(solved: HorizonSolution, cotangent: HorizonArrays) -> Entries:
    model = solved.model
    out = described(model.arrays(), "model") | described(cotangent, "cotangent", model)
    for name, pattern in zip(_KERNELS, model.patterns, strict=True):
        if pattern is not None:
            where = f"model/{name}"
            row = "the values of a CSR matrix, row s·A + a holds the successors of action a in state s"
            out[where] = Entry(out[where].array, f"{out[where].meaning}; {row}", "[step,] entry")
            worth = out[f"cotangent/{name}"]
            out[f"cotangent/{name}"] = Entry(worth.array, worth.meaning, "[step,] entry")
            out[f"{where}_indices"] = Entry(pattern.indices, "the next state of each value", "entry")
            out[f"{where}_indptr"] = Entry(pattern.indptr, "where each row begins among the values, and the end", "row")
    if model.mask is not None:
        mask = model.mask.astype(np.int32)
        out["model/available"] = Entry(mask, "1 where an action is there", "[step,] state, action")
    follower = solved.follower
    out["follower/V"] = Entry(
        follower.value, "the follower's soft values V_t, the last one the terminal", "step, state"
    )
    out["follower/Q"] = Entry(follower.q, "Q_F", "step, state, action")
    out["follower/policy"] = Entry(follower.policy, "the follower's policy π_t(a|s)", "step, state, action")
    if (leader := solved.leader) is not None:
        out["leader/V"] = Entry(
            leader.value, "the leader's values U_t under π, the last one the terminal", "step, state"
        )
        out["leader/Q"] = Entry(leader.q, "Q_L", "step, state, action")
        out["leader/occupancy"] = Entry(leader.occupancy, "ν_t(s), discounted", "step, state")
    return {name: Entry(e.array, e.meaning, _axes(e.axes, e.array.ndim)) for name, e in out.items()}


def _axes(axes: str, ndim: int) -> str:
    """The axes that an array has: what stands in brackets only where there is one more."""
    plain = axes.replace("[step,] ", "").replace("[state]", "")
    return plain if len(list(filter(None, plain.split(", ")))) == ndim else axes.replace("[", "").replace("]", "")


def content(reference: HorizonHypergradient) -> Content:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    many = len(reference.contexts) > 1
    out: Entries = {}
    for c, (solved, cotangent) in enumerate(
        zip(reference.contexts, reference.contextual_cotangent.models, strict=True)
    ):
        out |= {_named(name, c, many): entry for name, entry in _entries(solved, cotangent).items()}
    if many:
        weights = np.asarray(reference.linearised.model.probabilities)
        out["model/probabilities"] = Entry(weights, "the probability of each context", "context")
        moved = reference.contextual_cotangent.probabilities
        out["cotangent/probabilities"] = Entry(moved, "∂J/∂(probabilities)", "context")
    if reference.outside.any():
        meaning = "the part of ∇J that does not go through the arrays: ∂f/∂θ of the objective, and the regulariser's"
        out["outside"] = Entry(reference.outside, meaning, "parameter")
    constants: dict[str, Any] = {
        "contexts": len(reference.contexts),
        "objective": "return" if reference.contexts[0].slope is None else "a function f(theta, policy) of its own",
        "regularised": reference.problem.regulariser is not None,
        "horizons": [s.model.horizon for s in reference.contexts],
    }
    return Content(out, constants, _columns(reference, many))


def _named(name: str, c: int, many: bool) -> str:
    return f"context-{c}/{name}" if many else name


def _columns(reference: HorizonHypergradient, many: bool) -> Iterator[dict[str, Array]]:
    for column in reference.linearised.columns():
        models = enumerate(column.models)
        out = {_named(f"model/{k}", c, many): np.asarray(x) for c, arrays in models for k, x in arrays.named()}
        yield out | ({"model/probabilities": column.probabilities} if many else {})


def remade(theta: Array, constants: dict[str, Any], array: Load, name: str) -> ConfigurableMDP | None:
    """The problem, or None where its objective is a function of somebody's own.  Raises: BundleUnusable."""
    if constants.get("objective") != "return":
        return None
    horizons = constants.get("horizons")
    if (
        not isinstance(horizons, list)
        or not horizons
        or not all(isinstance(H, int) and not isinstance(H, bool) and 1 <= H <= _MOST_STEPS for H in horizons)
    ):
        raise BundleUnusable("bundle.json: constants has no 'horizons', the steps of each context; export it again")
    lines = [Line(theta, array, f"context-{c}/" if len(horizons) > 1 else "") for c in range(len(horizons))]

    def build(t: Any) -> Any:
        models = [_model(line, t, H) for line, H in zip(lines, horizons, strict=True)]
        if len(models) == 1:
            return models[0]
        return ContextualModel(models, Line(theta, array).at(t, "probabilities"))

    outside = array("outside")
    regulariser = None if outside is None else Regulariser(lambda t: anp.dot(outside, t - theta))
    return ConfigurableMDP(build, dim=theta.size, regulariser=regulariser, name=name)


def _model(line: Line, t: Any, horizon: int) -> FiniteHorizonModel:
    numbers = {f: line.at(t, f) for f in HorizonArrays.__dataclass_fields__ if line.has(f)}
    missing = [f for f in HorizonArrays.__dataclass_fields__ if f not in (*numbers, "follower_transition")]
    if missing:
        raise BundleUnusable(f"there is no array '{line.prefix}model/{missing[0]}'; export the bundle again")
    for f in _KERNELS:
        if f in numbers and line.has(f"{f}_indptr"):
            S, A = numbers["follower_reward"].shape[-2:]
            indptr, indices = (np.asarray(line.at(line.theta, f"{f}_{part}")) for part in ("indptr", "indices"))
            numbers[f] = SparseKernel(SparsePattern(indptr, indices, n_states=S, n_actions=A), numbers[f])
    mask = line.at(line.theta, "available") > 0 if line.has("available") else None
    logs = {f: numbers[f] for f in ("log_reference", "log_leader_reference")}
    for f, x in logs.items():
        if x.shape not in (
            want := [numbers["follower_reward"].shape[-2:], (horizon, *numbers["follower_reward"].shape[-2:])]
        ):
            raise BundleUnusable(f"the array '{line.prefix}model/{f}' has shape {x.shape}, expected one of {want}")
    plain = FiniteHorizonModel(**{f: x for f, x in numbers.items() if f not in logs}, horizon=horizon, available=mask)
    return plain.with_arrays(replace(plain.arrays(), **logs))
