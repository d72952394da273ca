"""A θ that is several arrays: a dict, list or tuple of them, nested or not, and its place in one vector (d,)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import refuse_mask
from boltzgrad.errors import InvalidOption, InvalidTheta


class Tree:
    """The shape of a θ, taken from one `like` it: leaves in the order of the containers, each in row-major order.

    `names` say where the leaves are, `['gain']` or `['layers'][0]`, and `shapes` their shapes.  Arrays are NumPy's here;
    another framework has its own `read`, `holds`, `leaves` and `unpack`.

    >>> tree = Tree({"shift": np.zeros(2), "gain": 1.0})
    >>> tree.pack({"shift": [1.0, 2.0], "gain": 3.0})
    array([1., 2., 3.])
    >>> tree.unpack(np.array([1.0, 2.0, 3.0]))["gain"]
    np.float64(3.0)
    >>> tree.entry(1)
    "['shift'][1]"
    """

    def __init__(self, like: Any) -> None:
        self._like = self._shapes(like, "like")
        self._settle(type(like), list(_leaves(self._like, "")))

    def _settle(self, root: type, leaves: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        """Raises: InvalidOption where there are no numbers."""
        self._root = root
        self.names, self.shapes = [name for name, _ in leaves], [tuple(shape) for _, shape in leaves]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes], dtype=int)
        self.dim = int(self._ends[-1]) if leaves else 0
        if self.dim < 1:
            raise InvalidOption("like holds no numbers; expected arrays in a dict, list or tuple")

    def _shapes(self, like: Any, what: str) -> Any:
        if isinstance(like, Mapping):
            return {key: self._shapes(x, f"{what}[{key!r}]") for key, x in like.items()}
        if isinstance(like, (list, tuple)):
            return _of_kind(like, [self._shapes(x, f"{what}{_place(like, i)}") for i, x in enumerate(like)])
        return _Leaf(self.read(like, what, InvalidOption).shape)

    def read(self, x: Any, what: str, refusal: type[Exception]) -> Array:
        """A leaf's numbers.  Raises: `refusal`, beginning with `what`."""
        refuse_mask(what, x, refusal)
        try:
            array = np.asarray(x)
        except Exception:  # whatever the object raises about it
            array = np.asarray(None)
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise refusal(f"{what} is a {type(x).__name__}; expected an array of real numbers")
        return array

    def holds(self, x: Any) -> bool:
        """Whether `x` is a container of leaves."""
        return isinstance(x, (Mapping, list, tuple))

    def leaves(self, tree: Any, what: str, refusal: type[Exception]) -> list[Any]:
        """The leaves in order, as they are.  Raises: `refusal` where `tree` is no container like this one, naming the place."""
        found: list[Any] = []
        _collect(self._like, tree, what, found, refusal)
        return found

    def pack(self, tree: Any, what: str = "theta", refusal: type[Exception] = InvalidTheta) -> Array:
        """The leaves' numbers one after the other (d,).  Raises: `refusal`, naming the leaf."""
        parts: list[Array] = []
        for name, shape, x in zip(self.names, self.shapes, self.leaves(tree, what, refusal), strict=True):
            array = self.read(x, f"{what}{name}", refusal)
            if array.shape != shape:
                raise refusal(f"{what}{name} has shape {array.shape}, expected {shape}")
            parts.append(array.astype(float).ravel())
        return np.concatenate(parts)

    def pieces(self, vector: Any) -> list[Any]:
        """A vector (d,) of any framework, traced or not, cut into the leaves."""
        starts = [0, *self._ends[:-1].tolist()]
        return [
            vector[start:stop].reshape(shape) if shape else vector[start]
            for start, stop, shape in zip(starts, self._ends.tolist(), self.shapes, strict=True)
        ]

    def unpack(self, vector: Any) -> Any:
        """A vector (d,), traced by autograd or not, in the shape of `like`."""
        return _built(self._like, iter(self.pieces(vector)))

    def fits(self, x: Any) -> bool:
        """Whether `x` is to be read leaf by leaf, and is not a vector (a list of numbers may be one)."""
        if not self.names[0]:  # a single array
            return not self.holds(x) and np.shape(x) == self.shapes[0]
        if isinstance(x, (list, tuple)) and all(isinstance(part, (int, float, np.generic)) for part in x):
            return type(x) is self._root
        return self.holds(x)

    def entry(self, coordinate: int) -> str:
        """What a coordinate of the vector is called: its leaf's name, and the place in it."""
        k = int(np.searchsorted(self._ends, coordinate, side="right"))
        if not self.shapes[k]:
            return self.names[k]
        start = int(self._ends[k]) - int(np.prod(self.shapes[k]))
        return f"{self.names[k]}[{', '.join(map(str, np.unravel_index(coordinate - start, self.shapes[k])))}]"


class _Leaf(tuple[int, ...]):
    """The shape of an array."""


def _of_kind(like: Any, parts: list[Any]) -> Any:
    """The parts in a list or tuple of the kind of `like`, which may have names."""
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)


def _place(like: Any, i: int) -> str:
    return f".{like._fields[i]}" if hasattr(like, "_fields") else f"[{i}]"


def _leaves(like: Any, path: str) -> Iterator[tuple[str, _Leaf]]:
    if isinstance(like, _Leaf):
        yield path, like
    elif isinstance(like, dict):
        for key, x in like.items():
            yield from _leaves(x, f"{path}[{key!r}]")
    else:
        for i, x in enumerate(like):
            yield from _leaves(x, f"{path}{_place(like, i)}")


def _collect(like: Any, tree: Any, path: str, found: list[Any], refusal: type[Exception]) -> None:
    if isinstance(like, _Leaf):
        found.append(tree)
    elif isinstance(like, dict):
        if not isinstance(tree, Mapping) or set(tree) != set(like):
            names = sorted(map(str, tree)) if isinstance(tree, Mapping) else f"a {type(tree).__name__}"
            raise refusal(f"{path} is {names}; expected a dict with {', '.join(map(repr, like))}")
        for key, x in like.items():
            _collect(x, tree[key], f"{path}[{key!r}]", found, refusal)
    else:
        if not isinstance(tree, (list, tuple)) or len(tree) != len(like):
            is_what = f"{type(tree).__name__}{f' of {len(tree)}' if isinstance(tree, (list, tuple)) else ''}"
            raise refusal(f"{path} is a {is_what}; expected a {type(like).__name__} of {len(like)}")
        for i, (x, y) in enumerate(zip(like, tree, strict=True)):
            _collect(x, y, f"{path}{_place(like, i)}", found, refusal)


def _built(like: Any, pieces: Iterator[Any]) -> Any:
    if isinstance(like, _Leaf):
        return next(pieces)
    if isinstance(like, dict):
        return {key: _built(x, pieces) for key, x in like.items()}
    return _of_kind(like, [_built(x, pieces) for x in like])


class OfTree:
    """A function of a tree as one of a vector (d,)."""

    def __init__(self, function: Callable[[Any], Any], tree: Tree) -> None:
        self.function, self.tree = function, tree

    def __call__(self, theta: Any) -> Any:
        """The function at the tree that the vector holds."""
        return self.function(self.tree.unpack(theta))


def dim_of(tree: Tree | None, dim: int | None) -> Any:
    """The length of θ where one of the two says it.  Raises: InvalidOption where they contradict each other."""
    if tree is None:
        return dim
    if dim not in (None, tree.dim):
        raise InvalidOption(f"dim is {dim!r}, and like holds {tree.dim} numbers; give like alone")
    return tree.dim
