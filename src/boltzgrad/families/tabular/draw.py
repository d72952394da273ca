"""Tabular models and configurable MDPs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.families.drawing.probabilities import KINDS, Kind, distributions, kernels
from boltzgrad.families.drawing.scalars import a_strategy, discounts, listed, quarters, temperatures
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


def _stored(storage: Sequence[str]) -> tuple[str, ...]:
    if isinstance(storage, str) or not storage or not set(storage) <= {"dense", "csr"}:
        raise InvalidOption(f"storage is {storage!r}; expected a tuple with 'dense', 'csr' or both")
    return tuple(storage)


@st.composite
def tabular_models(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    kinds: tuple[Kind, ...] = KINDS,
    discount: st.SearchStrategy[float] | float | None = None,
    temperature: st.SearchStrategy[float] | float | None = None,
    storage: tuple[str, ...] = ("dense", "csr"),
    own_kernel: bool | None = None,
) -> TabularModel:
    """Tabular models: kernels of every kind, dense or CSR, with or without a kernel of the follower's own.

    `own_kernel` None leaves that open.  `discount` and `temperature` are strategies (`discounts()`, `temperatures()`).
    """
    S, A = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    discount = a_strategy("discount", discount, discounts())
    temperature = a_strategy("temperature", temperature, temperatures())
    stored = draw(st.sampled_from(_stored(storage)))
    own = draw(st.booleans()) if own_kernel is None else own_kernel
    world, planned = draw(kernels(S, A, kinds)), draw(kernels(S, A, kinds)) if own else None

    def put(p: Array | None) -> Any:
        return p if p is None or stored == "dense" else sparse.csr_matrix(p.reshape(S * A, S))

    return TabularModel(
        put(world),
        draw(distributions(S)),
        draw(quarters((S, A))),
        draw(quarters((S, A))),
        put(planned),
        follower_discount=draw(discount),
        leader_discount=draw(discount),
        temperature=draw(temperature),
    )


@dataclass(frozen=True, eq=False)
class _Recipe:
    """A model that θ moves: rewards linearly, kernel and start between two ends with weight σ(w·θ)."""

    ends: tuple[Array, Array]
    starts: tuple[Array, Array]
    rewards: tuple[Array, Array]
    slopes: tuple[Array, Array]
    weight: Array
    planned: Array | None
    stored: str
    constants: dict[str, Any]

    def model(self, theta: Any) -> TabularModel:
        """The model at θ, in autograd.numpy."""
        return TabularModel(*self._parts(theta), **self.constants)

    def averages(self, theta: Any) -> AverageRewardModel:
        """The same where averages are counted."""
        return AverageRewardModel(*self._parts(theta), **self.constants)

    def coming_home(self, home: int) -> _Recipe:
        """The same where every step leads to one state with probability 1/8, and so the chain has one class."""

        def mixed(p: Array) -> Array:
            return np.asarray(0.875 * p + 0.125 * np.eye(1, p.shape[-1], home)[0])

        planned = None if self.planned is None else mixed(self.planned)
        return replace(self, ends=(mixed(self.ends[0]), mixed(self.ends[1])), planned=planned)

    def _parts(self, theta: Any) -> tuple[Any, ...]:
        between = 1.0 / (1.0 + anp.exp(-anp.dot(self.weight, theta)))
        follower, leader = (r + anp.dot(slope, theta) for r, slope in zip(self.rewards, self.slopes, strict=True))
        start = self.starts[0] + between * (self.starts[1] - self.starts[0])
        return self._kernel(*self.ends, between), start, follower, leader, self._fixed()

    def _kernel(self, first: Array, second: Array, between: Any) -> Any:
        if self.stored == "dense":
            return first + between * (second - first)
        S, A = self.rewards[0].shape
        held = (first > 0.0) | (second > 0.0)
        counts, columns = held.reshape(S * A, S).sum(axis=1), np.nonzero(held)[2]
        pattern = SparsePattern(np.r_[0, np.cumsum(counts)], columns, n_states=S, n_actions=A)
        return SparseKernel(pattern, first[held] + between * (second - first)[held])

    def _fixed(self) -> Any:
        if self.planned is None or self.stored == "dense":
            return self.planned
        S, A = self.rewards[0].shape
        return sparse.csr_matrix(self.planned.reshape(S * A, S))

    def __repr__(self) -> str:
        parts = {
            "p₀": self.ends[0], "p₁": self.ends[1], "ρ₀": self.starts[0], "ρ₁": self.starts[1],
            "r_F": self.rewards[0], "∇r_F": self.slopes[0], "r_L": self.rewards[1], "∇r_L": self.slopes[1], "w": self.weight,
        }  # fmt: skip
        text = [f"{name}={listed(x)}" for name, x in parts.items()]
        if self.planned is not None:
            text.append(f"p_F={listed(self.planned)}")
        text += [f"{name}={value!r}" for name, value in self.constants.items()]
        return f"[{self.stored}; p = p₀ + σ(w·θ)(p₁ − p₀); {'; '.join(text)}]"


class DrawnMDP(ConfigurableMDP):
    """A configurable MDP that prints what it is made of."""

    def __init__(self, recipes: tuple[Any, ...], build: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(build, name="drawn", **options)
        self.recipes = recipes

    def __repr__(self) -> str:
        extra = "" if self.objective == "return" else ", objective f(θ, π)"
        return f"<ConfigurableMDP dim={self.dim}{extra}: {'; '.join(map(repr, self.recipes))}>"


@st.composite
def _recipes(
    draw: st.DrawFn,
    S: int,
    A: int,
    d: int,
    kinds: tuple[Kind, ...],
    stored: str,
    own: bool,
    constants: dict[str, Any],
) -> _Recipe:
    return _Recipe(
        ends=(draw(kernels(S, A, kinds)), draw(kernels(S, A, kinds))),
        starts=(draw(distributions(S)), draw(distributions(S))),
        rewards=(draw(quarters((S, A))), draw(quarters((S, A)))),
        slopes=(draw(quarters((S, A, d), most=4)), draw(quarters((S, A, d), most=4))),
        # |w·θ| ≤ 6 for the θs of `thetas`, however many coordinates: an end that has next to no weight leaves rows which miss
        # one by as little as float32 rounding.
        weight=np.pad(draw(quarters((min(d, 12),), most=max(1, min(4, 12 // d)))), (0, max(0, d - 12))),
        planned=draw(kernels(S, A, kinds)) if own else None,
        stored=stored,
        constants=constants,
    )


@st.composite
def configurable_mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    max_dim: int = 3,
    kinds: tuple[Kind, ...] = KINDS,
    discount: st.SearchStrategy[float] | float | None = None,
    temperature: st.SearchStrategy[float] | float | None = None,
    storage: tuple[str, ...] = ("dense", "csr"),
    max_contexts: int = 2,
    general: bool = True,
) -> ConfigurableMDP:
    """Configurable MDPs in which rewards, kernel and start depend on θ; with contexts, kernels of the follower's own, and
    (unless `general` is False) objectives f(θ, π).
    """
    S, A, d = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions)), draw(st.integers(1, max_dim))
    discount = a_strategy("discount", discount, discounts())
    temperature = a_strategy("temperature", temperature, temperatures())
    constants = {
        "follower_discount": draw(discount),
        "leader_discount": draw(discount),
        "temperature": draw(temperature),
    }
    stored, own = draw(st.sampled_from(_stored(storage))), draw(st.booleans())
    count = draw(st.integers(1, max_contexts))
    recipes = tuple(draw(_recipes(S, A, d, kinds, stored, own, constants)) for _ in range(count))
    weights = draw(distributions(count))

    def build(theta: Any) -> TabularModel | ContextualModel:
        models = [recipe.model(theta) for recipe in recipes]
        return models[0] if count == 1 else ContextualModel(models, weights)

    objective: Any = "return"
    if general and draw(st.booleans()):
        slope, bend = draw(quarters((S, A))), draw(quarters((S, A)))
        objective = PolicyObjective(
            lambda theta, pi: 0.5 * anp.sum(theta**2) + anp.sum(slope * pi) + 0.5 * anp.sum(bend * pi * pi)
        )
    return DrawnMDP(recipes, build, dim=d, objective=objective)


@st.composite
def average_reward_mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    max_dim: int = 3,
    temperature: st.SearchStrategy[float] | float | None = None,
    storage: tuple[str, ...] = ("dense", "csr"),
) -> ConfigurableMDP:
    """Followers and leaders who count long-run averages, in chains of one class (with states that are left for good, too)."""
    S, A, d = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions)), draw(st.integers(1, max_dim))
    warmth = a_strategy("temperature", temperature, temperatures())
    constants = {"temperature": draw(warmth), "leader_temperature": draw(st.sampled_from((0.0, 0.5)))}
    stored, own, home = draw(st.sampled_from(_stored(storage))), draw(st.booleans()), draw(st.integers(0, S - 1))
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "ending")
    recipe = draw(_recipes(S, A, d, kinds, stored, own, constants)).coming_home(home)
    return DrawnMDP((recipe,), recipe.averages, dim=d)
