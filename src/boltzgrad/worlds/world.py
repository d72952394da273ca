"""A world that somebody has, as the tables that a follower plans on; and a leader put over it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import autograd.numpy as anp
import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.arrival import row_sums
from boltzgrad.core.checks import untraced
from boltzgrad.core.kernel import SparseKernel
from boltzgrad.core.softmaxes import softmax
from boltzgrad.errors import InvalidOption, unknown
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.worlds.leaders import Logits, RewardDesign, Table, Temperatures, placed
from boltzgrad.worlds.outcomes import Outcomes

_DENSE = 64  # states up to which `transition` is shown as a dense array


@dataclass(frozen=True, eq=False)
class World:
    """States, actions, what may happen and what it pays.

    `outcomes` are the successors with R(s,a,s'), `initial` (S,) the start, `discount` that of whoever plans in it.
    `available` (S, A) says which actions are there (None: all), `state_names` and `action_names` what they are called.
    `notes` says what was done to make it: merged, ended, sparse.

    >>> import boltzgrad as bg
    >>> world = bg.worlds.from_dict({"a": {"go": [(1.0, "b", 1.0, True)]}, "b": {"go": [(1.0, "b", 0.0, True)]}}, discount=0.9)
    >>> problem = world.design(reward="table", temperature=0.5)
    >>> bg.hypergradient(problem, problem.initial_theta(seed=0)).gradient.shape
    (2,)
    """

    outcomes: Outcomes = field(repr=False)
    initial: Array = field(repr=False)
    discount: float
    available: Array | None = field(default=None, repr=False)
    state_names: Sequence[Hashable] | None = field(default=None, repr=False)
    action_names: Sequence[Hashable] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.outcomes.shape

    @cached_property
    def kernel(self) -> SparseKernel:
        """p(s'|s,a) as a sparse kernel; rows sum to less than one where an episode may end."""
        return SparseKernel(self.outcomes.pattern, self.outcomes.probability)

    @property
    def transition(self) -> Any:
        """p(s'|s,a), (S, A, S) of a small world, CSR (S·A, S) of a large one."""
        S, A = self.shape
        flat = sparse.csr_array(self.kernel.flat)
        return flat.toarray().reshape(S, A, S) if S <= _DENSE else flat

    @cached_property
    def reward(self) -> Array:
        """r(s,a) = Σ p R(s,a,s'), with what is paid when the episode ends (S, A)."""
        found = self.reward_under(self.outcomes.probability, self.outcomes.end)
        return np.asarray(found)

    def reward_under(self, probability: Any, end: Any) -> Any:
        """The same (S, A) for other probabilities (nnz,) of the same outcomes and of an end (S, A); may be traced."""
        o = self.outcomes
        return anp.reshape(row_sums(probability * o.reward, o.pattern), self.shape) + end * o.end_reward

    @property
    def ends(self) -> Array:
        """The states (S,) in which every action that is there ends the episode."""
        over = self.outcomes.end >= 1.0 - 1e-12
        return np.asarray((over if self.available is None else over | ~self.available).all(axis=1))

    def __str__(self) -> str:
        S, A = self.shape
        return "\n".join([f"{S} states × {A} actions, discount {self.discount:g}", *(f"- {x}" for x in self.notes)])

    def model(self, *, temperature: Any, leader_reward: Any = None, **more: Any) -> TabularModel:
        """The world as a `TabularModel` without a leader; discounts are the world's unless they are given among `more`."""
        options = {"follower_discount": self.discount, "leader_discount": self.discount, **self._mask(), **more}
        wish = self.reward if leader_reward is None else _by_state(leader_reward, self.shape)
        return TabularModel(self.kernel, self.initial, self.reward, wish, temperature=temperature, **options)

    def design(
        self,
        *,
        temperature: float | Temperatures,
        reward: RewardDesign | Literal["table"] | None = None,
        transition: Logits | Literal["logits"] | None = None,
        initial: Logits | Literal["logits"] | None = None,
        leader_reward: Any = None,
        follower_discount: float | None = None,
        leader_discount: float | None = None,
        name: str = "",
        initial_scale: float = 1.0,
        objective: Any = "return",
        regulariser: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> ConfigurableMDP:
        """A leader over this world: what it sets is its θ, in the order reward, transition, initial, temperature.

        `reward` is a `RewardDesign` (`Table`, "table", `Features`, `PenaltyBudget`, `Payments`), `transition` and `initial` are
        "logits", p ∝ p₀ exp θ, `temperature` a number or `Temperatures(base)`.  `leader_reward` is what the leader is paid:
        (S, A), (S,), or a function of θ (a dict of the parts that are set) that returns one; by default the world's own reward.
        Rewards R(s,a,s') stay with their outcomes: where the kernel moves, r(s,a) moves.  θ may be given as a dict of the parts
        that are set; `ref.tree` is the gradient in that shape.  `more` goes to `TabularModel` (reference, leader_horizon, …).

        Raises: InvalidOption; InvalidModel for what the model refuses.
        """
        known = {f.name for f in fields(TabularModel) if f.init and f.kw_only}
        for name_ in more:
            if name_ not in known:
                raise unknown("option of design", name_, known)
        parts = self._parts(reward, transition, initial, temperature)
        if not parts:
            raise InvalidOption("nothing is the leader's to set: give reward, transition, initial or Temperatures")
        wanted = leader_reward if callable(leader_reward) else None
        wish = None if callable(leader_reward) or leader_reward is None else _by_state(leader_reward, self.shape)
        options = {
            "follower_discount": self.discount if follower_discount is None else follower_discount,
            "leader_discount": self.discount if leader_discount is None else leader_discount,
            **self._mask(),
            **more,
        }
        pay = Table() if isinstance(reward, str) else reward

        def build(theta: Any) -> TabularModel:
            p, end = self._moved(theta["transition"]) if "transition" in parts else (self.outcomes.probability, None)
            base = self.reward if end is None else self.reward_under(p, end)
            paid = pay.paid(self, theta["reward"]) if pay is not None else 0.0
            worth: Any = base if wish is None else wish
            if wanted is not None:
                worth = self._wish(wanted(theta))
            cost = pay.costs(self, paid) if pay is not None else 0.0
            start = self._start(theta["initial"]) if "initial" in parts else self.initial
            tau: Any = temperature
            if isinstance(temperature, Temperatures):
                tau = temperature.base * anp.exp(theta["temperature"])
            return TabularModel(
                self.kernel.with_values(p), start, base + paid, worth - cost, temperature=tau, **options
            )

        like = {name: np.zeros(shape) for name, shape in parts.items()}
        return ConfigurableMDP(
            build, like=like, objective=objective, regulariser=regulariser, initial_scale=initial_scale, name=name
        )

    def _wish(self, found: Any) -> Any:
        """What a function of θ says that the leader is paid, (S, A) or (S,), traced or not.  Raises: InvalidOption."""
        shape = np.shape(untraced(found))
        if shape == self.shape[:1]:
            return found[:, None] * np.ones(self.shape)
        if shape != self.shape:
            raise InvalidOption(f"leader_reward returned shape {shape}, expected {self.shape} or {self.shape[:1]}")
        return found

    def _mask(self) -> dict[str, Any]:
        return {} if self.available is None else {"available": self.available}

    def _parts(self, reward: Any, transition: Any, initial: Any, temperature: Any) -> dict[str, tuple[int, ...]]:
        """The shape of each part of θ that the leader sets."""
        parts: dict[str, tuple[int, ...]] = {}
        if reward is not None:
            if isinstance(reward, str) and reward == "table":
                reward = Table()
            if not isinstance(reward, RewardDesign):
                raise InvalidOption(f"reward is {reward!r}; expected 'table', Features, PenaltyBudget or Payments")
            parts["reward"] = reward.shape(self)
        for name, x, size in (
            ("transition", transition, self.outcomes.pattern.nnz),
            ("initial", initial, int((self.initial > 0).sum())),
        ):
            if x is not None:
                if not (isinstance(x, Logits) or x == "logits"):
                    raise InvalidOption(f"{name} is {x!r}; expected 'logits'")
                if size < 2:
                    raise InvalidOption(f"{name} has {size} outcome in this world: there is nothing to set")
                parts[name] = (size,)
        if isinstance(temperature, Temperatures):
            parts["temperature"] = self.shape[:1]
        return parts

    @cached_property
    def _padded(self) -> Array:
        """Where the outcomes of each row (S·A, L + 1) stand among all: the end first, then successors, then padding."""
        pattern = self.outcomes.pattern
        longest = int(pattern.row_lengths.max(initial=0))
        place = pattern.indptr[:-1, None] + np.arange(longest)
        filled = np.arange(longest) < pattern.row_lengths[:, None]
        rows = np.arange(len(place))[:, None]
        first = pattern.nnz + rows  # ends come after the successors, and one padding entry last
        return np.concatenate([first, np.where(filled, place, pattern.nnz + len(place))], axis=1)

    def _moved(self, theta: Any) -> tuple[Any, Any]:
        """(probabilities (nnz,), ends (S, A)) ∝ p₀ exp θ, the end's θ being zero."""
        o, nothing = self.outcomes, -1e4
        with np.errstate(divide="ignore"):
            end = np.where(o.end > 0.0, np.log(np.where(o.end > 0.0, o.end, 1.0)), nothing).ravel()
        logits = anp.concatenate([np.log(o.probability) + theta, end, np.array([nothing])])
        p = softmax(logits[self._padded])
        place = np.arange(o.pattern.nnz) - np.repeat(o.pattern.indptr[:-1], o.pattern.row_lengths) + 1
        rows = np.repeat(np.arange(len(self._padded)), o.pattern.row_lengths)
        return p[rows, place], anp.reshape(p[:, 0], self.shape)

    def _start(self, theta: Any) -> Any:
        at = np.flatnonzero(self.initial > 0)
        return placed(softmax(np.log(self.initial[at]) + theta), at, self.shape[0])


def _by_state(x: Any, shape: tuple[int, int]) -> Array:
    """A reward (S, A), given as that or for each state.  Raises: InvalidOption."""
    array = np.asarray(x, float)
    if array.shape == shape[:1]:
        array = np.repeat(array[:, None], shape[1], axis=1)
    if array.shape != shape:
        raise InvalidOption(f"leader_reward has shape {array.shape}, expected {shape} or {shape[:1]} as in the world")
    return array
