"""Linear-quadratic problems, configured by θ."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import numeric_array, real_number, untraced
from boltzgrad.core.linearise import Linearised, traced_jvp, traced_vjp
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.tree import OfTree, Tree, dim_of
from boltzgrad.errors import InvalidModel, InvalidOption
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr_steps.model import FiniteHorizonLQModel

LinearisedLQ = Linearised[LQModel, LQArrays]
Kind = LQModel | FiniteHorizonLQModel


class LinearQuadratic(ParametricProblem):
    """A configurable LQR: `build(theta)` returns an `LQModel`, or a `FiniteHorizonLQModel`, written in autograd.numpy.

    The follower answers every θ with the gain that is optimal there, so ∇J says what a change of the plant or of the costs is
    worth *after* the regulator has been designed again.  Dynamics, signs and conventions are in `LQModel`; its matrices, mean
    and `leader_constant` may depend on θ, discounts, temperature, horizon and bump may not.  θ may be several arrays:
    `like` in place of `dim`, as in `ConfigurableMDP`.  `initial_theta(seed)` draws from N(0, initial_scale²).

    Source: BC-HG (Kudo, Tanabe, Wachi, Akimoto 2026, arXiv:2603.14867), 5.2, Prop 1 (Prop 2 where the model says `observed`).

    >>> import autograd.numpy as anp
    >>> def build(theta):
    ...     return LQModel(anp.reshape(theta, (1, 1)), [[1.0]], [[0.1]], [[1.0]], [[1.0]], [1.0], [[0.0]], leader_Q=[[1.0]],
    ...                    follower_discount=0.9, leader_discount=0.9, temperature=0.1)
    >>> LinearQuadratic(build, dim=1).model([0.5]).n_states
    1
    """

    def __init__(
        self,
        build: Callable[[Any], Kind],
        *,
        dim: int | None = None,
        like: Any = None,
        initial_scale: float = 1.0,
        name: str = "",
    ) -> None:
        tree = None if like is None else Tree(like)
        super().__init__(dim=dim_of(tree, dim), name=name, initial_scale=initial_scale)
        if not callable(build):
            raise InvalidOption(f"build is {build!r}; expected a function theta -> LQModel")
        self.build: Callable[[Any], Any] = build if tree is None else OfTree(build, tree)
        self.tree = tree
        self._kind: type[Kind] | None = None

    @property
    def model_kind(self) -> type[Kind]:
        """What kind of model `build` returns; of a build that cannot be called at a starting point, an `LQModel`."""
        if self._kind is None:
            self.settle(self.initial_theta())
        return LQModel if self._kind is None else self._kind

    def settle(self, theta: Any) -> None:
        """Learn at a θ which kind of model `build` returns."""
        if self._kind is None:
            with contextlib.suppress(Exception):  # whatever a build raises: it is said where a model is asked for
                self._checked_build(self.check_theta(theta))

    @property
    def source(self) -> Callable[[Any], LQModel]:
        """The function of θ that the problem is made from."""
        return self.build

    def made_from(self, build: Callable[[Any], LQModel], dim: int) -> LinearQuadratic:
        """The problem of another build."""
        return LinearQuadratic(build, dim=dim)

    def model(self, theta: Any) -> LQModel:
        """What `build` returns at θ, checked.  Raises: InvalidTheta, InvalidModel."""
        model = self._checked_build(self.check_theta(theta))
        _refuse_complex(model)
        return model

    def linearise(self, theta: Any) -> LinearisedLQ:
        """The model at θ with the pull-back and push-forward of its arrays.  Raises: NotDifferentiable, InvalidModel."""
        theta, store = self.check_theta(theta), []

        def parts(t: Any) -> tuple[Any, ...]:
            model = self._checked_build(t)
            store.append(model.untraced())
            return model.arrays().parts()

        _, back = traced_vjp(parts, theta)
        _refuse_complex(store[0])
        forward, like = traced_jvp(parts, theta), store[0].arrays()
        return Linearised(store[0], lambda cotangent: back(cotangent.parts()), lambda u: like.of(forward(u)), self.dim)

    def array_map(self, theta: Any, linearised: LinearisedLQ | None = None) -> ArrayMap:
        """θ ↦ the model's matrices, at one θ; `linearised` is `linearise(theta)` where it is known already."""
        theta = self.check_theta(theta)
        at = self.linearise(theta) if linearised is None else linearised
        values = tuple(np.asarray(x, float) for x in at.model.arrays().parts())
        return ArrayMap(
            theta=theta,
            names=tuple(name for name, _ in at.model.arrays().named()),
            values=values,
            scales=tuple(float(np.abs(x).max(initial=0.0)) or 1.0 for x in values),
            evaluate=lambda t: tuple(np.asarray(x) for x in self._checked_build(t).arrays().parts()),
            pull=lambda parts: at.pullback(at.model.arrays().of(parts)),
            push=lambda direction: tuple(np.asarray(x, float) for x in at.pushforward(direction).parts()),
            again=self.array_map,
            takes_complex=getattr(self.build, "takes_complex", True),
        )

    def _checked_build(self, theta: Any) -> LQModel:
        model: Any = self.build(theta)
        if not isinstance(model, (LQModel, FiniteHorizonLQModel)):
            raise InvalidModel(f"build returned a {type(untraced(model)).__name__}, expected an LQModel")
        self._kind = type(model)
        return model  # type: ignore[return-value]


def _refuse_complex(model: Kind) -> None:
    for name, x in model.arrays().named():
        if np.iscomplexobj(x):
            raise InvalidModel(f"{name} is complex at a real theta; expected real numbers")


@dataclass(frozen=True, eq=False)
class _Steered:
    """K ↦ the model with A + C K; a class, so that a game can be pickled."""

    A: Array
    C: Array
    rest: dict[str, Any]

    def __call__(self, theta: Any) -> LQModel:
        closed = self.A + anp.dot(self.C, anp.reshape(theta, (self.C.shape[1], self.A.shape[0])))
        return LQModel(closed, observed=True, **self.rest)


class LinearQuadraticGame(LinearQuadratic):
    """A leader with a Gaussian policy a ~ N(K x, σ² I), θ = K (k, n) in row-major order, and an LQ follower that sees a.

    x' = A x + B u + C a: the mean C K x is folded into A, and C (a − K x) ~ N(0, σ² CC') is a disturbance that the follower
    observes before it picks u (Prop 2).  The other arguments are those of `LQModel`.  `open_loop` A, `leader_input` C and
    `spread` σ can be read back.  Source: BC-HG 5.4, (56)–(58), (81).
    """

    def __init__(
        self,
        A: Any,
        B: Any,
        C: Any,
        Q: Any,
        R: Any,
        mean: Any,
        covariance: Any,
        *,
        spread: float,
        name: str = "",
        **options: Any,
    ) -> None:
        A = np.asarray(numeric_array("A", A, ndim=2, axes="(n, n)"))
        C = np.asarray(numeric_array("C", C, ndim=2, axes="(n, k)"))
        if C.shape[0] != A.shape[0]:
            raise InvalidModel(f"C has shape {C.shape}, expected ({A.shape[0]}, k)")
        if not np.isfinite(real_number("spread", spread)) or spread < 0.0:
            raise InvalidModel(f"spread is {spread!r}; expected a number of at least 0")
        self.open_loop, self.leader_input, self.spread = A, C, real_number("spread", spread)
        rest = dict(B=B, W=self.spread**2 * C @ C.T, Q=Q, R=R, mean=mean, covariance=covariance, **options)
        super().__init__(_Steered(A, C, rest), dim=C.shape[1] * A.shape[0], name=name)
        self.model(np.zeros(self.dim))  # what is wrong with the matrices shows here, not at the first gradient
