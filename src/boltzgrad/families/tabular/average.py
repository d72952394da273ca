"""Followers and leaders who count long-run averages, as numbers at one θ; solved as a table of cycles (`cycles.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array, ArrayRecord, meaning
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import ROW_SLACK, check_available, check_policy, numeric_array, real_number, untraced
from boltzgrad.core.kernel import Kernel
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.model import TabularModel, kernel_of
from boltzgrad.families.tabular.plain_form import row_sums

if TYPE_CHECKING:
    from boltzgrad.solvers.average import Cycle

_NEXT = "state, action, next state"


@dataclass(frozen=True, eq=False)
class AverageArrays(ArrayRecord):
    """One number for everything in an `AverageRewardModel` that may depend on θ."""

    transition: Array = meaning("p(s'|s,a); rows sum to one", _NEXT)
    follower_reward: Array = meaning("r_F(s,a)", "state, action")
    leader_reward: Array = meaning("r_L(s,a)", "state, action")
    temperature: Array = meaning("τ, or τ(s)", "[state]")
    reference: Array | None = meaning("π⁰(a|s)", "state, action", default=None)
    leader_reference: Array | None = meaning("π⁰_L(a|s)", "state, action", default=None)
    follower_transition: Array | None = meaning("the kernel that the follower plans with", _NEXT, default=None)


@dataclass(frozen=True, eq=False)
class AverageRewardModel(BuiltModel):
    """A follower who maximises its long-run average reward with entropy, and a leader who counts its own, at one θ.

    Arguments as in `TabularModel`, without discounts: `transition` (S, A, S), SciPy sparse (S·A, S) or a `SparseKernel`, whose
    rows sum to one; `initial` has no part in an average and may be None; `follower_reward`, `leader_reward` (S, A);
    `follower_transition`, `temperature` (a number or (S,)), `reference`, `available`, `leader_temperature` and
    `leader_reference` mean what they do there.  Kernel, rewards, temperature and references may depend on θ.

    The chain must be unichain: one class of states that is never left.  `ref.value` is J = Σ d π (r_L − τ_L …), with d the
    stationary distribution; `ref.follower.value` the bias h, zero in the state
    `ref.contexts[0].model.given.followers.state`, and
    `.q` r_F − g + P h; `ref.leader` has the leader's bias, and d for its occupancy.

    Raises: InvalidModel, naming the entry, what was found and what was expected, or two states that never meet.

    >>> model = AverageRewardModel(np.full((2, 2, 2), 0.5), None, np.eye(2), np.ones((2, 2)), temperature=0.1)
    >>> model.n_states, model.n_actions
    (2, 2)
    """

    transition: Any
    initial: Any
    follower_reward: Any
    leader_reward: Any
    follower_transition: Any = None
    temperature: Any = field(kw_only=True)
    reference: Any = field(kw_only=True, default=None)
    available: Any = field(kw_only=True, default=None)
    leader_temperature: float = field(kw_only=True, default=0.0)
    leader_reference: Any = field(kw_only=True, default=None)
    kernel: Kernel = field(init=False, repr=False)
    follower_kernel: Kernel = field(init=False, repr=False)
    there: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("follower_reward", "leader_reward"):
            put(name, numeric_array(name, getattr(self, name), ndim=2, axes="(states, actions)"))
        shape = np.shape(untraced(self.follower_reward))
        if np.shape(untraced(self.leader_reward)) != shape or min(shape) < 1:
            raise InvalidModel(
                f"leader_reward has shape {np.shape(untraced(self.leader_reward))}, follower_reward {shape}; both must be "
                "(states, actions)"
            )
        tau = numeric_array("temperature", self.temperature)
        put("temperature", tau)
        plain = np.real(np.asarray(untraced(tau)))
        if plain.shape not in ((), shape[:1]):
            raise InvalidModel(f"temperature has shape {plain.shape}, expected a number or ({shape[0]},)")
        if not plain.min() > 0.0:
            raise InvalidModel(f"temperature is {plain.min():.6g}; it must be positive")
        put("leader_temperature", real_number("leader_temperature", self.leader_temperature))
        if not 0.0 <= self.leader_temperature < np.inf:
            raise InvalidModel(f"leader_temperature is {self.leader_temperature!r}; it must be at least 0 and finite")
        there = check_available(self.available, [shape])
        if self.reference is not None:
            put("reference", numeric_array("reference", self.reference, ndim=2, axes="(states, actions)"))
            there = check_policy("reference", np.real(np.asarray(untraced(self.reference))), [shape], there)
        if self.leader_reference is not None:
            beside = numeric_array("leader_reference", self.leader_reference, ndim=2, axes="(states, actions)")
            put("leader_reference", beside)
        put("there", np.ones(shape, bool) if there is None else there)
        put("kernel", self._whole("transition", kernel_of("transition", self.transition, shape)))
        put("follower_kernel", self.kernel)
        if self.follower_transition is not None:
            own = kernel_of("follower_transition", self.follower_transition, shape)
            put("follower_kernel", self._whole("follower_transition", own))

    def _whole(self, name: str, kernel: Kernel) -> Kernel:
        lost = np.where(self.there, np.abs(row_sums(kernel) - 1.0), 0.0)
        if lost.max() > ROW_SLACK:
            s, a = np.unravel_index(int(np.argmax(lost)), lost.shape)
            raise InvalidModel(
                f"{name}[{s}, {a}] sums to {row_sums(kernel)[s, a]:.12g}; rows must sum to 1 where averages are taken for ever"
            )
        return kernel

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(np.shape(untraced(self.follower_reward))[0])

    @property
    def n_actions(self) -> int:
        """Number of the follower's actions A."""
        return int(np.shape(untraced(self.follower_reward))[1])

    @property
    def own_kernel(self) -> bool:
        """Whether the follower plans with a kernel of its own."""
        return self.follower_transition is not None

    def arrays(self) -> AverageArrays:
        """Everything in the model that may depend on θ, traced or not."""
        return AverageArrays(
            self.kernel.values,
            self.follower_reward,
            self.leader_reward,
            self.temperature,
            self.reference,
            self.leader_reference,
            self.follower_kernel.values if self.own_kernel else None,
        )

    def scales(self) -> tuple[float, ...]:
        """The size of change of each array that matters."""
        tau = float(np.min(np.real(untraced(self.temperature))))
        return tuple(tau if "reward" in name or name == "temperature" else 1.0 for name, _ in self.arrays().named())

    def with_arrays(self, arrays: AverageArrays) -> AverageRewardModel:
        """The model with other numbers in its arrays."""
        return replace(
            self,
            transition=self.kernel.with_values(arrays.transition),
            follower_reward=arrays.follower_reward,
            leader_reward=arrays.leader_reward,
            temperature=arrays.temperature,
            reference=arrays.reference,
            leader_reference=arrays.leader_reference,
            follower_transition=(
                self.follower_kernel.with_values(arrays.follower_transition) if self.own_kernel else None
            ),
        )

    def untraced(self) -> AverageRewardModel:
        """The model with plain arrays in place of autograd boxes."""
        return self.with_arrays(self.arrays().map(untraced))

    def plain(self) -> TabularModel:
        """The table of cycles.  Raises: InvalidModel where the chain has several classes; NotConverged."""
        # When a table is made, not before: what witnesses are made of loads without any solver.
        from boltzgrad.families.tabular.cycles import table_of

        return table_of(self)


def real(x: Any) -> Any:
    """The real numbers of an array that may be traced, or complex."""
    return None if x is None else np.real(np.asarray(untraced(x)))


def over_actions(tau: Any) -> Any:
    """A temperature as it divides (S, A)."""
    return tau[:, None] if np.ndim(untraced(tau)) else tau


def paid_to(model: AverageRewardModel, policy: Array) -> Array:
    """r_L − τ_L (log π − log π⁰_L) (S, A), in real numbers."""
    reward, beside = real(model.leader_reward), real(model.leader_reference)
    if not model.leader_temperature:
        return np.asarray(reward)
    log = np.log(np.where(policy > 0.0, policy, 1.0))
    log = log if beside is None else log - np.log(np.where(beside > 0.0, beside, 1.0))
    return np.asarray(reward - model.leader_temperature * log)


@dataclass(frozen=True, eq=False)
class Average(Given):
    """An `AverageRewardModel` as it was given, with what its cycles are at this θ.

    `followers` and `leaders` have gain, bias, stationary distribution and length, of cycles in the kernel that the follower
    plans with and in the world's.
    """

    model: AverageRewardModel
    followers: Cycle
    leaders: Cycle
    policy: Array
    setting = "long-run average"
    policies = True
    words = ", long-run averages"

    @property
    def relative(self) -> Array:
        """The log of π over π⁰ (S, A), zero where an action is never taken."""
        taken, weights = self.policy > 0.0, real(self.model.reference)
        log = np.log(np.where(taken, self.policy, 1.0))
        return np.asarray(log if weights is None else log - np.log(np.where(taken & (weights > 0.0), weights, 1.0)))

    def untraced(self) -> Average:
        """The same in plain numbers."""
        return replace(self, model=self.model.untraced())

    def start(self, unit: Array | float) -> Array:
        """The bias: from zero, Newton's first policies may never come to the state where cycles begin."""
        return np.asarray(self.followers.bias / unit)
