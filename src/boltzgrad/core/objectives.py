"""What the leader wants: the discounted return, or a general f(θ, π) with its two gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import autograd.numpy as anp
import numpy as np
from autograd import grad

from boltzgrad.core.arrays import Array
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.errors import BoltzgradError, InvalidOption, NotDifferentiable

ThetaGradient = Callable[[Array], Array]
PolicyGradient = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class PolicyObjective:
    r"""A general upper level $f(\theta, \pi)$ with the follower's optimal policy π (S, A) put in.

    Source: SoBiRL (4), (24).  `function(theta, policy)` returns a real number; without `gradient` it is
    written in `autograd.numpy`.  `gradient(theta, policy)` returns (∂f/∂θ (d,), ∂f/∂π (S, A)) with the
    entries of π taken as independent.  With contexts, the leader's value is the mean of f over them.

    `variation(theta, policy, error)`, if given, bounds how far both gradients move when every entry of the
    policy moves by at most `error` (S, A): it returns two non-negative arrays shaped like the gradients.  Without
    it a hypergradient of this objective has a sharp error estimate but no proved bound.

    >>> square = PolicyObjective(lambda theta, policy: (theta**2).sum() + (policy**2).sum())
    >>> square.gradients(np.array([3.0]), np.eye(2))[0]
    array([6.])
    """

    written: ClassVar[str] = "f(theta, policy) with autograd.numpy, or give gradient="

    function: Callable[[Any, Any], Any]
    gradient: PolicyGradient | None = None
    variation: Callable[[Array, Array, Array], tuple[Array, Array]] | None = None

    def value(self, theta: Array, policy: Array) -> float:
        """The objective f(θ, π).  Raises: NotDifferentiable if it is not one finite number."""
        return _number("the objective", self.function(theta, policy))

    def gradients(self, theta: Array, policy: Array) -> tuple[Array, Array]:
        """(∂f/∂θ (d,), ∂f/∂π (S, A)).

        Raises: NotDifferentiable if they cannot be computed or have the wrong shape.
        """
        try:
            if self.gradient is not None:
                in_theta, in_policy = self.gradient(theta, policy)
            else:
                with constants_allowed():
                    in_theta, in_policy = grad(self.function, (0, 1))(theta, policy)
        except BoltzgradError:
            raise
        except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
            raise NotDifferentiable(f"the objective's gradient failed: {error}. Write {self.written}") from error
        in_theta, in_policy = np.asarray(in_theta, float), np.asarray(in_policy, float)
        for name, got, want in (("theta", in_theta, theta), ("policy", in_policy, policy)):
            if not np.all(np.isfinite(got)):
                raise NotDifferentiable(f"the objective's gradient in {name} is not finite at this theta")
            if got.shape != want.shape:
                raise NotDifferentiable(
                    f"the objective's gradient in {name} has shape {got.shape}, expected {want.shape}"
                )
        return in_theta, in_policy


class LogLikelihood(PolicyObjective):
    r"""$f(\pi) = \sum_{s,a} w(s,a) \log \pi(a|s)$: inverse reinforcement learning from observed choices, with a proved bound.

    `weights` w (S, A), or (H, S, A) over a finite horizon, are how often each action was seen in each state (counts, or
    frequencies); not negative.
    Raises: InvalidOption; NotDifferentiable, at a policy that never does what was seen.

    >>> LogLikelihood([[1.0, 0.0]]).value(np.zeros(1), np.array([[0.5, 0.5]])) / np.log(0.5)
    np.float64(1.0)
    """

    def __init__(self, weights: Any) -> None:
        try:
            w = np.array(weights, float)
        except (TypeError, ValueError) as error:
            raise InvalidOption(f"weights is not an array of numbers: {error}") from None
        if w.ndim not in (2, 3) or not (np.isfinite(w).all() and (w >= 0.0).all()):
            raise InvalidOption(
                f"weights has shape {w.shape}; expected ([steps,] states, actions) finite numbers, none negative"
            )
        seen = w > 0.0

        def function(theta: Any, policy: Any) -> Any:
            return anp.sum(w * anp.log(anp.where(seen, policy, 1.0)))

        def gradient(theta: Array, policy: Array) -> tuple[Array, Array]:
            with np.errstate(divide="ignore"):
                return np.zeros_like(theta), np.where(seen, w / np.where(seen, policy, 1.0), 0.0)

        def variation(theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
            least = np.where(seen, policy - error, 1.0)
            with np.errstate(divide="ignore", over="ignore"):
                moved = np.where(least > 0.0, w * error / (np.where(seen, policy, 1.0) * least), np.inf)
            return np.zeros_like(theta), moved

        super().__init__(function, gradient, variation)
        object.__setattr__(self, "weights", w)

    def __reduce__(self) -> Any:
        """Pickled as its weights."""
        return LogLikelihood, (self.weights,)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Regulariser:
    r"""A differentiable function of θ alone, added to the leader's value.  Source: BC-HG (3).

    Without `gradient`, `function` is written in `autograd.numpy`.
    """

    function: Callable[[Any], Any]
    gradient: ThetaGradient | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidOption(f"regulariser is {self.function!r}; expected a function of theta")

    def value(self, theta: Array) -> float:
        """The number added to the leader's value.  Raises: NotDifferentiable if it is not one finite number."""
        return _number("the regulariser", self.function(theta))

    def gradient_at(self, theta: Array) -> Array:
        """Its gradient (d,).

        Raises: NotDifferentiable if it cannot be computed or has the wrong shape.
        """
        try:
            with constants_allowed():
                out = np.asarray((self.gradient or grad(self.function))(theta), float)
        except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
            raise NotDifferentiable(f"the regulariser's gradient failed: {error}") from error
        if out.shape != theta.shape:
            raise NotDifferentiable(f"the regulariser's gradient has shape {out.shape}, expected {theta.shape}")
        return out


def _number(what: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype == object or not np.all(np.isfinite(array)):
        raise NotDifferentiable(f"{what} returned {value!r}; expected one finite number")
    return float(array.reshape(()))
