r"""Leaders who are paid by trajectories: f(θ, π) = E ℓ(d₁, …, d_I; θ), exact by enumeration, and preferences between two.

    f = Σ_d P_π(d) ℓ(d; θ),   P_π(d) = ρ(s₀) Π_t π(a_t|s_t) p(s_{t+1}|s_t, a_t),

a polynomial in π: both gradients of f, and how far they move with π, are exact.  Source: SoBiRL (12), (13), (100), (101).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, jacobian

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import untraced
from boltzgrad.core.choices import blocks, counted, cross_entropy, disagreement, sigmoid
from boltzgrad.core.kernel import Kernel
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.trajectories import Enumerated, Trajectories, enumerated
from boltzgrad.errors import InvalidModel, InvalidOption

EPS = float(np.finfo(float).eps)
_MOST_TOGETHER = 4_000_000  # losses of I trajectories at once
_MOST_PAIRS = 4.0e8  # pairs whose labels are held
_JACOBIAN = 4_000_000  # numbers of ∂ℓ/∂θ that are held for a proved bound

WorldOf = Callable[[Any], tuple[Sequence[Kernel], Any, Array]]
"""θ ↦ (the kernel of each step, the start, which actions are there); given by the problem that has the objective."""


class TrajectoryObjective(PolicyObjective):
    r"""$f(\theta,\pi) = \mathbb{E}\,\ell(d_1,\dots,d_I;\theta)$, d_i independent trajectories of the follower: SoBiRL (100).

    `loss(theta, d)`, in `autograd.numpy`, returns ℓ (N,) for all N trajectories: `d.states`, `d.actions` (N, H),
    `d.total(reward)`; of `trajectories` I = 2 it is `loss(theta, d, e)`, with d (N, 1, H) and e (1, N, H), and returns (N, N).
    Trajectories have `horizon` steps H of the world that the problem's `build` returns, fewer where an episode ends.  Where
    kernel or start depend on θ, that is part of ∂f/∂θ.  The proved bound is finite where they do not, and for I = 1.

    Raises: InvalidOption.

    >>> loss = TrajectoryObjective(lambda theta, d: d.total(np.eye(2)), horizon=3)
    >>> loss.horizon
    3
    """

    def __init__(self, loss: Callable[..., Any], *, horizon: int, trajectories: int = 1) -> None:
        if not callable(loss):
            raise InvalidOption(f"loss is {loss!r}; expected a function of theta and trajectories")
        self._begin(horizon, trajectories)
        self._set(loss=loss)

    def _begin(self, horizon: int, trajectories: int) -> None:
        """What every loss of so many trajectories has; it has no world yet.  Raises: InvalidOption."""
        for name, x in (("horizon", horizon), ("trajectories", trajectories)):
            if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 1:
                raise InvalidOption(f"{name} is {x!r}; expected a positive integer")
        PolicyObjective.__init__(self, _without_world)
        self._set(horizon=int(horizon), trajectories=int(trajectories), world_of=None, known={})

    def _set(self, **values: Any) -> None:
        for name, x in values.items():
            object.__setattr__(self, name, x)

    def __reduce__(self) -> Any:
        """Pickled without its world, which its problem gives it again."""
        return _again, (type(self), self._made_of())

    def _made_of(self) -> dict[str, Any]:
        mine: Any = self
        return {"loss": mine.loss, "horizon": mine.horizon, "trajectories": mine.trajectories}

    def within(self, world_of: WorldOf) -> TrajectoryObjective:
        """The same objective in a problem's world."""
        own = type(self)(**self._made_of())
        own._set(world_of=world_of, function=own._value, gradient=own._gradients, variation=own._variation)
        return own

    # What follows is only called within a world.

    def enumerate(self, theta: Any) -> Enumerated:
        """All trajectories that the world at θ allows.  Raises: InvalidOption where there are too many."""
        mine: Any = self
        kernels, initial, there = mine.world_of(np.real(np.asarray(untraced(theta))))
        kernels = self._each(kernels)
        key = b"".join(
            (np.real(np.asarray(untraced(x))) > 0.0).tobytes()
            for x in (*(k.values for k in kernels[:1]), initial, there)
        )
        if key not in mine.known:
            mine.known.clear()
            mine.known[key] = enumerated(kernels, initial, there, mine.horizon)
        found: Enumerated = mine.known[key]
        self._refuse_too_many(len(found.trajectories), _MOST_TOGETHER)
        return found

    def _refuse_too_many(self, count: int, most: float) -> None:
        together: int = self.trajectories  # type: ignore[attr-defined]
        if together > 1 and count**together > most:
            raise InvalidOption(
                f"{count} trajectories are too many to take {together} at a time: {count**together:.2g} losses, and at most "
                f"{most:.0e} are held; take a shorter horizon"
            )

    def _each(self, kernels: Sequence[Kernel]) -> Sequence[Kernel]:
        """A kernel for each step."""
        horizon: int = self.horizon  # type: ignore[attr-defined]
        if len(kernels) > 1 and len(kernels) < horizon:
            raise InvalidModel(
                f"the follower has {len(kernels)} steps, and trajectories {horizon}: give a horizon of at most that"
            )
        return list(kernels) * horizon if len(kernels) == 1 else kernels

    def _chances(self, theta: Any, policy: Any, found: Enumerated) -> Any:
        kernels, initial, _ = self.world_of(theta)  # type: ignore[attr-defined]
        return found.chances(policy, self._each(kernels), initial)

    def _value(self, theta: Any, policy: Any) -> Any:
        found = self.enumerate(theta)
        return self._mean(theta, found.trajectories, self._chances(theta, policy, found))

    def _losses(self, theta: Any, d: Trajectories) -> Any:
        """ℓ (N, …, N), I axes."""
        mine: Any = self
        each = []
        for i in range(mine.trajectories):
            shape = [1] * mine.trajectories
            shape[i] = len(d)
            each.append(Trajectories(d.states.reshape(*shape, -1), d.actions.reshape(*shape, -1)))
        out = mine.loss(theta, *(each if mine.trajectories > 1 else [d]))
        if np.shape(untraced(out)) != (len(d),) * mine.trajectories:
            raise InvalidOption(
                f"loss returned shape {np.shape(untraced(out))}, expected {(len(d),) * mine.trajectories}: one for each "
                f"{'trajectory' if mine.trajectories == 1 else f'choice of {mine.trajectories}'}"
            )
        return out

    def tabulated(self, found: Enumerated) -> tuple[Callable[[Any], Any], Trajectories, Array]:
        """(θ ↦ ℓ (N, …, N), for autograd; the N trajectories that it tells apart; the number of that of each of all)."""
        return (
            (lambda theta: self._losses(theta, found.trajectories)),
            found.trajectories,
            np.arange(len(found.entries)),
        )

    def _mean(self, theta: Any, d: Trajectories, chances: Any) -> Any:
        total = self._losses(theta, d)
        for _ in range(self.trajectories):  # type: ignore[attr-defined]
            total = anp.dot(total, chances)
        return total

    def _gradients(self, theta: Array, policy: Array) -> tuple[Array, Array]:
        found: tuple[Array, Array] = grad(self._value, (0, 1))(theta, policy)
        return found

    def _moves(self, theta: Array) -> bool:
        """Whether the world depends on θ."""
        seen: list[bool] = []

        def look(t: Any) -> Any:
            kernels, initial, _ = self.world_of(t)  # type: ignore[attr-defined]
            seen.append(any(x is not untraced(x) for x in (*(k.values for k in kernels), initial)))
            return anp.sum(0.0 * t)

        grad(look)(theta)
        return seen[0]

    def _variation(self, theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
        """The gradients are polynomials in π: with absolute coefficients they grow, and tell how far they move."""
        mine: Any = self
        found = self.enumerate(theta)
        d = found.trajectories
        nothing = np.full(theta.size, np.inf), np.full(policy.shape, np.inf)
        if mine.trajectories > 1 or len(d) * theta.size > _JACOBIAN or self._moves(theta):
            return nothing
        size = np.abs(self._losses(theta, d))
        slopes = np.abs(np.asarray(jacobian(lambda t: self._losses(t, d))(theta)))
        return _grown(self, theta, policy, error, found, size, slopes)


def _without_world(theta: Any, policy: Any) -> Any:
    raise InvalidOption(
        "a loss of trajectories has a value in a problem only: give it to ConfigurableMDP as objective="
    )


def _again(kind: type[TrajectoryObjective], made_of: dict[str, Any]) -> TrajectoryObjective:
    return kind(**made_of)


def _grown(
    own: TrajectoryObjective, theta: Array, policy: Array, error: Array, found: Enumerated, size: Array, slopes: Array
) -> tuple[Array, Array]:
    """How far (∂f/∂θ, ∂f/∂π) move, where each trajectory counts for at most `size` (N,) and ∂/∂θ for `slopes` (N, d)."""

    def chances(pi: Any) -> Any:
        return own._chances(theta, pi, found)

    def weighed(pi: Any) -> Any:
        return anp.dot(size, chances(pi))

    here, there = (grad(weighed)(x) for x in (policy, policy + error))
    rounding = 4.0 * EPS * (len(size) + 8 * found.trajectories.states.shape[1])
    moved = np.asarray(chances(policy + error)) - np.asarray(chances(policy))
    direct = (np.abs(moved) + rounding * np.asarray(chances(policy + error))) @ slopes
    return direct, np.maximum(there - here, 0.0) + rounding * there


class Preferences(TrajectoryObjective):
    r"""Reinforcement learning from preferences: the cross-entropy of a reward model's choices between two trajectories.

    f = E_{d,e} [−y log σ(R_θ(d) − R_θ(e)) − (1 − y) log σ(R_θ(e) − R_θ(d))], R_θ(d) = Σ_t `discount`ᵗ r_θ(s_t, a_t), both
    trajectories the follower's, y the probability that d is preferred.  Source: SoBiRL (12), (13), (101), Bradley–Terry.

    `reward(theta)` returns r_θ (S, A) in `autograd.numpy`.  `labels` is the true reward (S, A), by which d is preferred with
    probability σ(R(d) − R(e)), or always where R(d) > R(e) if `certain`; with a `seed` each pair is asked once: y is 0 or 1.
    Or a function of the N `Trajectories` that returns (N, N), y_ij = 1 − y_ji.
    N may be some 10⁴ distinct ones.  The proved bound is finite where kernel and start do not depend on θ.

    Raises: InvalidOption.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("rlhf")
    >>> bool(bg.hypergradient(problem, problem.initial_theta(seed=0)).value > 0.0)
    True
    """

    def __init__(
        self,
        reward: Callable[[Any], Any],
        *,
        horizon: int,
        labels: Any,
        discount: float = 1.0,
        certain: bool = False,
        seed: int | None = None,
    ) -> None:
        if not callable(reward):
            raise InvalidOption(f"reward is {reward!r}; expected a function theta -> (states, actions)")
        self._begin(horizon, 2)
        true = labels if callable(labels) else np.array(labels, float)
        self._set(reward=reward, labels=true, discount=float(discount), certain=bool(certain), seed=seed, judged={})

    def _made_of(self) -> dict[str, Any]:
        names = ("reward", "horizon", "labels", "discount", "certain", "seed")
        return {name: getattr(self, name) for name in names}

    def _refuse_too_many(self, count: int, most: float) -> None:
        """What is too many is known when equal ones have been counted together."""

    def distinct(self, d: Trajectories) -> tuple[Trajectories, Array]:
        """(trajectories that differ in what they are worth, the number (N,) of that of each): with a discount of one only how
        often each action was taken counts, in whatever order.
        """
        mine: Any = self
        together = mine.discount == 1.0 and mine.seed is None and not callable(mine.labels)
        codes = np.where(d.steps, d.states * (int(d.actions.max()) + 1) + d.actions, -1)
        _, first, number = np.unique(
            np.sort(codes, axis=1) if together else codes, axis=0, return_index=True, return_inverse=True
        )
        super()._refuse_too_many(first.size, _MOST_PAIRS)
        return Trajectories(d.states[first], d.actions[first]), np.asarray(number).ravel()

    def _told_apart(self, d: Trajectories) -> tuple[Trajectories, Array, Array]:
        """The distinct ones, the number of that of each, and the labels y of their pairs; kept."""
        mine: Any = self
        if id(d) not in mine.judged:
            some, number = self.distinct(d)
            mine.judged.clear()
            mine.judged[id(d)] = (d, some, number, self._labels(some))
        found: tuple[Trajectories, Array, Array] = mine.judged[id(d)][1:]
        return found

    def _labels(self, d: Trajectories) -> Array:
        mine: Any = self
        if callable(mine.labels):
            y = np.asarray(mine.labels(d), float)
            if y.shape != (len(d), len(d)) or not np.allclose(y + y.T, 1.0, atol=1e-9) or y.min() < 0.0:
                raise InvalidOption(
                    f"labels returned shape {y.shape}; expected ({len(d)}, {len(d)}) with y + y' = 1, y ≥ 0"
                )
            return y
        worth = np.asarray(d.total(mine.labels, mine.discount))
        y = np.empty((len(d), len(d)))
        for rows in blocks(len(d)):  # nothing else of that size is held
            over = worth[rows, None] - worth[None, :]
            y[rows] = 0.5 + 0.5 * np.sign(over) if mine.certain else sigmoid(over)
        if mine.seed is None:
            return y
        drawn = np.random.default_rng(mine.seed).random(y.shape) < y
        asked = np.triu(drawn, 1).astype(float)
        return np.asarray(asked + np.tril(1.0 - asked.T, -1) + 0.5 * np.eye(len(d)))

    def _worth(self, theta: Any, d: Trajectories) -> Any:
        mine: Any = self
        table = mine.reward(theta)
        if np.ndim(untraced(table)) != 2:
            raise InvalidOption(f"reward returned shape {np.shape(untraced(table))}, expected (states, actions)")
        return d.total(table, mine.discount)

    def tabulated(self, found: Enumerated) -> tuple[Callable[[Any], Any], Trajectories, Array]:
        """As of any loss.  Raises: InvalidOption where the table would be too large."""
        super()._refuse_too_many(len(self.distinct(found.trajectories)[0]), _MOST_TOGETHER)
        some, number, y = self._told_apart(found.trajectories)

        def losses(theta: Any) -> Any:
            return cross_entropy(anp.reshape(self._worth(theta, some), (-1, 1)) - self._worth(theta, some), y)

        return losses, some, number

    def _mean(self, theta: Any, d: Trajectories, chances: Any) -> Any:
        some, number, y = self._told_apart(d)
        return disagreement(counted(chances, number, len(some)), self._worth(theta, some), y)

    def _variation(self, theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
        """∂f/∂θ = Σ_i c_i ∇R_i and ∂f/∂w_i = 2 Σ_j w_j ℓ_ij are polynomials in the chances w, which grow with π."""
        found = self.enumerate(theta)
        d, number, y = self._told_apart(found.trajectories)
        if len(d) * theta.size > _JACOBIAN or len(d) ** 2 > _JACOBIAN or self._moves(theta):
            return np.full(theta.size, np.inf), np.full(policy.shape, np.inf)
        worth = np.asarray(self._worth(theta, d))
        slopes = np.abs(np.asarray(jacobian(lambda t: self._worth(t, d))(theta)))
        over = worth[:, None] - worth[None, :]
        losses, pull = cross_entropy(over, y), np.abs(sigmoid(over) - y)

        def chances(pi: Any) -> Any:
            return counted(self._chances(theta, pi, found), number, len(d))

        def weighed(pi: Any) -> Any:
            w = chances(pi)
            return anp.dot(w, anp.dot(losses, w))

        here, there = (grad(weighed)(x) for x in (policy, policy + error))
        rounding = 8.0 * EPS * (number.size + 16 * d.states.shape[1] + float(np.abs(worth).max()))
        before, after = (np.asarray(chances(x)) for x in (policy, policy + error))
        moved = np.outer(after, after) - np.outer(before, before)
        # An error of R of ε |R| moves σ by at most a quarter of it.
        unsure = pull + EPS * np.abs(worth).max()
        direct = 2.0 * (((moved + rounding * np.outer(after, after)) * unsure).sum(axis=1) @ slopes)
        return direct, np.maximum(there - here, 0.0) + rounding * there
