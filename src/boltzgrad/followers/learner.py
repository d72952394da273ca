"""What a learner is: a map from a model to a policy, that can be stopped, looked at, and gone on with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidModel, InvalidOption, MissingExtra, NotConverged
from boltzgrad.families.tabular.clocked import Clocked
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.solvers import boltzmann
from boltzgrad.solvers.soft_bellman import backup
from boltzgrad.solvers.suboptimal import log_of


@dataclass(frozen=True, eq=False)
class Learned:
    """What a learner has after `steps` steps.

    `policy` π° (S, A), `q` Q° (S, A) in the units of the reward and without τ log π⁰ (None of a method that has no values),
    `value` (S,) the values that it has, `residual` ‖TV − V‖_∞ of these, or of the policy's own.  `state` is what the learner
    needs to go on: give the whole to `train(…, after=)`.  `watched` (S, A) is the policy of whoever was watched, where `policy`
    is an estimate of it.
    """

    policy: Array
    q: Array | None
    value: Array
    residual: float
    steps: int
    state: Any = field(repr=False)
    learner: str = ""
    watched: Array | None = field(repr=False, default=None)

    def __repr__(self) -> str:
        return f"<Learned after {self.steps} steps, soft Bellman residual {self.residual:.3g}>"


class World:
    """A tabular model as a learner has it: rewards with τ log π⁰ in them, one temperature, transitions that can be sampled."""

    def __init__(self, model: Any) -> None:
        if isinstance(model, TabularModel) and isinstance(model.given, Clocked):
            model = model.given.model  # a leader who counts steps is none of the follower's business
        if not isinstance(model, TabularModel) or model.given is not None:
            what = type(model).__name__ if not isinstance(model, TabularModel) else "long-run average"
            raise InvalidModel(
                f"a learner was given a {what}; expected the TabularModel of one context, as problem.model(theta) has it, with "
                "discounted followers or episodes that end"
            )
        if model.is_complex:
            raise InvalidModel("the model is complex; a learner takes real models only")
        self.model, self.kernel = model, model.follower_kernel
        self.reward, self.temperature, self.discount = model.follower_reward, model.temperature, model.follower_discount
        self.shape = (model.n_states, model.n_actions)
        self.there = np.ones(self.shape, bool) if model.available is None else np.asarray(model.available, bool)
        self._rows: tuple[Array, Array, Array] | None = None

    @property
    def horizon(self) -> float:
        """1/(1 − γ_F), also of a discount that was taken into the kernel; infinite without one."""
        gamma = float(np.real(self.model.moving.get("follower_discount", self.discount)))
        return 1.0 / (1.0 - gamma) if gamma < 1.0 else math.inf

    def greedy(self, q: Array, states: Array | None = None) -> tuple[Array, Array]:
        """(π, V) of a table Q (S, A) that has τ log π⁰ in it, or of the rows of it that these states have."""
        there = self.there if states is None else self.there[states]
        policy, value = boltzmann(np.where(there, q if states is None else q[states], -np.inf), self.temperature)
        return policy, value

    def ahead(self, v: Array) -> Array:
        """r_F + γ_F P v (S, A)."""
        return np.asarray(self.reward + self.discount * self.kernel.expect(v))

    def uniform(self) -> Array:
        """The uniform policy over the actions that are there; with a reference π⁰, that."""
        if self.model.reference is not None:
            return np.asarray(self.model.reference)
        return np.asarray(self.there / self.there.sum(axis=1, keepdims=True))

    def successors(self, states: Array, actions: Array, rng: np.random.Generator) -> Array:
        """A sampled next state for each pair, −1 where the episode ended.  A discount in the kernel ends episodes as well."""
        if self._rows is None:
            flat = self.kernel.flat
            if isinstance(flat, np.ndarray):
                indptr = np.arange(flat.shape[0] + 1) * flat.shape[1]
                self._rows = indptr, np.tile(np.arange(flat.shape[1]), flat.shape[0]), np.cumsum(flat.ravel())
            else:
                self._rows = flat.indptr, flat.indices, np.cumsum(flat.data)
            if self.kernel.row_sums.max() > 1.0 + 1e-9:
                raise InvalidModel(
                    "transitions are weights, not probabilities (a temperature for each state): not sampled"
                )
        indptr, columns, sums = self._rows
        row = states * self.shape[1] + actions
        first, last = indptr[row], indptr[row + 1]
        start = np.where(first > 0, sums[first - 1], 0.0)
        at = np.searchsorted(sums, start + rng.random(row.size), side="right")
        whole = np.asarray(self.kernel.row_sums).ravel()[row] >= 1.0 - 1e-9
        ended = (at >= last) & ~whole
        found = columns[np.clip(at, first, np.maximum(last - 1, first)).clip(max=len(columns) - 1)]
        return np.where(ended | (last == first), -1, found)

    def learned(self, policy: Array, q: Array | None, value: Array, steps: int, state: Any) -> Learned:
        """A result in the units of what was given, checked to be finite.  Raises: NotConverged."""
        finite = (
            np.isfinite(policy).all() and np.isfinite(value).all() and (q is None or np.isfinite(q[self.there]).all())
        )
        if not finite:
            raise NotConverged(
                f"the learner diverged: its values were no longer finite after {steps} steps; take a smaller rate, or other "
                "features"
            )
        unit = np.broadcast_to(np.asarray(self.model.unit, float), self.shape[:1])
        residual = float((unit * np.abs(backup(self.model, value).value - value)).max())
        if q is not None:
            bare = q if self.model.reference is None else q - self.temperature * log_of(self.model.reference)
            q = unit[:, None] * np.where(self.there, bare, 0.0)
        return Learned(policy, q, unit * value, residual, steps, state)


class Learner(ABC):
    """A follower that learns: `learner(model, rng)` is the policy (S, A) that it has when it stops."""

    def __call__(self, model: Any, rng: Any = None) -> Array:
        """The policy π° (S, A) for a `TabularModel`.  `rng` is a seed or a NumPy generator, by default 0.  See `train`."""
        return self.train(model, rng).policy

    def train(self, model: Any, rng: Any = None, *, after: Learned | None = None, progress: bool = False) -> Learned:
        """Learn, from the beginning or where an earlier result left off.

        The same seed learns the same; k and then m steps `after` these, with one generator, are k + m steps.
        `progress` shows a bar (tqdm, extra [experiments]).
        Raises: InvalidModel; InvalidOption for an `after` of another learner or size; NotConverged where it diverges.
        """
        world = World(model)
        try:
            rng = np.random.default_rng(0 if rng is None else rng)
        except (TypeError, ValueError) as error:
            raise InvalidOption(f"rng is {rng!r}; expected a seed or a NumPy generator ({error})") from None
        mine = type(self).__name__
        known = isinstance(after, Learned) and after.learner == mine and after.policy.shape == world.shape
        if after is not None and not known:
            raise InvalidOption(
                "after is not what this learner left for this model; expected an earlier result of train"
            )
        return replace(self._train(world, rng, after, _bar if progress else iter), learner=mine)

    @abstractmethod
    def _train(self, world: World, rng: np.random.Generator, after: Learned | None, bar: Any) -> Learned: ...


def _bar(steps: Iterable[int]) -> Iterable[int]:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise MissingExtra("progress=True needs tqdm: pip install 'boltzgrad[experiments]', or leave it out") from None
    return tqdm(steps, unit="step")  # type: ignore[no-any-return]


def positive_count(name: str, x: Any, least: int = 1) -> int:
    """`x` as a count of steps.  Raises: InvalidOption."""
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < least:
        expected = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise InvalidOption(f"{name} is {x!r}; expected {expected}")
    return int(x)


def positive_number(name: str, x: Any) -> float:
    """`x` as a positive number.  Raises: InvalidOption."""
    if isinstance(x, bool) or not isinstance(x, (int, float, np.floating)) or not 0.0 < x < math.inf:
        raise InvalidOption(f"{name} is {x!r}; expected a positive finite number")
    return float(x)
