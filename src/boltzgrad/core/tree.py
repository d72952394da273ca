"""A θ that is several arrays: a dict, list or tuple of them, nested or not, and its place in one vector (d,)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, InvalidTheta


class Tree:
    """The shape of a θ, taken from one `like` it: leaves in the order of the containers, each in row-major order.

    >>> tree = Tree({"shift": np.zeros(2), "gain": 1.0})
    >>> tree.pack({"shift": [1.0, 2.0], "gain": 3.0})
    array([1., 2., 3.])
    >>> tree.unpack(np.array([1.0, 2.0, 3.0]))["gain"]
    np.float64(3.0)
    """

    def __init__(self, like: Any) -> None:
        self._like = _shapes(like, "like")
        self.dim = sum(int(np.prod(shape)) for _, shape in _leaves(self._like, ""))
        if self.dim < 1:
            raise InvalidOption("like holds no numbers; expected arrays in a dict, list or tuple")

    def pack(self, tree: Any, what: str = "theta", refusal: type[Exception] = InvalidTheta) -> Array:
        """The leaves one after the other (d,).  Raises: `refusal`, naming the leaf."""
        parts: list[Array] = []
        _collect(self._like, tree, what, parts, refusal)
        return np.concatenate(parts)

    def unpack(self, vector: Any) -> Any:
        """A vector (d,), traced by autograd or not, in the shape of `like`."""
        return _built(self._like, vector, 0)[0]

    def fits(self, x: Any) -> bool:
        """Whether `x` is a container like the one that this was made from, and not a vector."""
        return isinstance(x, Mapping) if isinstance(self._like, dict) else type(x) is type(self._like)


class _Leaf(tuple[int, ...]):
    """The shape of an array."""


def _shapes(like: Any, what: str) -> Any:
    if isinstance(like, Mapping):
        return {key: _shapes(x, f"{what}[{key!r}]") for key, x in like.items()}
    if isinstance(like, (list, tuple)) and not hasattr(like, "_fields"):
        return type(like)(_shapes(x, f"{what}[{i}]") for i, x in enumerate(like))
    try:
        return _Leaf(np.asarray(like, float).shape)
    except (TypeError, ValueError):
        raise InvalidOption(f"{what} is a {type(like).__name__}; expected arrays in a dict, list or tuple") from None


def _leaves(like: Any, path: str) -> Iterator[tuple[str, _Leaf]]:
    if isinstance(like, _Leaf):
        yield path, like
        return
    for key, x in like.items() if isinstance(like, dict) else enumerate(like):
        yield from _leaves(x, f"{path}[{key!r}]")


def _collect(like: Any, tree: Any, path: str, parts: list[Array], refusal: type[Exception]) -> None:
    if isinstance(like, _Leaf):
        try:
            leaf = np.asarray(tree)
            real = np.issubdtype(leaf.dtype, np.floating) or np.issubdtype(leaf.dtype, np.integer)
        except ValueError:
            real = False
        if not real:
            raise refusal(
                f"{path} is a {type(tree).__name__}; expected an array of real numbers of shape {tuple(like)}"
            )
        if leaf.shape != like:
            raise refusal(f"{path} has shape {leaf.shape}, expected {tuple(like)}")
        parts.append(leaf.astype(float).ravel())
        return
    if isinstance(like, dict):
        if not isinstance(tree, Mapping) or set(tree) != set(like):
            found = sorted(map(str, tree)) if isinstance(tree, Mapping) else type(tree).__name__
            raise refusal(f"{path} is {found}; expected a dict with {', '.join(map(repr, like))}")
        for key, x in like.items():
            _collect(x, tree[key], f"{path}[{key!r}]", parts, refusal)
        return
    if not isinstance(tree, (list, tuple)) or len(tree) != len(like):
        raise refusal(f"{path} is a {type(tree).__name__}; expected a {type(like).__name__} of {len(like)}")
    for i, (x, y) in enumerate(zip(like, tree, strict=True)):
        _collect(x, y, f"{path}[{i}]", parts, refusal)


def _built(like: Any, vector: Any, start: int) -> tuple[Any, int]:
    if isinstance(like, _Leaf):
        stop = start + int(np.prod(like))
        return (vector[start:stop].reshape(like) if like else vector[start]), stop
    if isinstance(like, dict):
        out = {}
        for key, x in like.items():
            out[key], start = _built(x, vector, start)
        return out, start
    parts = []
    for x in like:
        part, start = _built(x, vector, start)
        parts.append(part)
    return type(like)(parts), start


class OfTree:
    """A function of a tree as one of a vector (d,)."""

    def __init__(self, function: Callable[[Any], Any], tree: Tree) -> None:
        self.function, self.tree = function, tree

    def __call__(self, theta: Any) -> Any:
        """The function at the tree that the vector holds."""
        return self.function(self.tree.unpack(theta))
