"""Somebody else's gradient, as an array or as a function of θ: read, or refused with the reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd.extend import Box

from boltzgrad.core.arrays import Array
from boltzgrad.core.tree import Tree
from boltzgrad.errors import InvalidCandidate, InvalidOption, InvalidTheta
from boltzgrad.families.registry import family_of

PRECISIONS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A gradient (d,) in float64, the `precision` it was computed in, and by how much a second call differed.

    `again` (d,) is what the function returned when it was called once more; None where an array was handed in.
    """

    gradient: Array
    precision: np.dtype[Any]
    again: Array | None = None


def read_candidate(
    candidate: Any, theta: Array, *, feed: Callable[[Array], Any] | None = None, tree: Tree | None = None
) -> Candidate:
    """`candidate`, a gradient (d,) or a function θ -> gradient, as numbers.

    A function is called twice, each time with a fresh copy of `theta`, made into what it takes by `feed`; with a `tree` it
    takes θ in that shape, and the gradient may have it.

    Raises: InvalidCandidate; what the function itself raises passes through.
    """
    if not callable(candidate):
        return Candidate(*as_gradient(candidate, theta.size, "the candidate", tree))
    if isinstance(candidate, type):
        raise InvalidCandidate(
            f"the candidate is the class {candidate.__name__}; expected a gradient or a function theta -> gradient"
        )
    first, second = (_called(candidate, theta, feed, tree) for _ in range(2))
    return Candidate(*first, again=second[0])


def _called(
    function: Callable[[Any], Any], theta: Array, feed: Callable[[Array], Any] | None, tree: Tree | None
) -> tuple[Array, np.dtype[Any]]:
    given = theta.copy() if feed is None else feed(theta.copy())
    given = given if tree is None else tree.unpack(given)
    held = [given] if tree is None else tree.leaves(given, "theta", InvalidTheta)
    before = _numbers(held)
    out = function(given)
    after = _numbers(held)
    moved = np.flatnonzero(~(after == before))
    if moved.size:
        j = int(moved[0])
        raise InvalidCandidate(
            f"your function changed the theta that it was given: {_entry(tree, j)} was {before[j]:.6g} and is {after[j]:.6g} "
            f"after the call ({moved.size} of {before.size} entries changed); let it work on a copy"
        )
    return as_gradient(out, theta.size, "your function's gradient", tree)


def _entry(tree: Tree | None, j: int) -> str:
    return f"theta[{j}]" if tree is None else f"theta{tree.entry(j)}"


def _numbers(arrays: list[Any]) -> Array:
    """A copy of the arrays that a function was given, one after the other."""
    return np.concatenate([np.ravel(plain(x, "theta", InvalidTheta)) for x in arrays])


def as_gradient(x: Any, dim: int, what: str, tree: Tree | None = None) -> tuple[Array, np.dtype[Any]]:
    """(x as a fresh float64 array (d,), the precision it came in).  Raises: InvalidCandidate, beginning with `what`."""
    if x is None:
        raise InvalidCandidate(f"{what} is None; expected an array of shape ({dim},): is a `return` missing?")
    if tree is not None and tree.fits(x):
        return _of_leaves(x, tree, what)
    if isinstance(x, Mapping) or hasattr(x, "_fields"):
        raise InvalidCandidate(
            f"{what} is a {type(x).__name__}; expected one flat array of shape ({dim},) in the order of theta (JAX makes one "
            "of a pytree with jax.flatten_util.ravel_pytree, PyTorch with torch.nn.utils.parameters_to_vector)"
        )
    _refuse_several(x, dim, what)
    array = _real(x, what)
    if array.shape != (dim,):
        raise InvalidCandidate(f"{what} has shape {array.shape}, expected ({dim},){_reshaping(array, dim)}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise _not_finite(f"{what}[{bad[0]}]", array, bad)
    return array.astype(np.float64), _precision(array)


def _of_leaves(x: Any, tree: Tree, what: str) -> tuple[Array, np.dtype[Any]]:
    """A gradient in the shape of θ as one vector (d,), and the lowest precision that a leaf came in."""
    arrays = []
    for name, shape, leaf in zip(tree.names, tree.shapes, _leaves(x, tree, what), strict=True):
        arrays.append(_real(leaf, f"{what}{name}"))
        if arrays[-1].shape != shape:
            raise InvalidCandidate(f"{what}{name} has shape {arrays[-1].shape}, expected {shape}")
    flat = np.concatenate([array.astype(np.float64).ravel() for array in arrays])
    bad = np.flatnonzero(~np.isfinite(flat))
    if bad.size:
        raise _not_finite(f"{what}{tree.entry(int(bad[0]))}", flat, bad)
    return flat, min((_precision(array) for array in arrays), key=lambda precision: precision.itemsize)


def _leaves(x: Any, tree: Tree, what: str) -> list[Any]:
    try:
        return tree.leaves(x, what, InvalidCandidate)
    except InvalidCandidate as error:
        fitting = [k for k, part in enumerate(x) if _like(tree, part)] if isinstance(x, (tuple, list)) else []
        if not fitting:
            raise
        advice = f"is it value_and_grad, or has_aux? Use lambda theta: f(theta)[{fitting[-1]}]"
        raise InvalidCandidate(f"{error}: {advice}") from None


def _like(tree: Tree, x: Any) -> bool:
    try:
        return bool(tree.leaves(x, "", InvalidCandidate))
    except InvalidCandidate:
        return False


def _not_finite(name: str, array: Array, bad: Array) -> InvalidCandidate:
    more = f" ({bad.size} of {array.size} entries are not finite)" if bad.size > 1 else ""
    return InvalidCandidate(f"{name} is {array[bad[0]]}{more}; every entry must be finite")


def _precision(array: Array) -> np.dtype[Any]:
    return array.dtype if array.dtype in PRECISIONS else np.dtype(np.float64)


def _real(x: Any, what: str) -> Array:
    """`x` as an array of float64, float32 or more digits.  Raises: InvalidCandidate."""
    array = plain(x, what, InvalidCandidate)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if np.iscomplexobj(array):
        raise InvalidCandidate(
            f"{what} holds {array.dtype} values, expected real numbers; of a complex step, take the imaginary part over "
            "the step"
        )
    if array.dtype not in PRECISIONS and not (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        raise InvalidCandidate(f"{what} holds {array.dtype} values, expected float64 or float32")
    return array


def _refuse_several(x: Any, dim: int, what: str) -> None:
    """A gradient with something beside it: what `value_and_grad`, `has_aux` or several arguments return."""
    if not isinstance(x, (tuple, list)):
        return
    shapes = [tuple(getattr(part, "shape", ())) for part in x]
    if not any(shapes) or (isinstance(x, list) and len(set(shapes)) == 1):
        return  # one number an entry, or rows of a table
    things = {1: "an array in a tuple", 2: "a pair"}.get(len(x), f"{len(x)} things")
    said = f"your function returned {things}" if what.startswith("your function") else f"{what} is {things}"
    fitting = [k for k, shape in enumerate(shapes) if shape == (dim,)]
    advice = f"use lambda theta: f(theta)[{fitting[-1]}]" if fitting and (len(fitting) == 1 or dim == 1) else ""
    if advice and len(x) == 2 and fitting[-1] == 1 and shapes[0] in ((), (1,)):
        advice = f"is it value_and_grad? {advice}"
    raise InvalidCandidate(f"{said}; expected the gradient alone{': ' if advice else ''}{advice}")


def _reshaping(array: Array, dim: int) -> str:
    if array.size == dim:
        return "; it has the right number of entries: ravel it if they are in the order of theta"
    if array.ndim == 2 and dim in array.shape:
        return "; is it a Jacobian, or one gradient for every sample? Sum or average it over the other axis"
    if array.size == 1:
        return "; is it the value J(theta) instead of its gradient?"
    return ""


def plain(x: Any, what: str, refusal: type[Exception]) -> Array:
    """`x` of NumPy, JAX, PyTorch or a list, as a NumPy array.

    Raises: `refusal` where it is being traced, lies on another device, or is no array of numbers.
    """
    _refuse_traced(x, what, refusal)
    if isinstance(x, np.ma.MaskedArray):
        raise refusal(f"{what} is a masked array; expected every entry: fill it, or hand in its .data")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        x = _from_torch(torch, x, what, refusal)
    try:
        array = np.asarray(x)
    except Exception as error:  # whatever the framework raises about it
        raise refusal(f"{what} cannot be read as an array: {type(error).__name__}: {error}") from None
    if array.dtype == object:
        raise refusal(f"{what} is a {type(x).__name__} and holds no numbers; expected an array of float64 or float32")
    return array


def _refuse_traced(x: Any, what: str, refusal: type[Exception]) -> None:
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(x, jax.core.Tracer):
        raise refusal(
            f"{what} is being traced by JAX ({type(x).__name__}) and has no numbers yet; call this outside of jax.jit, "
            "jax.grad and jax.vmap, on their results"
        )
    if isinstance(x, Box):
        raise refusal(
            f"{what} is being traced by autograd and is no array of numbers; call this outside of autograd.grad"
        )


def _from_torch(torch: Any, x: Any, what: str, refusal: type[Exception]) -> Any:
    if x.device.type != "cpu":
        raise refusal(f"{what} lies on the device {str(x.device)!r}; bring it to the CPU with .detach().cpu()")
    if x.layout != torch.strided:
        raise refusal(f"{what} is a {x.layout} tensor; make it dense with .to_dense()")
    if x.dtype == torch.bfloat16:
        raise refusal(f"{what} holds bfloat16 values, expected float64 or float32")
    try:
        return x.detach().resolve_conj().resolve_neg().numpy()
    except Exception as error:
        raise refusal(
            f"{what} has no numbers yet ({type(error).__name__}: {error}); call this outside of torch.func transforms"
        ) from None


def read_theta(problem: Any, theta: Any) -> Array:
    """θ of NumPy, JAX, PyTorch or a list as a fresh float64 array (d,).  Raises: InvalidTheta; InvalidOption if `problem` is
    none.
    """
    family_of(problem)
    if problem.tree is not None and problem.tree.fits(theta):
        packed: Array = problem.check_theta(theta)
        return packed
    if isinstance(theta, Mapping):
        raise InvalidTheta(
            f"theta is a {type(theta).__name__}; expected a flat array of shape ({problem.dim},): JAX makes one of a pytree "
            "with jax.flatten_util.ravel_pytree, PyTorch with torch.nn.utils.parameters_to_vector"
        )
    checked: Array = problem.check_theta(plain(theta, "theta", InvalidTheta))
    return checked


def relative_tolerance(value: Any) -> float:
    """What a method leaves, as a number in [0, 1).  Raises: InvalidOption."""
    if (
        isinstance(value, (bool, str))
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not 0.0 <= value < 1.0
    ):
        raise InvalidOption(
            f"tolerance is {value!r}; expected the relative error that your method leaves, a number from 0 to below 1"
        )
    return float(value)
