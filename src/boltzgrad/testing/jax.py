"""JAX: models written in it as problems, gradients computed in it checked, reference gradients inside of it.

    import jax.numpy as jnp
    import boltzgrad as bg

    def arrays(theta):
        return {"transition": P, "initial": rho, "follower_reward": theta.reshape(2, 2), "leader_reward": r}

    problem = bg.testing.jax.configurable_mdp(arrays, dim=4, follower_discount=0.9, leader_discount=0.95, temperature=0.5)
    bg.testing.jax.assert_hypergradient(jax.grad(my_J), problem, theta)      # yours against the reference
    jax.grad(bg.testing.jax.value(problem))(theta)                           # the reference inside of JAX

Models are solved in float64, so `jax_enable_x64` has to be on where the reference evaluates one; what is checked may be in
float32, and `value` works in either.  Constant arrays held in single precision are taken as they are, and rows of
probabilities then normalised; a function that rounds to single precision *on the way* has derivatives of single precision,
and `boltzgrad.verify` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BoltzgradError, InvalidModel, InvalidOption, InvalidTheta, MissingExtra, NotDifferentiable
from boltzgrad.families.game.leader_policy import LeaderPolicy
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.testing import assertions, foreign
from boltzgrad.testing.candidate import read_theta
from boltzgrad.testing.check import HypergradientCheck

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise MissingExtra("boltzgrad.testing.jax needs JAX: pip install 'boltzgrad[jax]'") from error

Arrays = Callable[[Any], Mapping[str, Any]]

_UNRAVEL = (
    "make them of theta inside: flat, unravel = jax.flatten_util.ravel_pytree(parameters); give lambda theta: "
    "f(unravel(theta)) and dim=flat.size"
)


def _require_double() -> None:
    """Models are evaluated in float64.  Raises: InvalidOption where the session is in single precision.

    `jax.enable_x64` for a moment only is no way out: JAX 0.10 then mixes up the precisions of constants it has cached.
    """
    if not jax.config.jax_enable_x64:
        raise InvalidOption(
            "a model written in JAX is solved in float64, and this session is in single precision: call "
            'jax.config.update("jax_enable_x64", True) first. The function that is checked may stay in float32 '
            "(dtype=jnp.float32), and boltzgrad.testing.jax.value works in single precision as it is"
        )


class _Jax(foreign.Foreign):
    """A JAX function θ → dict of arrays."""

    def __init__(self, function: Arrays) -> None:
        self.function = function

    def traced(self, theta: Any) -> dict[str, Any]:
        """The arrays as JAX arrays of real numbers, inside or outside of a trace; by name, as JAX itself sorts them."""
        return self._arrays(self.function(theta), theta)

    def _arrays(self, found: Any, theta: Any) -> dict[str, Any]:
        out = {}
        for name, x in sorted(foreign.checked(found).items()):
            foreign.refuse_nested(name, x)
            array = jnp.asarray(x)
            if jnp.iscomplexobj(array):
                raise InvalidModel(f"{name} is complex; expected real numbers")
            out[name] = array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(theta.dtype)
        return out

    def evaluate(self, theta: Array) -> foreign.Parts:
        _require_double()
        at = jnp.asarray(theta)
        found = self._arrays(foreign.call(self.function, at, _UNRAVEL), at)
        return {name: np.asarray(x, dtype=np.float64) for name, x in found.items()}

    def pull_back(self, theta: Array, cotangent: foreign.Parts) -> Array:
        _require_double()
        try:
            values, back = jax.vjp(self.traced, jnp.asarray(theta))
            (out,) = back({name: jnp.asarray(cotangent[name], x.dtype) for name, x in values.items()})
        except Exception as error:
            raise _explained(error) from error
        return np.asarray(out, dtype=np.float64)

    def push_forward(self, theta: Array, direction: Array) -> foreign.Parts:
        _require_double()
        try:
            _, out = jax.jvp(self.traced, (jnp.asarray(theta),), (jnp.asarray(direction),))
        except Exception as error:
            raise _explained(error) from error
        return {name: np.asarray(x, dtype=np.float64) for name, x in out.items()}


def _explained(error: Exception) -> BoltzgradError:
    if isinstance(error, BoltzgradError):
        return error
    return NotDifferentiable(f"JAX could not differentiate the model: {type(error).__name__}: {error}")


def configurable_mdp(
    arrays: Arrays,
    *,
    dim: int,
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
    """A `ConfigurableMDP` from a JAX function θ (d,) -> dict of arrays by the names of `boltzgrad.TabularModel`:
    `transition` (S, A, S), `initial` (S,), `follower_reward`, `leader_reward` (S, A), and as needed `follower_transition`,
    `reference`, `leader_reference`.  Discounts and temperature (a number, or (S,)) are given here, or are among the arrays
    where θ moves them.

    With a `horizon` it is a `boltzgrad.FiniteHorizonModel` (arrays also one for each step, `terminal_follower_reward`,
    `terminal_leader_reward`), with `average` a `boltzgrad.AverageRewardModel` (no `initial`, no discounts).
    `options` are those of `boltzgrad.ConfigurableMDP`: `objective`, `regulariser`, `initial_scale`, `name`.
    Raises: InvalidOption; when it is used, InvalidModel, NotDifferentiable with JAX's own words.
    """
    return foreign.configurable_mdp(
        _Jax(arrays),
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
    arrays: Arrays,
    *,
    dim: int,
    follower_discount: float,
    leader_discount: float,
    temperature: float,
    horizon: int | None = None,
    observed: bool = False,
    bump: Any = None,
    **options: Any,
) -> LinearQuadratic:
    """A `LinearQuadratic` from a JAX function θ (d,) -> dict of the matrices of `boltzgrad.LQModel` (A, B, W, Q, …)."""
    return foreign.linear_quadratic(
        _Jax(arrays),
        dim,
        options,
        follower_discount=follower_discount,
        leader_discount=leader_discount,
        temperature=temperature,
        horizon=horizon,
        observed=observed,
        bump=bump,
    )


def leader_policy(table: Callable[[Any], Any], *, dim: int) -> LeaderPolicy:
    """The leader's policy of a `boltzgrad.MarkovGame` from a JAX function θ (d,) -> f (S, A)."""
    return foreign.leader_policy(_Jax(lambda theta: {"policy": table(theta)}), dim=dim)


def value(problem: Any) -> Callable[[Any], Any]:
    """J as a function of θ (d,) that JAX can differentiate once: its gradient is the reference hypergradient.

    It works under `jax.jit`, `jax.grad` and `jax.vmap` (one θ after the other), in the precision of θ.  A model that
    is itself written in JAX is evaluated in the graph, and only its numbers leave it.
    Raises: InvalidTheta; what `boltzgrad.hypergradient` raises, wrapped in JAX's own error; InvalidOption for a model written
    in JAX with an objective or a regulariser.
    """
    family_of(problem)
    inside = foreign.foreign_of(problem)
    if not isinstance(inside, _Jax):
        return _through_callback(problem.dim, lambda theta: problem, lambda theta: theta)
    if getattr(problem, "regulariser", None) is not None or getattr(problem, "objective", "return") != "return":
        raise InvalidOption(
            "the model is written in JAX and has an objective or a regulariser of its own; make the problem without, and "
            "add that part in JAX"
        )

    def entries(theta: Any) -> Any:
        return jnp.concatenate([x.ravel() for x in inside.traced(theta).values()])

    def shaped(theta: Any) -> Any:
        shapes = {name: tuple(x.shape) for name, x in jax.eval_shape(inside.traced, theta).items()}
        return foreign.in_entries(problem, shapes)

    return _through_callback(problem.dim, shaped, entries)


def _through_callback(
    dim: int, problem_at: Callable[[Any], Any], entries: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """J(entries(θ)) with the reference's gradient in the entries; solved outside of the graph, in float64."""

    def function(theta: Any) -> Any:
        theta = jnp.asarray(theta)
        if theta.shape != (dim,) or theta.dtype not in (jnp.float32, jnp.float64):
            raise InvalidTheta(
                f"theta has shape {theta.shape} and type {theta.dtype}, expected ({dim},) of float32 or float64"
            )
        problem = problem_at(theta)

        def solved(x: Any) -> tuple[Array, Array]:
            found = hypergradient(problem, np.asarray(x, dtype=np.float64))
            return np.asarray(found.value, x.dtype), np.asarray(found.gradient, x.dtype)

        def called(x: Any) -> Any:
            shapes = (jax.ShapeDtypeStruct((), x.dtype), jax.ShapeDtypeStruct(x.shape, x.dtype))
            return jax.pure_callback(solved, shapes, x, vmap_method="sequential")

        @jax.custom_vjp
        def j(x: Any) -> Any:
            return called(x)[0]

        j.defvjp(called, lambda gradient, g: (g * gradient,))
        return j(entries(theta)).astype(theta.dtype)

    return function


def assert_hypergradient(
    gradient: Any,
    problem: Any,
    theta: Any,
    *,
    dtype: Any = None,
    tolerance: float | None = None,
    thorough: bool = False,
    follower: Any = None,
) -> HypergradientCheck:
    """`boltzgrad.testing.assert_hypergradient` for a JAX function θ -> gradient: it is given a JAX array.

    `dtype` is the precision it is called in: by default float64 if `jax_enable_x64` is on, else float32.  The reference is
    taken at the θ that the function sees, rounded to that precision.
    """
    __tracebackhide__ = True
    try:
        chosen = np.dtype(dtype if dtype is not None else jax.dtypes.canonicalize_dtype(np.float64))
    except TypeError:
        raise InvalidOption(f"dtype is {dtype!r}; expected float32 or float64") from None
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InvalidOption(f"dtype is {chosen}; expected float32 or float64")
    if chosen == np.float64 and not jax.config.jax_enable_x64:
        raise InvalidOption('dtype is float64; call jax.config.update("jax_enable_x64", True) first')
    seen = read_theta(problem, theta).astype(chosen).astype(np.float64)
    return assertions.assert_hypergradient(
        gradient,
        problem,
        seen,
        tolerance=tolerance,
        thorough=thorough,
        follower=follower,
        feed=lambda x: jnp.asarray(x, chosen),
    )
