"""Games over a finite number of steps: the same game on pairs (step, state), whose every episode ends after H steps.

Row t·S + s is state s at step t.  The last step's rows of the kernel are empty: what their ends are worth is in the rewards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import check_policy, check_probabilities, real_array, untraced
from boltzgrad.errors import InvalidModel


@dataclass(frozen=True, eq=False)
class Steps:
    """The numbers of a game over H steps as they were given: `shape` is (S, A, B).

    `transition` has one matrix (S·A·B, S) for each step, the same object where the kernel is the same, rewards (H, S, A, B)
    are without what is paid at the end, `terminal` (S,) are the players' rewards for where they end: follower's, leader's.
    """

    horizon: int
    shape: tuple[int, int, int]
    transition: tuple[Any, ...]
    rewards: tuple[Array, Array]
    terminal: tuple[Array, Array]
    discounts: tuple[float, float]

    @classmethod
    def of(
        cls,
        horizon: Any,
        transition: Any,
        rewards: tuple[Any, Any],
        terminal: tuple[Any, Any],
        discounts: tuple[float, float],
    ) -> Steps:
        """What was given, checked.  Raises: InvalidModel."""
        if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
            raise InvalidModel(f"horizon is {horizon!r}; expected a positive integer, the number of steps")
        H, given = int(horizon), []
        for name, x in zip(("follower_reward", "leader_reward"), rewards, strict=True):
            x = real_array(name, x)
            if x.ndim not in (3, 4) or min(x.shape) < 1 or (x.ndim == 4 and x.shape[0] != H):
                raise InvalidModel(
                    f"{name} has shape {x.shape}, expected (states, leader, follower), or ({H}, …) of that"
                )
            given.append(x)
        shape = given[0].shape[-3:]
        if given[1].shape[-3:] != shape:
            raise InvalidModel(f"leader_reward has shape {given[1].shape}, follower_reward {given[0].shape}")
        ends = []
        for name, x in zip(("terminal_follower_reward", "terminal_leader_reward"), terminal, strict=True):
            end = np.zeros(shape[0]) if x is None else real_array(name, x)
            if end.shape != shape[:1]:
                raise InvalidModel(f"{name} has shape {end.shape}, expected ({shape[0]},)")
            ends.append(end)
        whole = tuple(np.broadcast_to(x, (H, *shape)).astype(float) for x in given)
        kernels = _kernels(transition, H, shape)
        return cls(H, shape, kernels, (whole[0], whole[1]), (ends[0], ends[1]), discounts)

    @property
    def kernel(self) -> sparse.csr_array:
        """The kernel on pairs, (H·S·A·B, H·S)."""
        (S, A, B), H = self.shape, self.horizon
        rows, columns, values = [], [], []
        for t, matrix in enumerate(self.transition[: H - 1]):
            found = sparse.coo_array(matrix)
            rows.append(found.coords[0] + t * S * A * B)
            columns.append(found.coords[1] + (t + 1) * S)
            values.append(found.data)
        size = (H * S * A * B, H * S)
        if not rows:
            return sparse.csr_array(size)
        return sparse.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=size)

    def reward(self, player: int) -> Array:
        """Rewards on pairs (H·S, A, B); the last step's have γ P terminal in them."""
        out = self.rewards[player].copy()
        out[-1] += self.discounts[player] * (self.transition[-1] @ self.terminal[player]).reshape(self.shape)
        return np.asarray(out.reshape(-1, *self.shape[1:]))

    def start(self, initial: Array) -> Array:
        """The start on pairs, (H·S,)."""
        S = self.shape[0]
        if np.shape(initial) != (S,):
            raise InvalidModel(f"initial has shape {np.shape(initial)}, expected ({S},) as in the rewards")
        return np.concatenate([np.asarray(initial, float), np.zeros((self.horizon - 1) * S)])

    def on_pairs(self, name: str, x: Any, one: Sequence[tuple[int, ...]]) -> Array:
        """A policy in each state, of one of these shapes, or with an axis for the step, as (H·S, …).  Raises: InvalidModel."""
        x = real_array(name, x)
        each = [(self.horizon, *shape) for shape in one]
        if x.shape in one and x.shape in each:
            raise InvalidModel(
                f"{name} has shape {x.shape}, which may be one for each step or for each of the leader's actions: give all of "
                f"it, {(self.horizon, *one[0])}"
            )
        if x.shape in (*one, *each):
            check_policy(name, x, [x.shape])
        if x.shape in one:
            return np.tile(x, (self.horizon, *([1] * (x.ndim - 1))))
        if x.shape in each:
            return np.asarray(x.reshape(-1, *x.shape[2:]))
        expected = " or ".join(map(str, (*one, *each)))
        raise InvalidModel(f"{name} has shape {x.shape}, expected {expected}")

    def by_step(self, x: Array) -> Array:
        """An array whose first axis is pairs, with axes for step and state."""
        return np.asarray(x.reshape(self.horizon, self.shape[0], *x.shape[1:]))


def _kernels(x: Any, H: int, shape: tuple[int, int, int]) -> tuple[Any, ...]:
    """A matrix (S·A·B, S) for each step.  Raises: InvalidModel."""
    S, A, B = shape
    if isinstance(x, (list, tuple)) and x and all(map(sparse.issparse, x)):
        if len(x) != H:
            raise InvalidModel(f"transition has {len(x)} matrices, expected {H}, one for each step")
        found = [(f"transition[{t}]", sparse.csr_array(matrix)) for t, matrix in enumerate(x)]
    elif sparse.issparse(x):
        found = [("transition", sparse.csr_array(x))]
    else:
        dense = real_array("transition", x)
        if dense.shape == (S, A, B, S):
            found = [("transition", dense.reshape(-1, S))]
        elif dense.shape == (H, S, A, B, S):
            found = [(f"transition[{t}]", matrix.reshape(-1, S)) for t, matrix in enumerate(dense)]
        else:
            raise InvalidModel(
                f"transition has shape {dense.shape}, expected {(S, A, B, S)} as in the rewards, or {(H, S, A, B, S)}"
            )
    for name, matrix in found:
        try:
            _check(name, matrix, shape)
        except InvalidModel as error:
            raise InvalidModel(in_pairs(str(error), B)) from None
    matrices = tuple(matrix for _, matrix in found)
    return matrices if len(matrices) == H else matrices * H


def _check(name: str, matrix: Any, shape: tuple[int, int, int]) -> None:
    S, A, B = shape
    if matrix.shape != (S * A * B, S):
        raise InvalidModel(f"{name} is sparse with shape {matrix.shape}, expected ({S * A * B}, {S})")
    if sparse.issparse(matrix):
        real_array(name, matrix.data)
        check_probabilities(name, matrix.data, matrix.indptr, A * B, False, matrix.indices)
    else:
        check_probabilities(name, matrix, np.arange(S * A * B + 1) * S, A * B, False)


def in_pairs(message: str, n_follower_actions: int) -> str:
    """A message about transition[s, pair, …] in terms of both players' actions."""
    return re.sub(
        r"transition(\[\d+\])?\[(\d+), (\d+)",
        lambda m: "transition{}[{}, {}, {}".format(m[1] or "", m[2], *divmod(int(m[3]), n_follower_actions)),
        message,
    )


@dataclass(frozen=True, eq=False)
class OverSteps:
    """A leader's policy (S, A), (H, S, A) or (H·S, A) as one on pairs (H·S, A), with its derivatives by hand if it has them."""

    function: Callable[[Any], Any]
    steps: Steps
    pull: Callable[[Array, Array], Array] | None = None
    push: Callable[[Array, Array], Array] | None = None

    @property
    def traced(self) -> bool:
        """Whether autograd differentiates it."""
        return bool(getattr(self.function, "traced", True))

    @property
    def takes_complex(self) -> bool:
        """Whether it may be given complex θ."""
        return bool(getattr(self.function, "takes_complex", True))

    def __call__(self, theta: Any) -> Any:
        """f (H·S, A) at θ.  Raises: InvalidModel."""
        return self._laid_out(self.function(theta))

    def _laid_out(self, f: Any) -> Any:
        H, (S, A, _) = self.steps.horizon, self.steps.shape
        shape = np.shape(untraced(f))
        if shape == (S, A):
            return anp.concatenate([f] * H)
        if shape in ((H, S, A), (H * S, A)):
            return anp.reshape(f, (H * S, A))
        raise InvalidModel(
            f"the leader's policy has shape {shape}, expected {(S, A)}, or {(H, S, A)}, one for each step"
        )

    def pullback(self, theta: Array, cotangent: Array) -> Array:
        """θ's cotangent (d,) from that of f on pairs."""
        assert self.pull is not None
        shape = np.shape(self.function(theta))
        own = self.steps.by_step(cotangent).sum(axis=0) if shape == self.steps.shape[:2] else cotangent.reshape(shape)
        return self.pull(theta, own)

    def pushforward(self, theta: Array, direction: Array) -> Array:
        """f's tangent (H·S, A) along a direction (d,)."""
        assert self.push is not None
        return np.asarray(self._laid_out(np.asarray(self.push(theta, direction), float)))
