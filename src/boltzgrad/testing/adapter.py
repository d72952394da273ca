"""What the adapters of all frameworks have in common: models written in one as problems, gradients computed in one checked.

A framework says in a `Framework` how its arrays are made, read and differentiated; all else is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from boltzgrad.core.arrays import Array
from boltzgrad.core.tree import OfTree, Tree
from boltzgrad.errors import BoltzgradError, NotDifferentiable
from boltzgrad.families.game.leader_policy import LeaderPolicy
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.testing import assertions, foreign
from boltzgrad.testing.candidate import PRECISIONS, plain, read_theta
from boltzgrad.testing.check import HypergradientCheck

Arrays = Callable[[Any], Mapping[str, Any]]


class Framework(ABC):
    """A framework's arrays and derivatives, and what its adapter gives: the public functions of `boltzgrad.testing.jax` and
    `boltzgrad.testing.torch` are the methods of one of these.
    """

    name: ClassVar[str]
    advice: ClassVar[str]  # to somebody whose function takes parameters in another form than a flat array

    @abstractmethod
    def array(self, x: Array, dtype: Any = None) -> Any:
        """A fresh array of the framework; in float64, as models are solved, without a `dtype`.  Raises: InvalidOption."""

    @abstractmethod
    def numbers(self, x: Any) -> Array:
        """An array of the framework in float64."""

    @abstractmethod
    def real(self, name: str, x: Any, theta: Any) -> Any:
        """A real array of what a function returned; in θ's precision where it holds integers.  Raises: InvalidModel."""

    @abstractmethod
    def vjp(self, function: Callable[[Any], Any], at: Any) -> tuple[Any, Callable[[Any], Any]]:
        """(values, the vector-Jacobian product) of a function θ -> dict of arrays."""

    @abstractmethod
    def jvp(self, function: Callable[[Any], Any], at: Any, along: Any) -> Any:
        """The Jacobian-vector product of a function θ -> dict of arrays."""

    def without_graph(self) -> AbstractContextManager[Any]:
        """Where nothing is differentiated."""
        return nullcontext()

    @abstractmethod
    def tree(self, like: Any) -> Tree:
        """The shape of parameters like these.  Raises: InvalidOption, naming the leaf."""

    @abstractmethod
    def precision(self, dtype: Any) -> Any:
        """The precision that a candidate is called in.  Raises: InvalidOption."""

    def configurable_mdp(
        self,
        arrays: Arrays,
        *,
        dim: int | None = None,
        like: Any = None,
        follower_discount: float | None = None,
        leader_discount: float | None = None,
        temperature: Any = None,
        available: Any = None,
        leader_temperature: float | None = None,
        leader_horizon: int | None = None,
        horizon: int | None = None,
        average: bool = False,
        **options: Any,
    ) -> ConfigurableMDP:
        """A `ConfigurableMDP` from a function θ (d,) -> dict of arrays by the names of `boltzgrad.TabularModel`:
        `transition` (S, A, S), `initial` (S,), `follower_reward`, `leader_reward` (S, A), and as needed `follower_transition`,
        `reference`, `leader_reference`.  Discounts and temperature (a number, or (S,)) are given here, or are among the arrays
        where θ moves them.

        θ is an array of length `dim`, or has the shape of parameters `like` these: a pytree in JAX; in PyTorch a dict, list or
        tuple of tensors, nested or not.  The function gets one in float64, every function of the library takes one for θ, and
        `bg.hypergradient(problem, parameters).tree` is one.  In one vector (d,) the leaves stand in the framework's order.

        With a `horizon` it is a `boltzgrad.FiniteHorizonModel` (arrays also one for each step, `terminal_follower_reward`,
        `terminal_leader_reward`), with `average` a `boltzgrad.AverageRewardModel` (no `initial`, no discounts).
        `options` are those of `boltzgrad.ConfigurableMDP`: `objective`, `regulariser` (of the vector), `initial_scale`, `name`.
        Raises: InvalidOption; when it is used, InvalidModel, NotDifferentiable with the framework's own words.
        """
        return foreign.configurable_mdp(
            self._function(arrays, like),
            dim,
            options,
            average=average,
            follower_discount=follower_discount,
            leader_discount=leader_discount,
            temperature=temperature,
            available=available,
            leader_temperature=leader_temperature,
            leader_horizon=leader_horizon,
            horizon=horizon,
        )

    def linear_quadratic(
        self,
        arrays: Arrays,
        *,
        dim: int | None = None,
        like: Any = None,
        follower_discount: float,
        leader_discount: float,
        temperature: float,
        horizon: int | None = None,
        observed: bool = False,
        bump: Any = None,
        **options: Any,
    ) -> LinearQuadratic:
        """A `LinearQuadratic` from a function θ -> dict of the matrices of `boltzgrad.LQModel` (A, B, W, Q, …).

        `dim` or `like` as in `configurable_mdp`.
        """
        return foreign.linear_quadratic(
            self._function(arrays, like),
            dim,
            options,
            follower_discount=follower_discount,
            leader_discount=leader_discount,
            temperature=temperature,
            horizon=horizon,
            observed=observed,
            bump=bump,
        )

    def leader_policy(self, table: Callable[[Any], Any], *, dim: int | None = None, like: Any = None) -> LeaderPolicy:
        """The leader's policy of a `boltzgrad.MarkovGame` from a function θ -> f (S, A); `dim` or `like` as in
        `configurable_mdp`.
        """
        return foreign.leader_policy(self._function(lambda theta: {"policy": table(theta)}, like), dim=dim)

    def assert_hypergradient(
        self,
        gradient: Any,
        problem: Any,
        theta: Any,
        *,
        dtype: Any = None,
        tolerance: float | None = None,
        thorough: bool = False,
        follower: Any = None,
    ) -> HypergradientCheck:
        """`boltzgrad.testing.assert_hypergradient` for a function θ -> gradient of a framework: it is given an array of the
        framework or, where the problem was made `like` some parameters, such parameters; and so may the gradient be.

        `dtype` is the precision it is called in: by default float64, but float32 in a session of JAX without `jax_enable_x64`.
        The reference is taken at the θ that the function sees, rounded to that precision.
        """
        __tracebackhide__ = True
        chosen = self.precision(dtype)
        seen = self.numbers(self.array(read_theta(problem, theta), chosen))
        return assertions.assert_hypergradient(
            gradient,
            problem,
            seen,
            tolerance=tolerance,
            thorough=thorough,
            follower=follower,
            feed=lambda x: self.array(x, chosen),
        )

    def _function(self, function: Arrays, like: Any) -> Function:
        return Function(self, function, None if like is None else self.tree(like))


class Function(foreign.Foreign):
    """A function θ → dict of arrays, written in a framework; with a `tree` it takes θ in that shape."""

    def __init__(self, framework: Framework, function: Arrays, tree: Tree | None = None) -> None:
        self.framework, self.tree = framework, tree
        self.function = function if tree is None else OfTree(function, tree)

    def arrays(self, theta: Any) -> dict[str, Any]:
        """The framework's arrays of real numbers, inside or outside of a transform; by name, as JAX sorts them."""
        return self._read(self.function(theta), theta)

    def _read(self, found: Any, theta: Any) -> dict[str, Any]:
        out = {}
        for name, x in sorted(foreign.checked(found).items()):
            foreign.refuse_nested(name, x)
            out[name] = self.framework.real(name, x, theta)
        return out

    def evaluate(self, theta: Array) -> foreign.Parts:
        """The arrays at θ."""
        at = self.framework.array(theta)
        with self.framework.without_graph():
            found = self._read(foreign.call(self.function, at, self.tree, self.framework.advice), at)
            return {name: self.framework.numbers(x) for name, x in found.items()}

    def pull_back(self, theta: Array, cotangent: foreign.Parts) -> Array:
        """By the framework's vector-Jacobian product."""
        array = self.framework.array
        try:
            values, back = self.framework.vjp(self.arrays, array(theta))
            (out,) = back({name: array(cotangent[name], x.dtype) for name, x in values.items()})
        except Exception as error:
            raise self._explained(error) from error
        return self.framework.numbers(out)

    def push_forward(self, theta: Array, direction: Array) -> foreign.Parts:
        """By its Jacobian-vector product."""
        array = self.framework.array
        try:
            out = self.framework.jvp(self.arrays, array(theta), array(direction))
        except Exception as error:
            raise self._explained(error) from error
        return {name: self.framework.numbers(x) for name, x in out.items()}

    def _explained(self, error: Exception) -> BoltzgradError:
        if isinstance(error, BoltzgradError):
            return error
        said = f"{self.framework.name} could not differentiate the model: {type(error).__name__}: {error}"
        return NotDifferentiable(said)


def floats(x: Any, what: str, refusal: type[Exception]) -> Array:
    """A leaf of parameters as a NumPy array of float32 or float64.  Raises: `refusal`, beginning with `what`."""
    array = plain(x, what, refusal)
    if array.dtype not in PRECISIONS:
        raise refusal(f"{what} holds {array.dtype} values, expected float64 or float32")
    return array
