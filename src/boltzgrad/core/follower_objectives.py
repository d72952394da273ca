r"""What a leader wants of what its followers do and of what they are worth: f(θ, π, V), and f of several followers at once.

A follower's value under a policy that is given, V(θ, π) = (I − γ P_π)⁻¹ Σ_a π (r_F − τ (log π − log π⁰)), is a function of θ
and π: put in, f(θ, π, V) is a general upper level f(θ, π), and every route has it.  At the optimum no policy moves V to first
order.
Source: SoBiRL (4), (24); HPGD A, (6) (a mechanism designer's n + 1 decision processes).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from boltzgrad.core.arrays import Array
from boltzgrad.core.arrival import gathered, row_sums
from boltzgrad.core.checks import real_array, untraced
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel
from boltzgrad.core.linearise import constants_allowed, traced_jvp
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidModel, InvalidOption

EPS = float(np.finfo(float).eps)
_MOST_STATES = 3000


class ObjectiveOfModel(PolicyObjective):
    """An objective that has to know the model that `build` returns: its problem gives it that (`within`)."""

    def __init__(self, function: Callable[..., Any], variation: Callable[..., Any] | None = None) -> None:
        if not callable(function):
            raise InvalidOption(f"function is {function!r}; expected a function of theta and of what its followers do")
        PolicyObjective.__init__(self, _without_model)
        _set(self, given=function, moves=variation)

    def __reduce__(self) -> Any:
        """Pickled without its model, which its problem gives it again."""
        mine: Any = self
        return type(self), (mine.given, mine.moves)

    @abstractmethod
    def within(self, build: Callable[[Any], Any]) -> ObjectiveOfModel:
        """The same objective for a problem's models."""

    def _model(self, theta: Any) -> Any:
        mine: Any = self
        model = mine.build(theta)
        if hasattr(model, "probabilities"):
            raise InvalidModel(
                f"{type(self).__name__} is of one model, and build returned several contexts; put them into one table "
                "(several_followers)"
            )
        return model


def _without_model(theta: Any, *_: Any) -> Any:
    raise InvalidOption("this objective has a value in a problem only: give it to ConfigurableMDP as objective=")


class JointObjective(ObjectiveOfModel):
    r"""$f(\theta, \pi_1, \dots, \pi_n)$ of several followers (`several_followers`).

    `function(theta, policies)`, in autograd.numpy, gets the list of policies π_c (S_c, A_c) and returns a real number.
    `variation(theta, policies, errors)` as in `PolicyObjective`, its second answer a list.  Raises: InvalidOption.

    >>> both = JointObjective(lambda theta, policies: policies[0][0, 1] * policies[1][0, 1])
    >>> isinstance(both, PolicyObjective)
    True
    """

    written = "f(theta, policies) with autograd.numpy"

    def within(self, build: Callable[[Any], Any]) -> JointObjective:
        """See `ObjectiveOfModel.within`."""
        mine: Any = self
        own = JointObjective(mine.given, mine.moves)

        def function(theta: Any, policy: Any) -> Any:
            return mine.given(theta, apart(policy, _followers(own._model(_plain(theta)))))

        def variation(theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
            sizes = _followers(own._model(theta))
            direct, each = mine.moves(theta, apart(policy, sizes), apart(error, sizes))
            return direct, np.asarray(_together(each, policy.shape[1]))

        _set(own, build=build, function=function, variation=None if mine.moves is None else variation)
        return own


class ValueObjective(ObjectiveOfModel):
    r"""$f(\theta, \pi, V)$ of the follower's policy π (S, A) and its soft values V (S,).

    `function(theta, policy, value)`, in autograd.numpy, returns a real number; over a finite horizon policy is (H, S, A) and
    value (H + 1, S), of `several_followers` both are lists.  V is in the units of the follower's reward.

    `variation(theta, policy, value, e_policy, e_value)` bounds how far ∂f/∂θ, ∂f/∂π and ∂f/∂V move when entries move by at most
    these errors, and returns three arrays shaped like the gradients; without it there is no proved bound (nor over a horizon,
    nor of several followers).  Raises: InvalidOption.

    >>> worth = ValueObjective(lambda theta, policy, value: value[0])
    >>> isinstance(worth, PolicyObjective)
    True
    """

    written = "f(theta, policy, value) with autograd.numpy"

    def within(self, build: Callable[[Any], Any]) -> ValueObjective:
        """See `ObjectiveOfModel.within`."""
        mine: Any = self
        own = ValueObjective(mine.given, mine.moves)

        def function(theta: Any, policy: Any) -> Any:
            m = own._model(theta)
            value = value_under(m, policy)
            if followers := _followers(m):
                ends = np.cumsum([0, *(S for S, _ in followers)])
                parts = [value[i:j] for i, j in pairwise(ends)]
                return mine.given(theta, apart(policy, followers), parts)
            return mine.given(theta, policy, value)

        known = None if mine.moves is None else lambda t, pi, e: _variation(own, mine.given, mine.moves, t, pi, e)
        _set(own, build=build, function=function, variation=known)
        return own


def follower_value(weights: Any) -> ValueObjective:
    """The follower's own welfare Σ_s w(s) V(s), w (S,), with a proved bound; of several followers w is (Σ S_c,), with none.

    Raises: InvalidOption.

    >>> follower_value([0.5, 0.5]).variation is None
    True
    """
    try:
        w = np.array(real_array("weights", weights, ndim=1, axes="(states,)"))
    except InvalidModel as error:
        raise InvalidOption(str(error)) from None
    return ValueObjective(_Weighed(w), _still)


class _Weighed:
    """Σ w V: a class, so that it can be pickled."""

    def __init__(self, weights: Array) -> None:
        self.weights = weights

    def __call__(self, theta: Any, policy: Any, value: Any) -> Any:
        value = (
            anp.concatenate(value) if isinstance(value, list) else value
        )  # of several followers, one after the other
        if np.shape(untraced(value)) != self.weights.shape:
            raise InvalidOption(
                f"weights has shape {self.weights.shape}, and the follower's values {np.shape(untraced(value))}: give one for "
                "each state of a stationary follower"
            )
        return anp.dot(self.weights, value)


def _still(theta: Array, policy: Array, value: Array, *_: Array) -> tuple[Array, Array, Array]:
    return np.zeros_like(theta), np.zeros_like(policy), np.zeros_like(value)


def _set(objective: Any, **values: Any) -> None:
    for name, x in values.items():
        object.__setattr__(objective, name, x)


def _followers(model: Any) -> tuple[tuple[int, int], ...]:
    """(S_c, A_c) of each follower that a model holds, none of one that is of a single one."""
    return getattr(model, "followers", ())


def _plain(theta: Any) -> Array:
    return np.real(np.asarray(untraced(theta)))


def apart(policy: Any, followers: tuple[tuple[int, int], ...]) -> list[Any]:
    """The policy (S_c, A_c) of each follower, of a table that holds several.  Raises: InvalidModel."""
    if not followers:
        raise InvalidModel("an objective of several followers is for a build that returns several_followers(…)")
    ends = np.cumsum([0, *(S for S, _ in followers)])
    return [policy[i:j, :A] for (_, A), (i, j) in zip(followers, pairwise(ends), strict=True)]


def _together(policies: Any, n_actions: int) -> Any:
    return np.concatenate([np.pad(x, ((0, 0), (0, n_actions - x.shape[1]))) for x in policies])


def value_under(m: Any, policy: Any) -> Any:
    """V(θ, π) of a model: (S,), or over a horizon (H + 1, S); everything may be traced, or complex.  Raises: InvalidModel."""
    taken = np.real(np.asarray(untraced(policy))) > 0.0
    log = anp.where(taken, anp.log(anp.where(taken, policy, 1.0)), 0.0)
    if hasattr(m, "horizon"):
        return _by_steps(m, policy, log)
    S, A = np.shape(untraced(m.follower_reward))
    if S > _MOST_STATES:
        raise InvalidModel(f"a value in the objective is worked out densely: {S} states, at most {_MOST_STATES}")
    kernel = m.follower_discount * under(m.follower_kernel, policy, (S, A))
    earned = anp.sum(policy * anp.where(taken, m.follower_reward - m.temperature * log, 0.0), axis=1)
    return m.scale * anp.linalg.solve(np.eye(S) - kernel, earned)


def _by_steps(m: Any, policy: Any, log: Any) -> Any:
    value, kernels = followed(m.terminal_follower_reward), m.kernels(own=True)
    values = [value]
    tau = m.temperature[:, None] if np.ndim(untraced(m.temperature)) else m.temperature
    for t in range(m.horizon - 1, -1, -1):
        reward, known = (x[t] if x.ndim == 3 else x for x in (m.follower_reward, m.log_reference))
        ahead = m.follower_discount * expected(kernels[t], value, reward.shape)
        value = anp.sum(policy[t] * (reward + ahead - tau * (log[t] - known)), axis=1)
        values.append(value)
    return anp.stack(values[::-1])


def expected(kernel: Kernel, v: Any, shape: tuple[int, ...]) -> Any:
    """Σ_s' p(s'|s,a) v(s') (S, A); either may be traced."""
    if isinstance(kernel, DenseKernel):
        return anp.dot(kernel.values, v)
    assert isinstance(kernel, SparseKernel)
    return anp.reshape(row_sums(kernel.values * v[kernel.pattern.indices], kernel.pattern), shape)


def under(kernel: Kernel, policy: Any, shape: tuple[int, int]) -> Any:
    """The kernel from state to state under a policy, dense (S, S); either may be traced."""
    S, A = shape
    if isinstance(kernel, DenseKernel):
        return anp.sum(anp.reshape(policy, (S, A, 1)) * kernel.values, axis=1)
    assert isinstance(kernel, SparseKernel)
    row = np.repeat(np.arange(S * A), kernel.pattern.row_lengths)
    places = (row // A) * S + kernel.pattern.indices
    return anp.reshape(gathered(kernel.values * anp.reshape(policy, (S * A,))[row], places, S * S), (S, S))


def _variation(
    own: ValueObjective, given: Any, moves: Any, theta: Array, policy: Array, error: Array
) -> tuple[Array, Array]:
    """How far both gradients of f(θ, π, V(θ, π)) move when π moves by at most `error`; infinite where none is known.

    With x = (I − γP)⁻ᵀ ∂f/∂V, they are f_θ + Σ xπ ∂r + γ xπ V ∂p and f_π + x (r − τ log π − τ + γ p V).  N bounds
    ‖(I − γP')⁻¹‖ for every π' near: N₀/(1 − N₀ γ max_s Σ_a e), or 1/(1 − γ max Σ p).
    """
    m = own._model(theta)
    nothing = np.full(theta.size, np.inf), np.full(policy.shape, np.inf)
    if hasattr(m, "horizon") or _followers(m) or np.ndim(untraced(m.scale)):
        return nothing
    (S, A), gamma, tau, scale = policy.shape, m.follower_discount, m.temperature, float(m.scale)
    rest = np.eye(S) - gamma * under(m.follower_kernel, policy, (S, A))
    value = value_under(m, policy) / scale
    ahead = gamma * expected(m.follower_kernel, value, policy.shape)
    taken = policy > 0.0
    q = np.where(taken, m.follower_reward - tau * np.log(np.where(taken, policy, 1.0)) + ahead, 0.0)
    steps = float(np.linalg.solve(rest, np.ones(S)).max())
    unlike = gamma * float(error.sum(axis=1).max())
    lasting = gamma * float(np.real(m.follower_kernel.row_sums).max())
    near = steps / (1.0 - steps * unlike) if steps * unlike < 1.0 else np.inf
    steps = min(near, 1.0 / (1.0 - lasting) if lasting < 1.0 else np.inf) * (1.0 + 1e-10)
    if not np.isfinite(steps):
        return nothing
    with np.errstate(divide="ignore", invalid="ignore"):
        e_log = np.where(taken, np.log(policy / np.maximum(policy - error, 0.0)), 0.0)
        e_paid = np.where(error == 0.0, 0.0, tau * e_log)
    rounding = 8.0 * EPS * (S + A) * steps * float(np.abs(q).max() + np.abs(value).max())
    off = np.abs(q - value[:, None])
    e_v = steps * float(((error * off + (policy + error) * e_paid).sum(axis=1)).max() + rounding)
    in_value = grad(given, 2)(theta, policy, scale * value)
    e_theta, e_policy, e_value = moves(theta, policy, scale * value, error, scale * e_v * np.ones(S))
    g, e_g = scale * in_value, scale * e_value
    x = np.linalg.solve(rest.T, g)
    lost = float((np.abs(x)[:, None] * error).sum()) * gamma
    e_x = steps * (float(e_g.sum()) + lost + 8.0 * EPS * (S + A) * float(np.abs(x).sum()))
    e_q = e_paid + gamma * e_v + rounding
    moved = np.abs(x)[:, None] * e_q + e_x * (np.abs(q) + tau + e_q)
    e_visits = e_x * (policy + error) + np.abs(x)[:, None] * error
    visits = np.abs(x)[:, None] * policy
    e_ahead = e_visits[:, :, None] * (np.abs(value) + e_v) + visits[:, :, None] * e_v
    forward = traced_jvp(lambda t: _arrays(own._model(t)), theta)
    direct = np.asarray(e_theta, float)
    for j in range(theta.size):
        with constants_allowed():
            reward, entries, unit = (np.abs(np.asarray(y)) for y in forward(np.eye(1, theta.size, j)[0]))
        direct[j] += float((reward * e_visits).sum())
        direct[j] += gamma * float((entries * _laid_out(m.follower_kernel, e_ahead)).sum())
        direct[j] += float(unit) / scale * float(np.abs(g).sum() * e_v + e_g.sum() * (np.abs(value).max() + e_v))
    return direct, e_policy + moved


def _arrays(m: Any) -> tuple[Any, Any, Any]:
    return m.follower_reward, m.follower_kernel.values, m.scale + 0.0 * anp.sum(m.follower_reward)


def _laid_out(kernel: Kernel, x: Array) -> Array:
    """x (S, A, S) at the kernel's own entries."""
    if isinstance(kernel, DenseKernel):
        return x
    assert isinstance(kernel, SparseKernel)
    row = np.repeat(np.arange(x.shape[0] * x.shape[1]), kernel.pattern.row_lengths)
    return np.asarray(x.reshape(-1, x.shape[2])[row, kernel.pattern.indices])
