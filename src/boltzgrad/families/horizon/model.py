"""The finite-horizon model: plain arrays at one θ, the same at every step or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import Box
from scipy import sparse

from boltzgrad.core.arrays import Array, ArrayRecord, meaning
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import (
    ROW_SLACK,
    check_available,
    check_policy,
    check_probabilities,
    numeric_array,
    untraced,
)
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel

_NEXT = "[step,] state, action, next state"
_PAIR = "[step,] state, action"
_SQUARE = 1e-40  # what the square of a complex step may take from a number that is zero


@dataclass(frozen=True, eq=False)
class HorizonArrays(ArrayRecord):
    """One number for everything in a finite-horizon model that may depend on θ: its own, a tangent or a cotangent.

    Arrays have the shapes in which they were given: with a first axis for the step (H,), or without one where they are the same
    at every step.  A sparse kernel's are its values, (nnz,) or (H, nnz).
    """

    transition: Array = meaning("p(s'|s,a); rows sum to one, or to less where an episode may end", _NEXT)
    initial: Array = meaning("the start ρ(s)", "state")
    follower_reward: Array = meaning("r_F(s,a)", _PAIR)
    leader_reward: Array = meaning("r_L(s,a)", _PAIR)
    terminal_follower_reward: Array = meaning("what the follower gets after the last step", "state")
    terminal_leader_reward: Array = meaning("what the leader gets after the last step", "state")
    temperature: Array = meaning("τ, or τ(s)", "[state]")
    follower_discount: Array = meaning("γ_F", "")
    leader_discount: Array = meaning("γ_L", "")
    leader_temperature: Array = meaning("τ_L", "")
    log_reference: Array = meaning("log π⁰(a|s), zero for entropy and where an action is not there", _PAIR)
    log_leader_reference: Array = meaning("log π⁰_L(a|s), zero for entropy", _PAIR)
    follower_transition: Array | None = meaning("the kernel that the follower plans with", _NEXT, default=None)


@dataclass(frozen=True, eq=False)
class FiniteHorizonModel(BuiltModel):
    """A follower that plans over H steps, and a leader who counts the same H, as numbers at one θ.

    Shapes: `transition` (S, A, S), or one for each step (H, S, A, S); SciPy sparse (S·A, S) with row s·A + a, or a list of H
    such; or a `SparseKernel` with values (nnz,) or (H, nnz).  `initial` (S,).  `follower_reward`, `leader_reward`, and the
    policies `reference`, `leader_reference` and the mask `available` (S, A) or (H, S, A).  `terminal_follower_reward`,
    `terminal_leader_reward` (S,) are paid after the last step, in the state that it leads to (zeros, unless given).
    `follower_transition` is the kernel the follower *plans* with, when it differs from the world's.

    `horizon` H ≥ 1 steps; discounts lie in [0, 1]; `temperature` τ > 0 is one number or one for each state (S,); they, the
    `leader_temperature` τ_L ≥ 0 and the references may depend on θ.  `reference` (zeros are actions that are not there),
    `leader_temperature` and `leader_reference` mean what they do in `TabularModel`.

    The follower's answer is a policy for each step (H, S, A):

        V_H = terminal,  Q_t = r_F + γ_F P V_{t+1},  V_t = τ log Σ_a π⁰ exp(Q_t/τ),  π_t = π⁰ exp((Q_t − V_t)/τ).

    Source: HPGD (15)(16) with a step index.  Raises: InvalidModel, naming the entry, what was found and what was expected.

    >>> model = FiniteHorizonModel(np.full((2, 2, 2), 0.5), [1.0, 0.0], np.eye(2), np.ones((2, 2)), horizon=5,
    ...                            follower_discount=1.0, leader_discount=1.0, temperature=0.1)
    >>> model.n_states, model.n_actions, model.horizon
    (2, 2, 5)
    """

    transition: Any
    initial: Any
    follower_reward: Any
    leader_reward: Any
    follower_transition: Any = None
    horizon: int = field(kw_only=True)
    follower_discount: Any = field(kw_only=True)
    leader_discount: Any = field(kw_only=True)
    temperature: Any = field(kw_only=True)
    terminal_follower_reward: Any = field(kw_only=True, default=None)
    terminal_leader_reward: Any = field(kw_only=True, default=None)
    reference: Any = field(kw_only=True, default=None)
    available: Any = field(kw_only=True, default=None)
    leader_temperature: Any = field(kw_only=True, default=0.0)
    leader_reference: Any = field(kw_only=True, default=None)
    patterns: tuple[Any, Any] = field(
        kw_only=True, default=(None, None), repr=False
    )  # of the kernels whose values it holds
    log_reference: Any = field(init=False, repr=False)
    log_leader_reference: Any = field(init=False, repr=False)
    mask: Array | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        H = self.horizon
        if isinstance(H, bool) or not isinstance(H, (int, np.integer)) or H < 1:
            raise InvalidModel(f"horizon is {H!r}; expected a positive integer, the number of steps")
        put("horizon", int(H))
        S, A = self._take_rewards(put)
        put("initial", numeric_array("initial", self.initial, ndim=1, axes="(states,)"))
        if self.initial.shape != (S,):
            raise InvalidModel(f"initial has shape {self.initial.shape}, expected ({S},) as in the rewards")
        check_probabilities("initial", np.asarray(untraced(self.initial))[None, :], np.array([0, S]), 1, True)
        patterns: list[SparsePattern | None] = []
        for name, pattern in zip(("transition", "follower_transition"), self.patterns, strict=True):
            x = getattr(self, name)
            if x is None:
                if name == "transition":
                    raise InvalidModel(
                        f"transition is None; expected an array ({S}, {A}, {S}), one for each step, or sparse"
                    )
                patterns.append(None)
                continue
            values, pattern = _values(name, x, pattern, (int(H), S, A))
            put(name, values)
            patterns.append(pattern)
        put("patterns", tuple(patterns))
        for name in ("terminal_follower_reward", "terminal_leader_reward"):
            x = getattr(self, name)
            put(name, np.zeros(S) if x is None else numeric_array(name, x, ndim=1, axes="(states,)"))
            if getattr(self, name).shape != (S,):
                raise InvalidModel(f"{name} has shape {getattr(self, name).shape}, expected ({S},)")
        self._take_numbers(put)
        self._take_references(put)

    def _take_rewards(self, put: Any) -> tuple[int, int]:
        for name in ("follower_reward", "leader_reward"):
            x = numeric_array(name, getattr(self, name))
            if x.ndim not in (2, 3) or min(x.shape) < 1 or (x.ndim == 3 and x.shape[0] != self.horizon):
                expected = f"(states, actions), or ({self.horizon}, states, actions)"
                raise InvalidModel(f"{name} has shape {x.shape}, expected {expected}")
            put(name, x)
        shapes = [x.shape[-2:] for x in (self.follower_reward, self.leader_reward)]
        if shapes[0] != shapes[1]:
            raise InvalidModel(f"leader_reward has {shapes[1]} states × actions, follower_reward {shapes[0]}")
        return int(shapes[0][0]), int(shapes[0][1])

    def _take_numbers(self, put: Any) -> None:
        for name in ("follower_discount", "leader_discount", "leader_temperature", "temperature"):
            x = numeric_array(name, getattr(self, name))
            per_state = name == "temperature" and x.shape == (self.n_states,)
            if x.shape != () and not per_state:
                expected = f"a number, or ({self.n_states},)" if name == "temperature" else "a number"
                raise InvalidModel(f"{name} has shape {x.shape}, expected {expected}")
            plain = np.real(np.asarray(untraced(x)))
            if name.endswith("discount") and not 0.0 <= plain <= 1.0 + ROW_SLACK:
                raise InvalidModel(f"{name} is {float(plain)!r}; it must lie in [0, 1]")
            if name == "leader_temperature" and not plain >= -_SQUARE:
                raise InvalidModel(f"leader_temperature is {float(plain)!r}; it must be at least 0")
            if name == "temperature" and not plain.min() > 0.0:
                where = "temperature" if plain.ndim == 0 else f"temperature[{int(np.argmin(plain))}]"
                raise InvalidModel(f"{where} is {plain.min():.6g}; it must be positive")
            put(name, x)

    def _take_references(self, put: Any) -> None:
        pair = (self.n_states, self.n_actions)
        shapes = [pair, (self.horizon, *pair)]
        there = check_available(self.available, shapes)
        for name, log in (("reference", "log_reference"), ("leader_reference", "log_leader_reference")):
            x = getattr(self, name)
            if x is None:
                put(log, np.zeros(pair))
                continue
            weights = followed(numeric_array(name, x))
            plain = np.real(np.asarray(untraced(weights)))
            positive = check_policy(name, plain, shapes, there if name == "reference" else None)
            if name == "reference":
                there = None if positive.all() else positive
            elif (~positive & (True if there is None else there)).any():
                raise InvalidModel("leader_reference is 0 where the follower may act: its log is infinite")
            put(log, anp.log(anp.where(plain > 0.0, weights, 1.0)))
        put("mask", there)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.follower_reward.shape[-2])

    @property
    def n_actions(self) -> int:
        """Number of the follower's actions A."""
        return int(self.follower_reward.shape[-1])

    @property
    def own_kernel(self) -> bool:
        """Whether the follower plans with a kernel of its own."""
        return self.follower_transition is not None

    @property
    def regularised(self) -> bool:
        """Whether the leader is paid for the follower's policy itself, or may be."""
        tau = self.leader_temperature
        return isinstance(tau, Box) or bool(np.any(np.asarray(tau) != 0.0))

    def later(self, n: int, start: Array) -> FiniteHorizonModel:
        """The last H − n steps, from a start (S,)."""

        def rest(name: str, axes: int) -> Any:
            x = getattr(self, name)
            return x if x is None or x.ndim == axes else x[n:]

        dense = [3 if pattern is None else 1 for pattern in self.patterns]
        axes = dict(zip(("transition", "follower_transition"), dense, strict=True))
        axes |= dict.fromkeys(("follower_reward", "leader_reward", "log_reference", "log_leader_reference", "mask"), 2)
        out = copy(self)
        for name, count in axes.items():
            object.__setattr__(out, name, rest(name, count))
        object.__setattr__(out, "initial", start)
        object.__setattr__(out, "horizon", self.horizon - n)
        return out

    def shared(self, name: str) -> bool:
        """Whether a kernel, `transition` or `follower_transition`, is the same at every step."""
        pattern = self.patterns[name == "follower_transition"]
        return bool(getattr(self, name).ndim == (3 if pattern is None else 1))

    def kernels(self, own: bool = False) -> Sequence[Kernel]:
        """The world's kernel at each step, or with `own` the follower's; one object where it is the same at every step."""
        own = own and self.own_kernel
        name = "follower_transition" if own else "transition"
        values, pattern = getattr(self, name), self.patterns[own]

        def one(x: Any) -> Kernel:
            return DenseKernel(x) if pattern is None else SparseKernel(pattern, x)

        if self.shared(name):
            return [one(values)] * self.horizon
        return [one(values[t]) for t in range(self.horizon)]

    def arrays(self) -> HorizonArrays:
        """Everything in the model that may depend on θ, traced or not."""
        return HorizonArrays(**{f.name: getattr(self, f.name) for f in fields(HorizonArrays)})

    def scales(self) -> tuple[float, ...]:
        """The size of change of each array that matters: probabilities 1, the follower's rewards τ or their own size."""
        tau = float(np.min(np.abs(self.temperature)))

        def scale(name: str, x: Any) -> float:
            size = float(np.abs(x).max(initial=0.0))
            if name in ("follower_reward", "terminal_follower_reward"):
                return min(tau, size) if size else tau
            if name in ("leader_reward", "terminal_leader_reward", "leader_temperature"):
                return size if size else tau
            return tau if name == "temperature" else 1.0

        return tuple(scale(name, x) for name, x in self.arrays().named())

    def with_arrays(self, arrays: HorizonArrays) -> FiniteHorizonModel:
        """The model with other numbers in its arrays, which are not checked again; patterns, mask and horizon stay."""
        out = copy(self)
        for name, x in arrays.named():
            object.__setattr__(out, name, x)
        return out

    def untraced(self) -> FiniteHorizonModel:
        """The model with plain arrays in place of autograd boxes."""
        arrays = self.arrays()
        if not any(isinstance(x, Box) for x in arrays.parts()):
            return self
        out = self.with_arrays(arrays.map(lambda x: np.asarray(untraced(x))))
        for name in ("reference", "leader_reference"):
            object.__setattr__(out, name, untraced(getattr(self, name)))
        return out


def _values(
    name: str, x: Any, pattern: SparsePattern | None, sizes: tuple[int, int, int]
) -> tuple[Any, SparsePattern | None]:
    """The values of a kernel and their pattern, checked.  Raises: InvalidModel."""
    H, S, A = sizes
    if isinstance(x, (list, tuple)) and x and all(map(sparse.issparse, x)):
        x = _stacked(name, x, sizes)
    elif sparse.issparse(x):
        if x.shape != (S * A, S):
            raise InvalidModel(f"{name} is sparse with shape {x.shape}, expected ({S * A}, {S})")
        x = SparseKernel.from_scipy(x, A)
    if isinstance(x, SparseKernel):
        if (x.n_states, x.n_actions) != (S, A):
            raise InvalidModel(f"{name} has {x.n_states} states × {x.n_actions} actions, the rewards have {S} × {A}")
        x, pattern = x.values, x.pattern
    values = numeric_array(name, x.values if isinstance(x, DenseKernel) else x)
    pattern = None if values.ndim > 2 else pattern
    one = (S, A, S) if pattern is None else (pattern.nnz,)
    if values.shape not in (one, (H, *one)):
        raise InvalidModel(f"{name} has shape {values.shape}, expected {one} or {(H, *one)}")
    plain = np.asarray(untraced(values))
    for t, row in enumerate([plain] if plain.shape == one else plain):
        at = name if values.shape == one else f"{name}[{t}]"
        if pattern is None:
            check_probabilities(at, row.reshape(S * A, S), np.arange(S * A + 1) * S, A, False)
        else:
            check_probabilities(at, row, pattern.indptr, A, False, pattern.indices)
    return values, pattern


def _stacked(name: str, kernels: Sequence[Any], sizes: tuple[int, int, int]) -> SparseKernel:
    """One sparse matrix for each step on the pattern of all of them, values (H, nnz)."""
    H, S, A = sizes
    if len(kernels) != H:
        raise InvalidModel(f"{name} has {len(kernels)} matrices, expected {H}, one for each step")
    for t, x in enumerate(kernels):
        if x.shape != (S * A, S):
            raise InvalidModel(f"{name}[{t}] is sparse with shape {x.shape}, expected ({S * A}, {S})")
    held = sparse.csr_array(sum(sparse.csr_array(x).astype(bool).astype(float) for x in kernels))
    held.sort_indices()
    pattern = SparsePattern(held.indptr, held.indices, n_states=S, n_actions=A)
    rows = np.repeat(np.arange(S * A), np.diff(pattern.indptr))
    return SparseKernel(pattern, np.stack([np.asarray(sparse.csr_array(x)[rows, pattern.indices]) for x in kernels]))
