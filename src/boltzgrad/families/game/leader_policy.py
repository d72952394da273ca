"""The leader's policy f_θ(a|s) as a function of θ, with its derivatives where it has them by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import softmax, through_softmax
from boltzgrad.core.tree import OfTree, Tree


@dataclass(frozen=True)
class LeaderPolicy:
    """The leader's policy f_θ(a|s) as `function(theta) -> (S, A)`, in autograd.numpy or with both derivatives by hand.

    `pullback(theta, cotangent (S, A)) -> (d,)`, `pushforward(theta, direction (d,)) -> (S, A)`.  Where θ is several arrays,
    `tree` is their shape; `of_tree` makes such a policy.
    """

    function: Callable[[Any], Any]
    dim: int
    pullback: Callable[[Array, Array], Array] | None = None
    pushforward: Callable[[Array, Array], Array] | None = None
    tree: Tree | None = None

    @classmethod
    def of_tree(cls, function: Callable[[Any], Any], like: Any) -> LeaderPolicy:
        """That of a function of several arrays, a dict, list or tuple `like` this one.  Raises: InvalidOption.

        >>> LeaderPolicy.of_tree(lambda theta: softmax(theta["logits"]), {"logits": np.zeros((3, 2))}).dim
        6
        """
        tree = Tree(like)
        return cls(OfTree(function, tree), tree.dim, tree=tree)


def softmax_table(n_states: int, n_actions: int) -> LeaderPolicy:
    """Softmax over a table of logits, θ the table (n_states, n_actions) in row-major order.

    >>> softmax_table(1, 2).function(np.zeros(2))
    array([[0.5, 0.5]])
    """
    table = _SoftmaxTable((n_states, n_actions))
    return LeaderPolicy(table.function, n_states * n_actions, pullback=table.pullback, pushforward=table.pushforward)


@dataclass(frozen=True)
class _SoftmaxTable:
    """Softmax over a table of logits of this shape, with its derivatives: methods, so that a game can be pickled."""

    shape: tuple[int, int]

    def function(self, theta: Any) -> Any:
        return softmax(anp.reshape(theta, self.shape))

    def _through(self, theta: Array, x: Array) -> Array:
        return np.asarray(through_softmax(self.function(theta), x))

    def pullback(self, theta: Array, cotangent: Array) -> Array:
        return self._through(theta, cotangent).ravel()

    def pushforward(self, theta: Array, direction: Array) -> Array:
        return self._through(theta, direction.reshape(self.shape))
