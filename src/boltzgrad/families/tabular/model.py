"""The tabular model: plain arrays at one θ, checked where they come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from autograd.extend import Box
from scipy import sparse

from boltzgrad.core.arrays import Array, ArrayRecord, meaning
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import ROW_SLACK, check_probabilities, numeric_array, real_number, untraced
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.plain_form import (
    MadeWith,
    absorb,
    public,
    refuse_endless,
    retake,
    row_sums,
    take_leader_reference,
    take_reference,
)

if TYPE_CHECKING:
    from boltzgrad.families.tabular.given import Given

_NEXT = "state, action, next state"
SCALARS = ("follower_discount", "leader_discount", "temperature")
"""What of a model is one number, and may depend on θ all the same."""


@dataclass(frozen=True, eq=False)
class TabularArrays(ArrayRecord):
    """One number for every entry of a model that may depend on θ: a tangent or a cotangent.

    Shapes as in `TabularModel`; `transition` and `follower_transition` have the shape of the kernel's
    values: (S, A, S), or (nnz,) in the order of a sparse kernel's own entries.
    """

    transition: Array = meaning("p(s'|s,a); rows sum to one, or to less where an episode may end", _NEXT)
    initial: Array = meaning("the start ρ(s)", "state")
    follower_reward: Array = meaning("r_F(s,a)", "state, action")
    leader_reward: Array = meaning("r_L(s,a)", "state, action")
    follower_transition: Array | None = meaning("the kernel that the follower plans with", _NEXT, default=None)

    def clipped(self) -> TabularArrays:
        """The same with probabilities that rounding has made negative set to zero."""
        own = None if self.follower_transition is None else np.maximum(self.follower_transition, 0.0)
        return replace(
            self,
            transition=np.maximum(self.transition, 0.0),
            initial=np.maximum(self.initial, 0.0),
            follower_transition=own,
        )


@dataclass(frozen=True, eq=False)
class TabularModel(BuiltModel):
    """A finite follower and a leader's reward, as numbers at one θ.

    Shapes: `transition` (S, A, S), or SciPy sparse (S·A, S) with row s·A + a, or a `SparseKernel`;
    `initial` (S,); `follower_reward`, `leader_reward` (S, A).  Rows of `transition` sum to one, or to less
    where an episode may end.  `follower_transition` (same shape and pattern kind) is the kernel the
    follower *plans* with, when it differs from the world's.

    `temperature` τ > 0 is the weight of the follower's entropy, or of −KL(π(·|s) ‖ π⁰(·|s)) where a `reference` π⁰ (S, A)
    is given: rows of probabilities, whose zeros are actions that are not there.  `available` (S, A), true where an action is
    there, says the same of a follower with entropy.  Discounts lie in [0, 1), or are 1 where every episode ends.
    `temperature` may be one for each state (S,).  Temperature, discounts and reference may depend on θ.  Arrays become float64
    copies or views; index arrays of sparse kernels are copied.

    With a `leader_horizon` H the leader counts the first H steps alone, at a discount of up to 1, of a follower that plans for
    ever as before (SoBiRL K).

    `leader_temperature` τ_L ≥ 0, a constant, is the weight of the leader's own regulariser of the follower's policy: its
    running reward is r_L − τ_L (log π − log π⁰_L), with `leader_reference` π⁰_L (S, A), or with entropy where none is given.

    What is kept is the same follower in the plain form (`families/tabular/plain_form.py`): `follower_reward` is then
    r_F + τ log π⁰, a temperature that moves becomes 1 and `unit` says what a unit of reward is, a discount that moves becomes 1
    and its kernel γp; a temperature for each state becomes 1, too, with `unit` (S,) and a kernel of weights for the follower
    (`scale` is `unit` as θ moves it); `followers` (S_c, A_c) are those that the table holds, where it is of several;
    `moving` has what was taken in, by name, `available` and `reference` say what was given.

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
    temperature: Any = field(kw_only=True)
    reference: Any = field(kw_only=True, default=None)
    available: Any = field(kw_only=True, default=None)
    leader_temperature: float = field(kw_only=True, default=0.0)
    leader_reference: Any = field(kw_only=True, default=None)
    leader_horizon: int | None = field(kw_only=True, default=None)
    unit: Any = field(kw_only=True, default=1.0, repr=False)
    scale: Any = field(kw_only=True, default=1.0, repr=False)
    followers: tuple[tuple[int, int], ...] = field(kw_only=True, default=(), repr=False)
    moving: Mapping[str, Any] = field(kw_only=True, default_factory=dict, repr=False)
    made_with: MadeWith | None = field(kw_only=True, default=None, repr=False)
    given: Given | None = field(kw_only=True, default=None, repr=False)
    loose: tuple[str, ...] = field(init=False, repr=False)
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
        put("kernel", kernel_of("transition", self.transition, shape))
        if self.follower_transition is None:
            put("follower_kernel", self.kernel)
        else:
            put("follower_kernel", kernel_of("follower_transition", self.follower_transition, shape, self.weighted))
            put("follower_transition", public(self.follower_kernel))
        put("transition", public(self.kernel))
        put("initial", numeric_array("initial", self.initial, ndim=1, axes="(states,)"))
        if self.initial.shape != shape[:1]:
            raise InvalidModel(f"initial has shape {self.initial.shape}, expected ({shape[0]},) as in the rewards")
        check_probabilities("initial", np.asarray(untraced(self.initial))[None, :], np.array([0, shape[0]]), 1, True)
        given = {name: getattr(self, name) for name in SCALARS}
        put(
            "loose",
            tuple(name for name, x in given.items() if not isinstance(x, (float, int)) or type(x) is np.float64),
        )
        each = self._temperatures(given["temperature"]) if np.ndim(untraced(given["temperature"])) else None
        for name, x in given.items():
            if name == "temperature" and each is not None:
                x = 1.0
            put(name, real_number(name, np.real(untraced(x)) if _moves(x) else x))
        self._check_scalars()
        H = self.leader_horizon
        if H is not None:
            if isinstance(H, bool) or not isinstance(H, (int, np.integer)) or H < 1:
                raise InvalidModel(f"leader_horizon is {H!r}; expected a positive integer, or None for ever")
            put("leader_horizon", int(H))
        put("leader_temperature", real_number("leader_temperature", self.leader_temperature))
        if not (self.leader_temperature >= 0.0 and np.isfinite(self.leader_temperature)):
            raise InvalidModel(f"leader_temperature is {self.leader_temperature!r}; it must be at least 0 and finite")
        if self.made_with is not None:
            retake(self, put)
        else:
            take_leader_reference(self, put)
            take_reference(self, put, given["temperature"] if each is None else each[:, None])
            moving = {name: x for name, x in given.items() if _moves(x)}
            if each is not None:
                if self.follower_discount == 1.0:
                    refuse_endless("follower_discount", self.follower_kernel)
                moving |= {"temperature": each, "follower_discount": given["follower_discount"]}
            absorb(self, put, moving)
        put("made_with", MadeWith.of(self))
        for name, kernel in (("follower_discount", self.follower_kernel), ("leader_discount", self.kernel)):
            discount = getattr(self, name)
            if name == "follower_discount" and self.weighted:
                continue  # looked at before its rows were weighted
            if name == "leader_discount" and self.leader_horizon is not None:
                continue
            if discount > 1.0 - 2.0 * ROW_SLACK:  # rows of 1 + slack pass for probabilities
                self._refuse_growth(name, discount)
            if discount == 1.0:
                refuse_endless(name, kernel)

    def _temperatures(self, x: Any) -> Any:
        """A temperature for each state (S,), checked."""
        tau = numeric_array("temperature", x)
        plain = np.real(np.asarray(untraced(tau)))
        if plain.shape != self.follower_reward.shape[:1]:
            raise InvalidModel(
                f"temperature has shape {plain.shape}, expected a number or ({len(self.follower_reward)},)"
            )
        if not plain.min() > 0.0:
            at = int(np.argmin(plain))
            raise InvalidModel(f"temperature[{at}] is {plain[at]:.6g}; it must be positive")
        if self.made_with is not None:
            raise InvalidModel("a copy of a model has a temperature for each state: make it anew with that")
        return tau

    def _check_scalars(self) -> None:
        for name in ("follower_discount", "leader_discount"):
            discount = getattr(self, name)
            if not 0.0 <= discount <= 1.0:
                raise InvalidModel(f"{name} is {discount!r}; it must lie in [0, 1), or be 1 where every episode ends")
        if not (self.temperature > 0.0 and np.isfinite(self.temperature)):
            raise InvalidModel(
                f"temperature is {self.temperature!r}; it must be positive and finite "
                "(at zero the follower's answer is not differentiable)"
            )

    def moved(self, names: Iterable[str]) -> TabularModel:
        """The model at another θ in the form that it has where these scalars are known to depend on θ."""
        out = copy(self)
        left = {name: getattr(self, name) for name in names if name not in self.moving}
        absorb(out, lambda name, value: object.__setattr__(out, name, value), left)
        object.__setattr__(out, "made_with", MadeWith.of(out))
        return out

    def _refuse_growth(self, name: str, discount: float) -> None:
        """Raise InvalidModel where a discount and a row that rounding has made larger than one grow together."""
        kernel = self.follower_kernel if name == "follower_discount" else self.kernel
        most = float(row_sums(kernel).max())
        if most > 1.0 and discount < 1.0 <= discount * most:
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
    def weighted(self) -> bool:
        """Whether the follower's kernel is one of weights, because each state has its own temperature."""
        return np.ndim(self.unit) == 1

    @property
    def ends(self) -> bool:
        """Whether episodes may end: whether some row of the world's kernel sums to less than one."""
        whole = self.moving.get("leader_discount", 1.0)  # which the kernel has then taken in
        return bool(row_sums(self.kernel).min() < whole * (1.0 - 1e-12))

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

    def scales(self) -> tuple[float, ...]:
        """The size of change of each array that matters: probabilities 1, the follower's reward τ or its own size."""

        def scale(name: str, x: Any) -> Any:
            size = float(np.abs(x).max(initial=0.0))
            if name == "follower_reward":
                return min(self.temperature, size) if size else self.temperature
            if name == "leader_reward":
                return size if size else self.temperature
            return 1.0

        return tuple(float(scale(name, x)) for name, x in self.arrays().named())

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
        if not any(isinstance(x, Box) for x in (*parts, self.scale)):
            return self
        out = self.with_arrays(self.arrays().map(untraced))
        object.__setattr__(out, "scale", untraced(out.scale))
        if out.given is not None:
            object.__setattr__(out, "given", out.given.untraced())
        return out


def size_of(model: TabularModel) -> str:
    """States and actions as they were given, in words."""
    given = model.given
    if given is None:
        return f"{model.n_states} states × {model.n_actions} actions"
    return f"{given.n_states} states × {given.n_actions} actions{given.words}"


def _moves(x: Any) -> bool:
    return isinstance(x, Box) or (np.iscomplexobj(x) and np.size(x) == 1 and not isinstance(x, str))


def kernel_of(name: str, x: Any, shape: tuple[int, ...], weighted: bool = False) -> Kernel:
    """What was given for a kernel, checked; rows of weights need not be probabilities.  Raises: InvalidModel."""
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
        if x.checked:
            return x
        values = numeric_array(f"{name}.values", x.values)
        if values.shape != (x.pattern.nnz,):
            raise InvalidModel(f"{name}.values has shape {values.shape}, its pattern holds {x.pattern.nnz} entries")
        if not weighted:
            check_probabilities(name, np.asarray(untraced(values)), x.pattern.indptr, A, False, x.pattern.indices)
        return SparseKernel(x.pattern, values, checked=not weighted)
    if isinstance(x, DenseKernel) and x.checked and x.values.shape == (S, A, S):
        return x
    values = x.values if isinstance(x, DenseKernel) else x
    values = numeric_array(name, values)
    if values.shape != (S, A, S):
        raise InvalidModel(f"{name} has shape {values.shape}, expected ({S}, {A}, {S}) as in the rewards")
    plain = np.asarray(untraced(values))
    if not weighted:
        check_probabilities(name, plain.reshape(S * A, S), np.arange(S * A + 1) * S, A, False)
    return DenseKernel(values, checked=not weighted)
