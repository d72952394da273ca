"""Configurable MDPs: θ ↦ tabular model(s), with derivatives both ways."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp

from boltzgrad.core.array_map import ArrayMap, scalar_map
from boltzgrad.core.arrays import Array, Parts
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import untraced
from boltzgrad.core.follower_objectives import ObjectiveOfModel
from boltzgrad.core.linearise import Linearised, RoundedBuild, constants_allowed
from boltzgrad.core.objectives import PolicyObjective, Regulariser
from boltzgrad.core.problem import ENTRY_ULPS, ParametricProblem
from boltzgrad.core.stochastic import scatter, scattered_pull
from boltzgrad.core.trajectory_objectives import TrajectoryObjective
from boltzgrad.core.tree import OfTree, Tree, dim_of
from boltzgrad.errors import InvalidModel, InvalidOption, NotDifferentiable
from boltzgrad.families.tabular.clocked import clocked
from boltzgrad.families.tabular.contexts import (
    ContextualArrays,
    ContextualModel,
    arrays_of,
    as_contexts,
    kinds_of,
    models_of,
    refuse_complex,
)
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.linearise import Build, flat, traced_jvp, traced_vjp, unflatten
from boltzgrad.families.tabular.model import TabularModel

LinearisedBuild = Linearised[ContextualModel, ContextualArrays]


class _OneForm:
    """A traced build whose models have one form at every θ, whether it is traced there or not.

    Where autograd sees a discount or a temperature move, the model takes it into its arrays (`plain_form.absorb`); at a plain θ
    the same number looks like a constant.  Only numbers that NumPy made are in doubt, and then one trace tells.
    """

    def __init__(self, function: Build) -> None:
        self.function = function
        self._moving: tuple[tuple[str, ...], ...] | None = None  # of each model

    def __call__(self, theta: Any) -> BuiltModel | ContextualModel:
        built: BuiltModel | ContextualModel = _each(self._of_one_form(theta), solved_form)
        return built

    def as_given(self, theta: Any) -> BuiltModel | ContextualModel:
        """The models before they are made into tables of another shape."""
        return self._moved(self.function(theta), theta)

    def _of_one_form(self, theta: Any) -> BuiltModel | ContextualModel:
        return self._moved(_each(self.function(theta), lambda m: m.plain()), theta)

    def _moved(self, built: BuiltModel | ContextualModel, theta: Any) -> BuiltModel | ContextualModel:
        models = _models(built)
        if all(set(m.loose) <= set(m.moving) for m in models):
            return built
        if self._moving is None:
            self._moving = self._seen_to_move(np.array(np.real(untraced(theta)), float))
        if not any(self._moving) or len(self._moving) != len(models):
            return built
        moved = [m.moved(names) for m, names in zip(models, self._moving, strict=True)]
        return ContextualModel(moved, built.probabilities) if isinstance(built, ContextualModel) else moved[0]

    def _seen_to_move(self, theta: Array) -> tuple[tuple[str, ...], ...]:
        found: list[TabularModel] = []

        def arrays(t: Any) -> Any:
            found[:] = _models(_each(self.function(t), lambda m: m.plain()))
            return traced_tuple(found[0].arrays().parts())

        try:
            with constants_allowed():
                make_vjp(arrays, theta)
        except Exception:  # whatever a build raises that cannot be traced: `linearise` is where that is said
            return ()
        return tuple(tuple(m.moving) for m in found)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)


def _each(built: Any, form: Callable[[BuiltModel], BuiltModel]) -> Any:
    """What a build returned with each of its models in another form."""
    if isinstance(built, ContextualModel):
        formed = [form(m) for m in built.models]
        return built if all(map(operator.is_, formed, built.models)) else ContextualModel(formed, built.probabilities)
    return form(built) if isinstance(built, BuiltModel) else built


def solved_form(model: BuiltModel) -> BuiltModel:
    """The form in which a model is solved: of a table whose leader counts steps, that of pairs (step, state)."""
    if isinstance(model, TabularModel) and model.leader_horizon is not None:
        return clocked(model)
    return model.plain()


def _models(built: Any) -> Sequence[TabularModel]:
    models = built.models if isinstance(built, ContextualModel) else (built,)
    return [m for m in models if isinstance(m, TabularModel)]


class ConfigurableMDP(ParametricProblem):
    """A leader's θ (d,) configures the world of a tabular follower.

    `build(theta)` returns a `TabularModel` or a `FiniteHorizonModel`, or a `ContextualModel` (several of one kind with
    probabilities).
    Written in `autograd.numpy`, it is all that is needed.  Where autograd is slow or unavailable, give
    both derivatives by hand:

    - `pullback(theta, cotangent) -> (d,)` with `cotangent` a `TabularArrays` or `HorizonArrays` (`ContextualArrays` where
      build returns a `ContextualModel`) of ∂J/∂(each array);
    - `pushforward(theta, direction)`, such a record: the tangent along a (d,) direction.

    θ may be several arrays: with `like`, a dict, list or tuple of arrays (nested or not) in place of `dim`, `build` gets such a
    one, every function of the library takes one for θ, and `ref.tree` is the gradient in that shape.  Objectives and
    regularisers get the vector (d,), the leaves in order.

    `objective` is `"return"` (the leader's discounted return from `initial`) or a `PolicyObjective`;
    `regulariser` is a function of θ, or a `Regulariser`, added to it.  `initial_theta(seed)` draws from
    N(0, initial_scale²).  `entry_error` is the relative error that build's floating-point entries may carry;
    proved bounds allow for it.

    Source: BC-HG section 2, (2)(3); HPGD section 2 (contexts); SoBiRL (4).

    >>> import autograd.numpy as anp
    >>> def build(theta):
    ...     reward = anp.array([[0.0, 0.0], [1.0, 1.0]]) * theta[0]
    ...     move = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    ...     return TabularModel(move, [1.0, 0.0], reward, np.array([[0.0, 0.0], [1.0, 1.0]]),
    ...                         follower_discount=0.9, leader_discount=0.9, temperature=0.5)
    >>> ConfigurableMDP(build, dim=1).model(np.array([2.0])).follower_reward
    array([[0., 0.], [2., 2.]])
    """

    def __init__(
        self,
        build: Build,
        *,
        dim: int | None = None,
        like: Any = None,
        pullback: Callable[[Array, Any], Array] | None = None,
        pushforward: Callable[[Array, Array], Any] | None = None,
        objective: Literal["return"] | PolicyObjective = "return",
        regulariser: Regulariser | Callable[[Any], Any] | None = None,
        initial_scale: float = 1.0,
        entry_error: float = ENTRY_ULPS * float(np.finfo(float).eps),
        name: str = "",
    ) -> None:
        if not callable(build):
            raise InvalidOption(f"build is {build!r}; expected a function theta -> TabularModel")
        tree = None if like is None else Tree(like)
        if tree is not None:
            if pullback is not None or pushforward is not None or not getattr(build, "traced", True):
                raise InvalidOption(
                    "like is for builds that autograd traces; derivatives by hand take theta as one vector"
                )
            build = OfTree(build, tree)
        super().__init__(dim=dim_of(tree, dim), name=name, initial_scale=initial_scale, entry_error=entry_error)
        self.tree = tree
        if (pullback is None) != (pushforward is None):
            given = "pullback" if pullback else "pushforward"
            raise InvalidOption(f"only {given} was given; give both derivatives by hand, or neither")
        if not isinstance(objective, PolicyObjective) and not (isinstance(objective, str) and objective == "return"):
            raise InvalidOption(f"objective is {objective!r}; expected 'return' or a PolicyObjective")
        if regulariser is not None and not isinstance(regulariser, Regulariser):
            regulariser = Regulariser(regulariser)
        # Another framework's build, too: what autograd sees of it is one operation.
        self.build = _OneForm(build) if pullback is None and not isinstance(build, _OneForm) else build
        self.objective, self.regulariser = self._placed(objective), regulariser
        self._pullback, self._pushforward = pullback, pushforward
        self._kind: type[BuiltModel] | None = None
        self.kinds: frozenset[str] = frozenset()

    def _world(self, theta: Any) -> tuple[Sequence[Any], Any, Array]:
        """(the kernel of each step, the start, which actions are there) at θ, as trajectories are drawn; may be traced."""
        model: Any = self.build(theta)
        if isinstance(model, ContextualModel):
            raise InvalidModel("a loss of trajectories is one of a single world, and build returned several contexts")
        if isinstance(model, TabularModel) and model.given is None and "leader_discount" not in model.moving:
            there = np.ones(model.follower_reward.shape, bool) if model.available is None else model.available
            return [model.kernel], model.initial, np.asarray(there, bool)
        if not isinstance(model, TabularModel):
            mask = getattr(model, "mask", None)
            shape = (model.n_states, model.n_actions)
            return model.kernels(), model.initial, np.ones(shape, bool) if mask is None else np.asarray(mask, bool)
        raise InvalidModel(
            "a loss of trajectories takes the place of the leader's return: it has no discount that moves"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From a pickle or a copy: an objective that knows the problem's models, or its world, is given them again."""
        self.__dict__.update(state)
        self.objective = self._placed(self.objective)

    def _placed(self, objective: Any) -> Any:
        if isinstance(objective, TrajectoryObjective):
            return objective.within(self._world)
        return objective.within(self.build) if isinstance(objective, ObjectiveOfModel) else objective

    @property
    def model_kind(self) -> type[BuiltModel]:
        """What kind of model `build` returns; of a build that cannot be called at a starting point, a `TabularModel`."""
        if self._kind is None:
            self.settle(self.initial_theta())
        return TabularModel if self._kind is None else self._kind

    def settle(self, theta: Any) -> None:
        """Learn at a θ which kind of model `build` returns."""
        if self._kind is None:
            with contextlib.suppress(Exception):  # whatever a build raises: it is said where a model is asked for
                self._checked_build(self.check_theta(theta))

    @property
    def traced(self) -> bool:
        """Whether autograd traces `build`; else its derivatives are by hand, or another framework's."""
        return self._pullback is None and bool(getattr(self.build, "traced", True))

    @property
    def source(self) -> Build:
        """The function of θ that the problem is made from."""
        return self.build.function if isinstance(self.build, _OneForm) else self.build

    def made_from(self, build: Build, dim: int) -> ConfigurableMDP:
        """The problem of another build, with the leader's return for its objective."""
        return ConfigurableMDP(build, dim=dim)

    def model(self, theta: Any) -> BuiltModel | ContextualModel:
        """What `build` returns at θ, checked.  Raises: InvalidTheta, InvalidModel."""
        return self._at(self.check_theta(theta))

    def _at(self, theta: Array) -> BuiltModel | ContextualModel:
        model = self._checked_build(theta)
        refuse_complex(models_of(model))
        return model

    def contexts(self, theta: Any) -> ContextualModel:
        """`model(theta)` with a single model taken as one context."""
        return as_contexts(self.model(theta))

    def linearise(self, theta: Any) -> LinearisedBuild:
        """The models at θ with the pull-back and push-forward of their arrays.

        Raises: NotDifferentiable where autograd cannot trace `build`, or a hand-written derivative has
        the wrong shape; InvalidTheta; InvalidModel.
        """
        theta = self.check_theta(theta)
        if self._pullback is None or self._pushforward is None:
            contexts, by_tape = traced_vjp(self._checked_build, theta)
            refuse_complex(contexts.models)
            return LinearisedBuild(
                contexts, by_tape, traced_jvp(self._checked_build, theta), self.dim, self._rounded(theta)
            )
        model = self._at(theta)
        single = not isinstance(model, ContextualModel)
        contexts = as_contexts(model)
        by_hand_back, by_hand_forward = self._pullback, self._pushforward

        def pullback(cotangent: ContextualArrays) -> Array:
            out = np.asarray(by_hand_back(theta, cotangent.models[0] if single else cotangent), float)
            if out.shape != theta.shape:
                raise NotDifferentiable(f"pullback returned shape {out.shape}, expected {theta.shape}")
            return out

        def pushforward(direction: Array) -> ContextualArrays:
            out = by_hand_forward(theta, direction)
            like = arrays_of(contexts)
            tangent = ContextualArrays((out,), np.zeros(1)) if type(out) is type(like.models[0]) else out
            _same_shapes(tangent, like)
            return tangent

        return LinearisedBuild(contexts, pullback, pushforward, self.dim)

    def _rounded(self, theta: Array) -> RoundedBuild | None:
        if not getattr(self.build, "traced", True):
            return None
        build = flat(self._checked_build)

        def function(t: Any) -> Any:
            return traced_tuple(build(t))

        return RoundedBuild(
            lambda rng: tuple(np.asarray(x) for x in scatter(function, theta, rng)),
            lambda parts, rng: scattered_pull(function, theta, parts, rng),
        )

    def array_map(self, theta: Any, linearised: LinearisedBuild | None = None) -> ArrayMap:
        """θ ↦ the arrays of every context by name, at one θ; `linearised` is `linearise(theta)` where it is known already."""
        theta = self.check_theta(theta)
        at = self.linearise(theta) if linearised is None else linearised
        return self._map(self._checked_build, theta, at, self.array_map)

    def given_map(self, theta: Any) -> ArrayMap:
        """The same of the models as `build` made them, before any became a table of another shape (`solved_form`)."""
        theta = self.check_theta(theta)
        build: Build = self.build.as_given if isinstance(self.build, _OneForm) else self._checked_build
        contexts, back = traced_vjp(build, theta)
        at = LinearisedBuild(contexts, back, traced_jvp(build, theta), self.dim)
        return self._map(build, theta, at, self.given_map)

    def _map(self, build: Build, theta: Array, at: LinearisedBuild, again: Callable[[Array], ArrayMap]) -> ArrayMap:
        like = arrays_of(at.model)
        names: list[str] = []
        scales: list[float] = []
        for i, model in enumerate(at.model.models):
            where = f"models[{i}]." if len(at.model.models) > 1 else ""
            names += [where + name for name, _ in model.arrays().named()]
            scales += model.scales()

        def evaluate(t: Array) -> Parts:
            return arrays_of(as_contexts(build(t))).parts()

        return ArrayMap(
            theta=theta,
            names=(*names, "probabilities"),
            values=like.parts(),
            scales=(*scales, 1.0),
            evaluate=evaluate,
            pull=lambda parts: at.pullback(unflatten(list(parts), like)),
            push=lambda direction: at.pushforward(direction).parts(),
            again=again,
            takes_complex=getattr(self.build, "takes_complex", True),
        )

    def further_slopes(self, theta: Array, policies: Sequence[Array], units: Array) -> tuple[ArrayMap, ...]:
        """The regulariser as a function of θ, and the objective as one of (θ, π) at each context's `policy` (S, A); `units`
        are the natural steps of θ (d,).
        """
        out = []
        if self.regulariser is not None:
            slope = self.regulariser.gradient_at(theta)
            out.append(scalar_map("regulariser", theta, self.regulariser.function, slope, steps=units))
        if isinstance(self.objective, PolicyObjective):
            for policy in policies:
                out.append(_objective_map(self.objective, theta, policy, units))
        return tuple(out)

    def _judges(self, given: Given) -> bool:
        """Whether the objective is one that means something for such a model."""
        return given.policies or not isinstance(self.objective, PolicyObjective)

    def _checked_build(self, theta: Any) -> BuiltModel | ContextualModel:
        model = self.build(theta)
        if not isinstance(model, (BuiltModel, ContextualModel)):
            raise InvalidModel(
                f"build returned a {type(model).__name__}, expected a TabularModel, FiniteHorizonModel or ContextualModel"
            )
        models = models_of(model)
        for m in models:
            if solved_form(m) is not m:
                raise InvalidModel(
                    f"build returned a {type(m).__name__} that is solved as another table (leader_horizon, averages), which a "
                    "derivative by hand does not know: write build in autograd.numpy"
                )
            if isinstance(m, TabularModel) and m.given is not None and not self._judges(m.given):
                raise InvalidModel(
                    f"the leader's own objective f(theta, policy) takes the place of its return, so that the model's "
                    f"{m.given.setting} means nothing: leave it out"
                )
        self._kind, self.kinds = type(models[0]), kinds_of(models)
        return model


def _objective_map(objective: PolicyObjective, theta: Array, policy: Array, units: Array) -> ArrayMap:
    in_theta, in_policy = objective.gradients(theta, policy)
    d = theta.size

    def f(x: Any) -> Any:
        return objective.function(x[:d], x[d:].reshape(policy.shape))

    # Probabilities move in proportion to themselves, so that none leaves [0, 1] far behind.
    steps = np.concatenate([units, 0.1 * policy.ravel()])
    at = np.concatenate([theta, policy.ravel()])
    return scalar_map("objective", at, f, np.concatenate([in_theta, in_policy.ravel()]), steps=steps)


def _same_shapes(tangent: Any, like: ContextualArrays) -> None:
    try:
        got, want = [np.shape(x) for x in tangent.parts()], [np.shape(x) for x in like.parts()]
    except AttributeError:
        raise NotDifferentiable(
            f"pushforward returned a {type(tangent).__name__}, expected TabularArrays or ContextualArrays"
        ) from None
    if got != want:
        raise NotDifferentiable(f"pushforward returned arrays of shapes {got}, the model's are {want}")
