"""Functions θ → arrays of another framework as functions that autograd can trace, so that every family takes them.

The framework's own derivatives are used: its vector-Jacobian product pulls the reference's cotangents back, its
Jacobian-vector product pushes directions forward.  A complex step θ + ih·u arrives as the arrays at θ plus ih times the
push-forward of u, which is what it would be to the last digit; so no framework has to know complex numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import autograd.numpy as anp
import numpy as np
from autograd.extend import defjvp, defvjp, primitive

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.tree import Tree, dim_of
from boltzgrad.errors import BoltzgradError, InvalidModel, InvalidOption
from boltzgrad.families.game.leader_policy import LeaderPolicy
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.lqr.model import LQModel
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

# Rows of single precision miss one by less than this; more is an episode that may end.
_SINGLE = 1e-5
_ROUNDED = 1e-10
_PROBABILITIES = ("transition", "follower_transition", "initial", "policy", "reference", "leader_reference")
_SHOWN = 4  # leaves of θ in a message
_OWN = ("unit", "moving", "made_with", "given", "patterns", "shift")  # what a model says of its own form

Parts = dict[str, Array]


class Foreign(ABC):
    """A function θ → mapping of arrays, as numbers with derivatives both ways.  A framework fills in the three methods.

    Each takes θ (d,) in float64.  Raises: InvalidModel if the function returns no mapping of arrays; NotDifferentiable.
    `tree` is the shape that the function has θ in, where it is no vector.
    """

    tree: Tree | None = None

    @abstractmethod
    def evaluate(self, theta: Array) -> Parts:
        """The arrays at θ."""

    @abstractmethod
    def pull_back(self, theta: Array, cotangent: Parts) -> Array:
        """Σ cotangent · ∂(array)/∂θ, (d,)."""

    @abstractmethod
    def push_forward(self, theta: Array, direction: Array) -> Parts:
        """The derivative of the arrays along a direction (d,)."""


@dataclass(frozen=True, eq=False)
class Entries(Foreign):
    """The identity: θ is the entries of all arrays, one after the other, of the given shapes."""

    shapes: dict[str, tuple[int, ...]]

    @property
    def dim(self) -> int:
        """How many entries there are."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def evaluate(self, theta: Array) -> Parts:
        """θ cut up."""
        return _split(theta, self.shapes)

    def pull_back(self, theta: Array, cotangent: Parts) -> Array:
        """The cotangents one after the other."""
        return _flat(cotangent)

    def push_forward(self, theta: Array, direction: Array) -> Parts:
        """The direction cut up."""
        return _split(direction, self.shapes)


def _flat(parts: Parts, order: Parts | None = None) -> Array:
    """The arrays one after the other; in the `order` of another dict (frameworks sort theirs)."""
    return np.concatenate([np.asarray(parts[name], float).ravel() for name in (parts if order is None else order)])


def _split(x: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    out, at = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        out[name] = anp.reshape(x[at : at + size], shape)
        at += size
    return out


def traceable(foreign: Foreign) -> Callable[[Any], dict[str, Any]]:
    """The function as autograd.numpy sees it: θ ↦ dict of arrays, real or complex, traced or not.

    Rows of probabilities that miss one by the rounding of single precision are normalised, and their derivative with them.
    """
    last: list[tuple[bytes, Parts]] = []

    def at(theta: Array) -> Parts:
        key = theta.tobytes()
        if not last or last[0][0] != key:
            last[:] = [(key, foreign.evaluate(theta))]
        return last[0][1]

    @primitive
    def numbers(theta: Array) -> Array:
        real = np.ascontiguousarray(np.real(theta), float)
        values = _flat(at(real))
        if not np.iscomplexobj(theta):
            return values
        step = float(np.abs(theta.imag).max())
        if not step:
            return values.astype(complex)
        return np.asarray(values + 1j * step * _flat(foreign.push_forward(real, theta.imag / step), at(real)))

    def pull(ans: Array, theta: Array) -> Callable[[Array], Array]:
        shapes = {name: x.shape for name, x in at(theta).items()}
        return lambda g: foreign.pull_back(theta, _split(g, shapes))

    defvjp(numbers, pull)
    defjvp(numbers, lambda g, ans, theta: _flat(foreign.push_forward(theta, g), at(theta)))

    def arrays(theta: Any) -> dict[str, Any]:
        parts = at(np.ascontiguousarray(np.real(untraced(theta)), float))
        found = _split(numbers(theta), {name: x.shape for name, x in parts.items()})
        return {name: _normalised(x) if name in _PROBABILITIES else x for name, x in found.items()}

    return arrays


def _normalised(x: Any) -> Any:
    """Rows over their sums where all of them miss one by no more than single precision does."""
    sums = anp.sum(x, axis=-1, keepdims=True)
    off = np.abs(np.real(untraced(sums)) - 1.0)
    return x / sums if _ROUNDED < off.max() < _SINGLE else x


def call(function: Callable[[Any], Any], theta: Any, tree: Tree | None, advice: str) -> Any:
    """What a user's function returns at a θ that is not being traced; `advice` is for one that takes another form of θ.

    Raises: InvalidModel where it takes θ for something else than it is; a BoltzgradError passes through.
    """
    try:
        return function(theta)
    except BoltzgradError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        if tree is not None:
            leaves = [f"theta{name} {shape}" for name, shape in zip(tree.names, tree.shapes, strict=True)]
            more = f" and {len(leaves) - _SHOWN} more" if len(leaves) > _SHOWN else ""
            raise InvalidModel(
                f"the function failed at theta, which is {', '.join(leaves[:_SHOWN])}{more}, as in like: {said}"
            ) from error
        raise InvalidModel(
            f"the function failed at theta, which is a flat array of shape {tuple(theta.shape)}: {said}. If it takes "
            f"parameters in another form (a dict, a pytree), {advice}"
        ) from error


def refuse_nested(name: str, x: Any) -> None:
    """Raises: InvalidModel where an array is a dict of arrays, or the like."""
    if isinstance(x, Mapping) or (isinstance(x, (tuple, list)) and any(isinstance(part, Mapping) for part in x)):
        raise InvalidModel(
            f"{name} is a {type(x).__name__}; expected one array: the function returns a dict with one array for "
            "each field of the model, not a pytree"
        )


_DIVIDE = "divide Q and R by it, and give temperature=1.0: the follower's policy is the same"


def _refuse_moving(kind: type, constants: Mapping[str, Any]) -> None:
    """A temperature or a discount that is a function, or a tensor that wants a gradient.  Raises: InvalidOption."""
    for name, x in constants.items():
        if name == "bump":
            continue
        if callable(x) or getattr(x, "requires_grad", False):
            raise InvalidOption(f"{name} is a {type(x).__name__}; {_constant(kind, name)}")


def _constant(kind: type, name: str) -> str:
    if kind is not LQModel:
        return f"expected a number. Where {name} depends on theta, return it among the arrays, and leave {name}= out"
    said = f"expected a number: {name} is a constant of the problem and does not depend on theta"
    return f"{said}. Where yours does, {_DIVIDE}" if name == "temperature" else said


def checked(out: Any) -> dict[str, Any]:
    """What a user's function returned, as a dict of arrays by name.  Raises: InvalidModel."""
    if hasattr(out, "_asdict"):
        out = out._asdict()
    if not isinstance(out, Mapping) or not out:
        raise InvalidModel(
            f"the function returned a {type(out).__name__}; expected a dict of arrays by the names of the model's fields, "
            "such as {'transition': …, 'initial': …, 'follower_reward': …, 'leader_reward': …}"
        )
    return {str(name): x for name, x in out.items() if x is not None}


@dataclass(frozen=True, eq=False)
class ForeignBuild:
    """A `build` whose arrays come from another framework; `constants` are the fields that do not depend on θ."""

    # A complex step would be answered with the push-forward itself, and autograd sees one operation only.
    takes_complex: ClassVar[bool] = False
    traced: ClassVar[bool] = False

    foreign: Foreign
    kind: type
    constants: dict[str, Any]
    arrays: Callable[[Any], dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        _refuse_moving(self.kind, self.constants)
        object.__setattr__(self, "arrays", traceable(self.foreign))

    def __call__(self, theta: Any) -> Any:
        """The model at θ.  Raises: InvalidModel."""
        arrays = self.arrays(theta)
        known = [f.name for f in fields(self.kind) if f.init and f.name not in (*self.constants, *_OWN)]
        wrong = [name for name in arrays if name not in known]
        if wrong and wrong[0] in self.constants:
            raise InvalidModel(
                f"the function returned {wrong[0]!r}, which is given as a constant; {_constant(self.kind, wrong[0])}"
            )
        if wrong:
            raise InvalidModel(f"the function returned an array {wrong[0]!r}; expected some of {', '.join(known)}")
        if self.kind is AverageRewardModel:
            arrays.setdefault("initial", None)
        try:
            return self.kind(**arrays, **self.constants)
        except TypeError as error:
            raise InvalidModel(f"the function's arrays do not make a {self.kind.__name__}: {error}") from None


@dataclass(frozen=True, eq=False)
class ForeignTable:
    """A leader's policy (S, A) that comes from another framework."""

    takes_complex: ClassVar[bool] = False
    traced: ClassVar[bool] = False

    foreign: Foreign
    arrays: Callable[[Any], dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrays", traceable(self.foreign))

    def __call__(self, theta: Any) -> Any:
        """The table at θ."""
        return self.arrays(theta)["policy"]


def configurable_mdp(
    foreign: Foreign, dim: int | None, options: dict[str, Any], *, average: bool, **constants: Any
) -> ConfigurableMDP:
    """A `ConfigurableMDP` whose arrays come from elsewhere; `constants` do not depend on θ, and are None where not given.

    With a `horizon` it is that of `FiniteHorizonModel`s, with `average` of `AverageRewardModel`s.
    """
    given = {name: x for name, x in constants.items() if x is not None}
    kind: type = TabularModel
    if average:
        kind = AverageRewardModel
        for name in ("follower_discount", "leader_discount", "leader_horizon", "horizon"):
            if name in given:
                raise InvalidOption(f"{name} is {given[name]!r}, and averages have none: leave it out, or average=")
    elif "horizon" in given:
        kind = FiniteHorizonModel
    problem = ConfigurableMDP(ForeignBuild(foreign, kind, given), dim=dim_of(foreign.tree, dim), **options)
    problem.tree = foreign.tree
    return problem


def linear_quadratic(foreign: Foreign, dim: int | None, options: dict[str, Any], **constants: Any) -> LinearQuadratic:
    """A `LinearQuadratic` whose matrices come from elsewhere; `constants` are the fields that are no matrices."""
    problem = LinearQuadratic(ForeignBuild(foreign, LQModel, constants), dim=dim_of(foreign.tree, dim), **options)
    problem.tree = foreign.tree
    return problem


def leader_policy(foreign: Foreign, *, dim: int | None) -> LeaderPolicy:
    """A `LeaderPolicy` whose table comes from elsewhere, under the name "policy"."""
    return LeaderPolicy(ForeignTable(foreign), dim_of(foreign.tree, dim), tree=foreign.tree)


def foreign_of(problem: Any) -> Foreign | None:
    """The other framework's function that a problem is made from, or None."""
    source = getattr(problem, "source", None)
    return source.foreign if isinstance(source, (ForeignBuild, ForeignTable)) else None


def in_entries(problem: Any, shapes: dict[str, tuple[int, ...]]) -> Any:
    """The problem as a function of its arrays' entries: θ is all of them, one after the other."""
    entries = Entries(shapes)
    return problem.made_from(replace(problem.source, foreign=entries), entries.dim)
