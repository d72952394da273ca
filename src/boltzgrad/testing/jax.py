"""JAX: models written in it as problems, gradients computed in it checked, reference gradients inside of it.

    import jax.numpy as jnp
    import boltzgrad as bg

    def arrays(theta):
        return {"transition": P, "initial": rho, "follower_reward": theta.reshape(2, 2), "leader_reward": r}

    problem = bg.testing.jax.configurable_mdp(arrays, dim=4, follower_discount=0.9, leader_discount=0.95, temperature=0.5)
    bg.testing.jax.assert_hypergradient(jax.grad(my_J), problem, theta)      # yours against the reference
    jax.grad(bg.testing.jax.value(problem))(theta)                           # the reference inside of JAX

θ may be any pytree: `like=` in the place of `dim=`.

Models are solved in float64, so `jax_enable_x64` has to be on where the reference evaluates one; what is checked may be in
float32, and `value` works in either.  Constant arrays held in single precision are taken as they are, and rows of
probabilities then normalised; a function that rounds to single precision *on the way* has derivatives of single precision,
and `boltzgrad.verify` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.tree import Tree
from boltzgrad.errors import InvalidModel, InvalidOption, InvalidTheta, MissingExtra
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.testing import adapter, foreign
from boltzgrad.testing.adapter import floats
from boltzgrad.testing.candidate import PRECISIONS

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise MissingExtra("boltzgrad.testing.jax needs JAX: pip install 'boltzgrad[jax]'") from error


class _PyTree(Tree):
    """The shape of a pytree, whichever containers `jax.tree_util` knows; leaves in its order, found by their names."""

    def __init__(self, like: Any) -> None:
        found, self._structure = jax.tree_util.tree_flatten_with_path(like)
        named = [(jax.tree_util.keystr(path), x) for path, x in found]
        self._settle(type(like), [(name, _shape(x, f"like{name}")) for name, x in named])

    def read(self, x: Any, what: str, refusal: type[Exception]) -> Array:
        return floats(x, what, refusal)

    def holds(self, x: Any) -> bool:
        return x is not None and not jax.tree_util.all_leaves([x])

    def leaves(self, tree: Any, what: str, refusal: type[Exception]) -> list[Any]:
        found = {jax.tree_util.keystr(path): x for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]}
        lacking = [name for name in self.names if name not in found]
        beyond = [name for name in found if name not in self.names]
        if lacking or beyond:
            wrong = [f"lacks {name}" for name in lacking[:1]] + [f"has {name}" for name in beyond[:1]]
            raise refusal(f"{what} {' and '.join(wrong)}; expected a pytree with the leaves {', '.join(self.names)}")
        return [found[name] for name in self.names]

    def unpack(self, vector: Any) -> Any:
        if isinstance(vector, np.ndarray):
            vector = jnp.asarray(vector)
        return jax.tree_util.tree_unflatten(self._structure, self.pieces(vector))


def _shape(x: Any, what: str) -> tuple[int, ...]:
    """A leaf's shape, also of what `jax.eval_shape` says of it.  Raises: InvalidOption."""
    array = floats(np.zeros(x.shape, x.dtype) if isinstance(x, jax.ShapeDtypeStruct) else x, what, InvalidOption)
    return tuple(array.shape)


class _Jax(adapter.Framework):
    name = "JAX"
    advice = "give such parameters as like= in the place of dim="

    def array(self, x: Array, dtype: Any = None) -> Any:
        # `jax.enable_x64` for a moment only is no way out: JAX 0.10 then mixes up the precisions of constants it has cached.
        if dtype is None and not jax.config.jax_enable_x64:
            raise InvalidOption(
                "a model written in JAX is solved in float64, and this session is in single precision: call "
                'jax.config.update("jax_enable_x64", True) first. The function that is checked may stay in float32 '
                "(dtype=jnp.float32), and boltzgrad.testing.jax.value works in single precision as it is"
            )
        return jnp.asarray(x, dtype)

    def numbers(self, x: Any) -> Array:
        return np.asarray(x, dtype=np.float64)

    def real(self, name: str, x: Any, theta: Any) -> Any:
        array = jnp.asarray(x)
        if jnp.iscomplexobj(array):
            raise InvalidModel(f"{name} is complex; expected real numbers")
        return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(theta.dtype)

    def vjp(self, function: Callable[[Any], Any], at: Any) -> tuple[Any, Callable[[Any], Any]]:
        values, back = jax.vjp(function, at)
        return values, back

    def jvp(self, function: Callable[[Any], Any], at: Any, along: Any) -> Any:
        return jax.jvp(function, (at,), (along,))[1]

    def tree(self, like: Any) -> Tree:
        return _PyTree(like)

    def precision(self, dtype: Any) -> Any:
        try:
            chosen = np.dtype(dtype if dtype is not None else jax.dtypes.canonicalize_dtype(np.float64))
        except TypeError:
            raise InvalidOption(f"dtype is {dtype!r}; expected float32 or float64") from None
        if chosen not in PRECISIONS:
            raise InvalidOption(f"dtype is {chosen}; expected float32 or float64")
        if chosen == np.float64 and not jax.config.jax_enable_x64:
            raise InvalidOption('dtype is float64; call jax.config.update("jax_enable_x64", True) first')
        return chosen


_JAX = _Jax()
configurable_mdp = _JAX.configurable_mdp
linear_quadratic = _JAX.linear_quadratic
leader_policy = _JAX.leader_policy
assert_hypergradient = _JAX.assert_hypergradient


def value(problem: Any) -> Callable[[Any], Any]:
    """J as a function of θ (d,) that JAX can differentiate once: its gradient is the reference hypergradient.

    Where the problem was made `like` a pytree, it takes one, too, and `jax.grad` returns one.  It works under `jax.jit`,
    `jax.grad` and `jax.vmap` (one θ after the other), in the precision of θ.  A model that is itself written in JAX is
    evaluated in the graph, and only its numbers leave it.
    Raises: InvalidTheta; what `boltzgrad.hypergradient` raises, wrapped in JAX's own error; InvalidOption for a model written
    in JAX with an objective or a regulariser.
    """
    family_of(problem)
    inside = foreign.foreign_of(problem)
    if not (isinstance(inside, adapter.Function) and inside.framework is _JAX):
        return _through_callback(problem, lambda theta: problem, lambda theta: theta)
    if getattr(problem, "regulariser", None) is not None or getattr(problem, "objective", "return") != "return":
        raise InvalidOption(
            "the model is written in JAX and has an objective or a regulariser of its own; make the problem without, and "
            "add that part in JAX"
        )

    def entries(theta: Any) -> Any:
        return jnp.concatenate([x.ravel() for x in inside.arrays(theta).values()])

    def shaped(theta: Any) -> Any:
        shapes = {name: tuple(x.shape) for name, x in jax.eval_shape(inside.arrays, theta).items()}
        return foreign.in_entries(problem, shapes)

    return _through_callback(problem, shaped, entries)


def _vector(problem: Any, theta: Any) -> Any:
    """θ as a vector (d,), of a pytree the leaves one after the other.  Raises: InvalidTheta, naming the leaf."""
    if problem.tree is None or not problem.tree.fits(theta):
        return _checked("theta", theta, (problem.dim,))
    leaves = problem.tree.leaves(theta, "theta", InvalidTheta)
    named = zip(problem.tree.names, problem.tree.shapes, leaves, strict=True)
    return jnp.concatenate([_checked(f"theta{name}", x, shape).ravel() for name, shape, x in named])


def _checked(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    array = jnp.asarray(x)
    if array.shape != shape or array.dtype not in (jnp.float32, jnp.float64):
        raise InvalidTheta(
            f"{name} has shape {array.shape} and type {array.dtype}, expected {shape} of float32 or float64"
        )
    return array


def _through_callback(
    problem: Any, problem_at: Callable[[Any], Any], entries: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """J(entries(θ)) with the reference's gradient in the entries; solved outside of the graph, in float64."""

    def function(theta: Any) -> Any:
        theta = _vector(problem, theta)
        at = problem_at(theta)

        def solved(x: Any) -> tuple[Array, Array]:
            found = hypergradient(at, np.asarray(x, dtype=np.float64))
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
