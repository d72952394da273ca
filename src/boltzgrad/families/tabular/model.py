"""The tabular model: plain arrays at one θ, checked where they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from autograd.extend import Box
from scipy import sparse

from boltzgrad.core.arrays import Array, meaning
from boltzgrad.core.checks import ROW_SLACK, check_probabilities, numeric_array, real_number, untraced
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel
from boltzgrad.errors import InvalidModel

_NEXT = "state, action, next state"


@dataclass(frozen=True, eq=False)
class TabularArrays:
    """One number for every entry of a model that may depend on θ: a tangent or a cotangent.

    Shapes as in `TabularModel`; `transition` and `follower_transition` have the shape of the kernel's
    values: (S, A, S), or (nnz,) in the order of a sparse kernel's own entries.
    """

    transition: Array = meaning("p(s'|s,a); rows sum to one, or to less where an episode may end", _NEXT)
    initial: Array = meaning("the start ρ(s)", "state")
    follower_reward: Array = meaning("r_F(s,a)", "state, action")
    leader_reward: Array = meaning("r_L(s,a)", "state, action")
    follower_transition: Array | None = meaning("the kernel that the follower plans with", _NEXT, default=None)

    def dot(self, other: TabularArrays) -> float:
        """The pairing of a cotangent with a tangent."""
        return float(sum(np.vdot(a, b) for a, b in zip(self.parts(), other.parts(), strict=True)))

    def parts(self) -> tuple[Array, ...]:
        """The arrays, in the order of the fields, without an absent `follower_transition`."""
        return tuple(x for f in fields(self) if (x := getattr(self, f.name)) is not None)

    def named(self) -> tuple[tuple[str, Array], ...]:
        """The same with their names."""
        return tuple((f.name, x) for f in fields(self) if (x := getattr(self, f.name)) is not None)

    def clipped(self) -> TabularArrays:
        """The same with probabilities that rounding has made negative set to zero."""
        own = None if self.follower_transition is None else np.maximum(self.follower_transition, 0.0)
        return replace(
            self,
            transition=np.maximum(self.transition, 0.0),
            initial=np.maximum(self.initial, 0.0),
            follower_transition=own,
        )

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
            put(name, numeric_array(name, getattr(self, name), ndim=2, axes="(states, actions)"))
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
        put("initial", numeric_array("initial", self.initial, ndim=1, axes="(states,)"))
        if self.initial.shape != shape[:1]:
            raise InvalidModel(f"initial has shape {self.initial.shape}, expected ({shape[0]},) as in the rewards")
        check_probabilities("initial", np.asarray(untraced(self.initial))[None, :], np.array([0, shape[0]]), 1, True)
        for name in ("follower_discount", "leader_discount"):
            discount = real_number(name, getattr(self, name))
            if not 0.0 <= discount < 1.0:
                raise InvalidModel(f"{name} is {discount!r}; it must lie in [0, 1)")
            put(name, discount)
            if discount > 1.0 - 2.0 * ROW_SLACK:  # rows of 1 + slack pass for probabilities
                self._refuse_growth(name, discount)
        temperature = real_number("temperature", self.temperature)
        if not (temperature > 0.0 and np.isfinite(temperature)):
            raise InvalidModel(
                f"temperature is {temperature!r}; it must be positive and finite "
                "(at zero the follower's answer is not differentiable)"
            )
        put("temperature", temperature)

    def _refuse_growth(self, name: str, discount: float) -> None:
        """Raise InvalidModel where a discount and a row that rounding has made larger than one grow together."""
        kernel = self.follower_kernel if name == "follower_discount" else self.kernel
        most = float(np.max(np.real(untraced(kernel.row_sums))))
        if most > 1.0 and discount * most >= 1.0:
            raise InvalidModel(
                f"{name} is 1 − {1.0 - discount:.2g}, and a row of transition sums to 1 + {most - 1.0:.2g}: together they "
                "never lose weight, and no value exists; normalise the rows in float64"
            )

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.follower_reward.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of the follower's actions A."""
        return int(self.follower_reward.shape[1])

    @property
    def ends(self) -> bool:
        """Whether episodes may end: whether some row of the world's kernel sums to less than one."""
        return bool(np.real(untraced(self.kernel.row_sums)).min() < 1.0 - 1e-12)

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
        values = numeric_array(f"{name}.values", x.values)
        if values.shape != (x.pattern.nnz,):
            raise InvalidModel(f"{name}.values has shape {values.shape}, its pattern holds {x.pattern.nnz} entries")
        check_probabilities(name, np.asarray(untraced(values)), x.pattern.indptr, A, False, x.pattern.indices)
        return x.with_values(values)
    values = x.values if isinstance(x, DenseKernel) else x
    values = numeric_array(name, values)
    if values.shape != (S, A, S):
        raise InvalidModel(f"{name} has shape {values.shape}, expected ({S}, {A}, {S}) as in the rewards")
    plain = np.asarray(untraced(values))
    check_probabilities(name, plain.reshape(S * A, S), np.arange(S * A + 1) * S, A, False)
    return DenseKernel(values)
