"""The tabular model: plain arrays at one θ, checked where they come in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from autograd.extend import Box
from scipy import sparse

from boltzgrad.errors import InvalidModel, SuspiciousModel
from boltzgrad.problems.kernel import Array, DenseKernel, Kernel, SparseKernel

# A row of probabilities may exceed one by rounding; float64 rows of 10^6 entries stay far below this.
_ROW_SLACK = 1e-10
# A deficit between rounding and this is more likely float32 arithmetic than an episode that may end.
_DEFICIT_OF_FLOAT32 = 1e-5


def untraced(x: Any) -> Any:
    """The plain value behind however many autograd boxes."""
    while isinstance(x, Box):
        x = x._value
    return x


@dataclass(frozen=True, eq=False)
class TabularArrays:
    """One number for every entry of a model that may depend on θ: a tangent or a cotangent.

    Shapes as in `TabularModel`; `transition` and `follower_transition` have the shape of the kernel's
    values: (S, A, S), or (nnz,) in the order of a sparse kernel's own entries.
    """

    transition: Array
    initial: Array
    follower_reward: Array
    leader_reward: Array
    follower_transition: Array | None = None

    def dot(self, other: TabularArrays) -> float:
        """The pairing of a cotangent with a tangent."""
        return float(sum(np.vdot(a, b) for a, b in zip(self.parts(), other.parts(), strict=True)))

    def parts(self) -> tuple[Array, ...]:
        """The arrays, in the order of the fields, without an absent `follower_transition`."""
        return tuple(x for f in fields(self) if (x := getattr(self, f.name)) is not None)

    def scaled(self, factor: float) -> TabularArrays:
        """The record times a number."""
        return self.map(lambda x: factor * x)

    def map(self, function: Callable[[Array], Array]) -> TabularArrays:
        """The record with `function` applied to each array."""
        return TabularArrays(*map(function, self.parts()))


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A finite follower and a leader's reward, as numbers at one θ.

    Shapes: `transition` (S, A, S), or SciPy sparse (S·A, S) with row s·A + a, or a `SparseKernel`;
    `initial` (S,); `follower_reward`, `leader_reward` (S, A).  Rows of `transition` sum to one, or to less
    where an episode may end.  `follower_transition` (same shape and pattern kind) is the kernel the
    follower *plans* with, when it differs from the world's.

    Discounts lie in [0, 1), `temperature` > 0 is the weight of the follower's entropy.  Arrays become
    float64 copies or views; index arrays of sparse kernels are copied.  Arrays traced by autograd stay traced.

    Raises: InvalidModel, naming the entry, what was found and what was expected.
    Warns: SuspiciousModel where a row misses one by about float32 rounding (it would end episodes).

    >>> model = TabularModel(np.full((2, 2, 2), 0.5), [1.0, 0.0], np.eye(2), np.ones((2, 2)),
    ...                      follower_discount=0.9, leader_discount=0.9, temperature=0.1)
    >>> model.n_states, model.n_actions
    (2, 2)
    """

    transition: Any
    initial: Any
    follower_reward: Any
    leader_reward: Any
    follower_transition: Any = None
    follower_discount: float = field(kw_only=True)
    leader_discount: float = field(kw_only=True)
    temperature: float = field(kw_only=True)
    kernel: Kernel = field(init=False, repr=False)
    follower_kernel: Kernel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("follower_reward", "leader_reward"):
            put(name, _array(name, getattr(self, name), ndim=2, axes="(states, actions)"))
        shape = self.follower_reward.shape
        if self.leader_reward.shape != shape:
            raise InvalidModel(
                f"leader_reward has shape {self.leader_reward.shape}, follower_reward {shape}; "
                "both must be (states, actions)"
            )
        if min(shape) < 1:
            raise InvalidModel(f"follower_reward has shape {shape}: there must be a state and an action")
        put("kernel", _kernel("transition", self.transition, shape))
        if self.follower_transition is None:
            put("follower_kernel", self.kernel)
        else:
            put("follower_kernel", _kernel("follower_transition", self.follower_transition, shape))
            put("follower_transition", _public(self.follower_kernel))
        put("transition", _public(self.kernel))
        put("initial", _array("initial", self.initial, ndim=1, axes="(states,)"))
        if self.initial.shape != shape[:1]:
            raise InvalidModel(f"initial has shape {self.initial.shape}, expected ({shape[0]},) as in the rewards")
        _probabilities("initial", np.asarray(untraced(self.initial))[None, :], np.array([0, shape[0]]), 1, True)
        for name in ("follower_discount", "leader_discount"):
            discount = _scalar(name, getattr(self, name))
            if not 0.0 <= discount < 1.0:
                raise InvalidModel(f"{name} is {discount!r}; it must lie in [0, 1)")
            put(name, discount)
        temperature = _scalar("temperature", self.temperature)
        if not (temperature > 0.0 and np.isfinite(temperature)):
            raise InvalidModel(
                f"temperature is {temperature!r}; it must be positive and finite "
                "(at zero the follower's answer is not differentiable)"
            )
        put("temperature", temperature)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.follower_reward.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of the follower's actions A."""
        return int(self.follower_reward.shape[1])

    @property
    def own_kernel(self) -> bool:
        """Whether the follower plans with a kernel of its own."""
        return self.follower_transition is not None

    @property
    def is_complex(self) -> bool:
        """Whether any array is complex, as under a complex step."""
        return any(np.iscomplexobj(x) for x in self.arrays().parts())

    def arrays(self) -> TabularArrays:
        """Everything in the model that may depend on θ, traced or not."""
        return TabularArrays(
            self.kernel.values,
            self.initial,
            self.follower_reward,
            self.leader_reward,
            self.follower_kernel.values if self.own_kernel else None,
        )

    def with_arrays(self, arrays: TabularArrays) -> TabularModel:
        """The model with other numbers in its arrays; patterns, discounts and temperature stay."""
        return replace(
            self,
            transition=self.kernel.with_values(arrays.transition),
            initial=arrays.initial,
            follower_reward=arrays.follower_reward,
            leader_reward=arrays.leader_reward,
            follower_transition=(
                self.follower_kernel.with_values(arrays.follower_transition) if self.own_kernel else None
            ),
        )

    def untraced(self) -> TabularModel:
        """The model with plain arrays in place of autograd boxes."""
        parts = self.arrays().parts()
        if not any(isinstance(x, Box) for x in parts):
            return self
        return self.with_arrays(TabularArrays(*map(untraced, parts)))


def _public(kernel: Kernel) -> Any:
    """What the `transition` field shows: the dense array, or the CSR matrix (the kernel itself while traced)."""
    if isinstance(kernel, DenseKernel):
        return kernel.values
    return kernel if isinstance(kernel.values, Box) else kernel.flat


def _scalar(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise InvalidModel(f"{name} is {x!r}; it must be a real number") from None


def _array(name: str, x: Any, *, ndim: int | None = None, axes: str = "") -> Any:
    """`x` as float64 (complex128 under a complex step), finite; an autograd box is checked and kept."""
    try:
        value = np.asarray(untraced(x))
    except ValueError as error:
        raise InvalidModel(f"{name} is not an array of numbers: {error}") from None
    if value.dtype == object or not (np.issubdtype(value.dtype, np.number) or np.issubdtype(value.dtype, np.bool_)):
        hint = ""
        if value.dtype == object and any(isinstance(entry, Box) for entry in value.ravel()[:1000]):
            hint = "; it mixes traced values into a plain NumPy array: build it with autograd.numpy"
        raise InvalidModel(f"{name} holds {value.dtype} values, expected real numbers{hint}")
    if ndim is not None and value.ndim != ndim:
        raise InvalidModel(f"{name} has shape {value.shape}, expected {ndim} axes {axes}")
    bad = np.argwhere(~np.isfinite(value))
    if len(bad):
        at = ", ".join(map(str, bad[0]))
        raise InvalidModel(f"{name}[{at}] is {value[tuple(bad[0])]}; every entry must be finite")
    if isinstance(x, Box):
        return x
    return value.astype(np.complex128 if np.iscomplexobj(value) else np.float64, copy=False)


def _kernel(name: str, x: Any, shape: tuple[int, ...]) -> Kernel:
    S, A = shape
    if sparse.issparse(x):
        if x.shape != (S * A, S):
            raise InvalidModel(
                f"{name} is sparse with shape {x.shape}, expected ({S * A}, {S}) for {S} states × {A} actions"
            )
        x = SparseKernel.from_scipy(x, A)
    if isinstance(x, SparseKernel):
        if (x.n_states, x.n_actions) != (S, A):
            raise InvalidModel(f"{name} has {x.n_states} states × {x.n_actions} actions, the rewards have {S} × {A}")
        values = _array(f"{name}.values", x.values)
        if values.shape != (x.pattern.nnz,):
            raise InvalidModel(f"{name}.values has shape {values.shape}, its pattern holds {x.pattern.nnz} entries")
        _probabilities(name, np.asarray(untraced(values)), x.pattern.indptr, A, False, x.pattern.indices)
        return x.with_values(values)
    values = x.values if isinstance(x, DenseKernel) else x
    values = _array(name, values)
    if values.shape != (S, A, S):
        raise InvalidModel(f"{name} has shape {values.shape}, expected ({S}, {A}, {S}) as in the rewards")
    plain = np.asarray(untraced(values))
    _probabilities(name, plain.reshape(S * A, S), np.arange(S * A + 1) * S, A, False)
    return DenseKernel(values)


def _probabilities(
    name: str, values: Array, indptr: Array, n_actions: int, whole: bool, indices: Array | None = None
) -> None:
    """Check rows of probabilities: none negative, sums at most one (exactly one if `whole`)."""
    flat = np.real(values).ravel()

    def label(row: int) -> str:
        return name if whole else f"{name}[{row // n_actions}, {row % n_actions}]"

    if flat.size and flat.min() < 0.0:
        entry = int(np.argmin(flat))
        row = int(np.searchsorted(indptr, entry, side="right")) - 1
        column = int(indices[entry]) if indices is not None else entry - int(indptr[row])
        at = f"{name}[{column}]" if whole else f"{label(row)[:-1]}, {column}]"
        raise InvalidModel(f"{at} is {flat[entry]:.6g}; probabilities must not be negative")
    if values.ndim == 2:
        sums = np.real(values).sum(axis=1)
    else:
        sums = np.zeros(indptr.size - 1)
        filled = np.flatnonzero(np.diff(indptr))
        if filled.size:
            sums[filled] = np.add.reduceat(flat, indptr[filled])
    row = int(np.argmax(sums))
    if sums[row] > 1.0 + _ROW_SLACK:
        raise InvalidModel(f"{label(row)} sums to {sums[row]:.12g}; rows must be probabilities (at most 1)")
    missing = 1.0 - sums
    if whole:
        if missing[0] > _ROW_SLACK:
            raise InvalidModel(f"{name} sums to {sums[0]:.12g}; it must be a probability distribution")
        return
    odd = np.flatnonzero((missing > _ROW_SLACK) & (missing < _DEFICIT_OF_FLOAT32))
    if odd.size:
        warnings.warn(
            f"{label(int(odd[0]))} sums to 1 − {missing[odd[0]]:.3g}: taken as an episode that may end, "
            "but it looks like float32 rounding; normalise the rows in float64",
            SuspiciousModel,
            stacklevel=2,
        )
