r"""How θ moves along a gradient; every experiment takes every one of them.

| name | step |
|---|---|
| `ascent` | θ + η g, g clipped to a norm (published) |
| `adam` | Adam, η falling linearly to zero over the last half if `decay` |
| `normalised` | θ + η/(1 + i/100) · g/‖g‖ |
| `simplex` | projected gradient ascent on σ = softmax(θ), with temperature continuation |

`simplex` exists because ∂J/∂θ = (diag σ − σσ') ∂J/∂σ vanishes at the corners of the simplex, and the zero-penalty optimum of
Four-Rooms is a corner.  Its step is in σ itself: s = (∂J/∂θ)/σ less its mean, clipped, projected onto the simplex, and mixed
with a floor that keeps θ = log σ finite.  The temperature falls geometrically from `start_temperature` to the problem's own
over the first `share` of the run: a hot follower reacts smoothly to the leader.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, unknown


@dataclass(frozen=True)
class Optimiser(ABC):
    """A step rule: `step(theta, gradient, i, N)` in all lanes (L, d) at once; it climbs unless `descend`."""

    name: ClassVar[str]

    def start(self, theta: Array) -> Any:
        """What the rule remembers from step to step."""
        return None

    @abstractmethod
    def step(self, theta: Array, gradient: Array, i: int, total: int, memory: Any) -> tuple[Array, Any]:
        """(θ, memory) after step i of `total`."""

    def temperature(self, i: int, total: int, target: float) -> float | None:
        """The follower's temperature in step i, None for the problem's own."""
        return None


@dataclass(frozen=True)
class Ascent(Optimiser):
    """θ + `rate`·g, g clipped to norm `clip` within each of `groups` (sizes; the whole vector if None)."""

    name: ClassVar[str] = "ascent"
    rate: float = 0.1
    clip: float | None = 1.0
    groups: tuple[int, ...] | None = None
    descend: bool = False

    def step(self, theta: Array, gradient: Array, i: int, total: int, memory: Any) -> tuple[Array, Any]:
        """See `Optimiser.step`."""
        sign = -1.0 if self.descend else 1.0
        return theta + sign * self.rate * clipped(gradient, self.clip, self.groups), memory


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam (moments .9, .999); with `decay`, the rate falls linearly to zero over the last half of the run."""

    name: ClassVar[str] = "adam"
    rate: float = 0.1
    clip: float | None = None
    decay: bool = False
    descend: bool = False

    def start(self, theta: Array) -> Any:
        """Both moments."""
        return np.zeros_like(theta), np.zeros_like(theta)

    def step(self, theta: Array, gradient: Array, i: int, total: int, memory: Any) -> tuple[Array, Any]:
        """See `Optimiser.step`."""
        g = clipped(gradient, self.clip) * (-1.0 if self.descend else 1.0)
        m, v = 0.9 * memory[0] + 0.1 * g, 0.999 * memory[1] + 0.001 * g * g
        rate = self.rate * np.sqrt(1 - 0.999 ** (i + 1)) / (1 - 0.9 ** (i + 1))
        if self.decay:
            rate *= min(1.0, 2.0 * (1.0 - i / total))
        return theta + rate * m / (np.sqrt(v) + 1e-8), (m, v)


@dataclass(frozen=True)
class Normalised(Optimiser):
    """θ + `rate`/(1 + i/`half_life`)·g/‖g‖: blind to how flat J is."""

    name: ClassVar[str] = "normalised"
    rate: float = 0.1
    half_life: float = 100.0

    def step(self, theta: Array, gradient: Array, i: int, total: int, memory: Any) -> tuple[Array, Any]:
        """See `Optimiser.step`."""
        norm = np.linalg.norm(gradient, axis=1, keepdims=True)
        unit = np.divide(gradient, norm, out=np.zeros_like(gradient), where=norm > 0.0)
        return theta + self.rate / (1.0 + i / self.half_life) * unit, memory


@dataclass(frozen=True)
class Simplex(Optimiser):
    """Projected gradient on σ = softmax(θ) with temperature continuation.

    `rate` η up to `share` of the run, then falling linearly to η/100; `start_temperature` None: no continuation.
    `average` < 1 averages the slopes exponentially (for sampled gradients).
    """

    name: ClassVar[str] = "simplex"
    rate: float = 0.5
    start_temperature: float | None = 0.01
    share: float = 0.6
    floor: float = 1e-6
    average: float = 1.0

    def start(self, theta: Array) -> Any:
        """The averaged slope in σ."""
        return np.zeros_like(theta)

    def temperature(self, i: int, total: int, target: float) -> float | None:
        """See `Optimiser.temperature`."""
        if self.start_temperature is None or self.start_temperature <= target:
            return None
        done = min(1.0, i / (self.share * total))
        return float(self.start_temperature * (target / self.start_temperature) ** done)

    def step(self, theta: Array, gradient: Array, i: int, total: int, memory: Any) -> tuple[Array, Any]:
        """See `Optimiser.step`."""
        sigma = np.exp(theta - theta.max(axis=1, keepdims=True))
        sigma /= sigma.sum(axis=1, keepdims=True)
        slope = gradient / sigma
        slope = slope - slope.mean(axis=1, keepdims=True)
        memory = (1.0 - self.average) * memory + self.average * slope
        late = max(0.01, (1.0 - i / total) / (1.0 - self.share))
        rate = self.rate * (1.0 if i < self.share * total else late)
        sigma = project(sigma + rate * clipped(memory, 1.0))
        sigma = self.floor + (1.0 - sigma.shape[1] * self.floor) * sigma
        return np.log(sigma), memory


def clipped(gradient: Array, clip: float | None, groups: tuple[int, ...] | None = None) -> Array:
    """Rows (L, d) scaled down to norm `clip`, each group of columns by itself."""
    if clip is None:
        return gradient
    edges = np.cumsum((0, *(groups or (gradient.shape[1],))))
    if edges[-1] != gradient.shape[1]:
        raise InvalidOption(f"groups have {edges[-1]} coordinates together; the gradient has {gradient.shape[1]}")
    out = gradient.copy()
    for a, b in itertools.pairwise(edges):
        norm = np.linalg.norm(gradient[:, a:b], axis=1, keepdims=True)
        out[:, a:b] *= np.minimum(1.0, clip / np.maximum(norm, 1e-300))
    return out


def project(x: Array) -> Array:
    """The nearest point of the simplex to every row (L, d).

    >>> project(np.array([[2.0, 0.0], [0.5, 0.3]])).round(3).tolist()
    [[1.0, 0.0], [0.6, 0.4]]
    """
    ordered = -np.sort(-x, axis=1)
    excess = np.cumsum(ordered, axis=1) - 1.0
    k = np.arange(1, x.shape[1] + 1)
    count = (ordered - excess / k > 0.0).sum(axis=1)
    shift = excess[np.arange(len(x)), count - 1] / count
    return np.asarray(np.maximum(x - shift[:, None], 0.0))


OPTIMISERS: dict[str, type[Optimiser]] = {o.name: o for o in (Ascent, Adam, Normalised, Simplex)}


def optimiser(specification: dict[str, Any]) -> Optimiser:
    """The rule that {"name": …, options} describes.  Raises: UnknownName, InvalidOption.

    >>> optimiser({"name": "adam", "rate": 0.1})
    Adam(rate=0.1, clip=None, decay=False, descend=False)
    """
    options = dict(specification)
    name = options.pop("name", None)
    if name not in OPTIMISERS:
        raise unknown("optimiser", name, OPTIMISERS)
    known = {f.name for f in fields(OPTIMISERS[name])}
    for option in options:
        if option not in known:
            raise unknown(f"option of {name!r}:", option, known)
    for option, value in options.items():
        _check(option, value)
    return OPTIMISERS[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def _check(option: str, value: Any) -> None:
    """Raises: InvalidOption for a value outside the option's range."""
    if option in ("descend", "decay"):
        good, expected = isinstance(value, bool), "true or false"
    elif option == "groups":
        whole = isinstance(value, (list, tuple)) and all(type(n) is int and n > 0 for n in value)
        good, expected = value is None or (whole and len(value) > 0), "positive sizes of groups of coordinates, or None"
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 < value < np.inf
        above, expected = {"share": (1.0, "a number in (0, 1)"), "average": (1.0, "a number in (0, 1]")}.get(
            option, (np.inf, "a positive number")
        )
        good = number and (value < above or (option == "average" and value == above))
        if option in ("clip", "start_temperature"):
            good, expected = good or value is None, "a positive number, or None"
    if not good:
        raise InvalidOption(f"{option} is {value!r}; expected {expected}")
