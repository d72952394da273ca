r"""A follower that is not optimal: what it costs the hypergradient: exactly, to first order, and at most.

A method that trains its follower for a while and puts what it has, π° and V°, into the formula gets G(π°).  Its error
G(π°) − ∇J is linear in the policy's error, and so of the order of the root of the follower's gap V* − V°.  One soft policy
improvement, π¹ ∝ π⁰ exp(Q°/τ), makes it linear in the gap: the envelope theorem makes V° − V* quadratic in the policy's error,
and π¹ depends on π° through V° alone.  Source: derivations `trained-followers`; HPGD Theorem 2.5 bounds the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.hypergradient import Hypergradient
from boltzgrad.errors import InvalidOption
from boltzgrad.families.laid_out import Table
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.plug_in import PlugIn, plug_in
from boltzgrad.followers.given import read_policies, read_tables, read_values
from boltzgrad.followers.learner import Learned
from boltzgrad.solvers import FollowerSolution, boltzmann
from boltzgrad.solvers.suboptimal import evaluate_policy, improve, log_of, with_values
from boltzgrad.verify.tolerances import Yardstick, share


@dataclass(frozen=True, eq=False)
class ApproximateFollower:
    """What a follower that is not optimal does to J and ∇J, at one θ of one problem.

    `gradient` (d,) is the formula under π° and its values, `value` J°; `improved_gradient` (d,) that after one soft policy
    improvement.  `gap` V* − V° ≥ 0 and `kl` KL(π° ‖ π*), for each state, `loss` J − J° of the leader.  `error` (d,) is
    gradient − ∇J, `first_order` (d,) its part that is linear in π* − π°; `improved_error` that of `improved_gradient`.
    `coordinate_bounds` (d,) and `bound`, their maximum, are proved bounds on |error| that use no optimum;
    `improved_bound` on that of the improved one.  Of a problem with several contexts, `gap` and `kl` are tuples.
    Everything is worked out when it is first asked for.
    """

    problem: Any
    theta: Array
    plain: PlugIn = field(repr=False)
    evaluated: PlugIn = field(repr=False)
    table: Table = field(repr=False)
    known: Hypergradient | None = field(repr=False, default=None)

    @property
    def value(self) -> float:
        """J° under π°."""
        return self.plain.value

    @property
    def gradient(self) -> Array:
        """The plug-in hypergradient G (d,)."""
        return self.plain.gradient

    @cached_property
    def forms(self) -> dict[str, Array]:
        """The plug-in gradient (d,) for each V_F that a method may have beside π°, by name.

        "evaluated": the soft value of π°; "believed": the values that were given, or those of the table, τ log Σ exp(Q°/τ);
        "swept": T applied to the first.  At one V_F, BC-HG (5), HPGD Theorem 2.3 and SoBiRL (24) have one expectation.
        """
        return {name: formula.gradient for name, formula in self._formulas.items()}

    @cached_property
    def _formulas(self) -> dict[str, PlugIn]:
        swept = [with_values(f.model, f.value + f.gap, f.policy) for f in self._followers]
        found = {"believed": self.plain} if self.plain is not self.evaluated else {}
        return {**found, "evaluated": self.evaluated, "swept": self._formula(swept)}

    def followers(self, form: str) -> list[FollowerSolution]:
        """The policy and the V_F of one of the `forms`, for each context."""
        return [s.follower for s in self._formulas[form].contexts]

    @cached_property
    def improved(self) -> PlugIn:
        """The formula after one soft policy improvement, with V°."""
        return self._formula([improve(f) for f in self._followers])

    @property
    def improved_gradient(self) -> Array:
        """G(π¹) (d,), π¹ ∝ π⁰ exp(Q°/τ): its error is of the order of the gap, not of its root."""
        return self.improved.gradient

    @cached_property
    def reference(self) -> Hypergradient:
        """The exact hypergradient."""
        return hypergradient(self.problem, self.theta) if self.known is None else self.known

    @cached_property
    def optimum(self) -> list[FollowerSolution]:
        """The optimal follower of each context, on the table."""
        table: Any = self.table.problem
        exact: Any = self.reference if table is self.problem else hypergradient(table, self.theta)
        return [s.follower for s in exact.contexts]

    @property
    def _followers(self) -> list[FollowerSolution]:
        return [s.follower for s in self.evaluated.contexts]

    @cached_property
    def gap(self) -> Any:
        """V* − V° in each state, in the units of the follower's reward."""
        return self._each(lambda best, own: own.model.unit * (best.extended - own.extended).astype(float))

    @cached_property
    def kl(self) -> Any:
        """KL(π°(·|s) ‖ π*(·|s)) in each state [1]."""

        def of(best: FollowerSolution, own: FollowerSolution) -> Array:
            top = (best.q - best.value[:, None]) / best.model.temperature
            log = np.where(best.policy > 0.0, log_of(best.policy), top)
            return np.asarray((own.policy * (log_of(own.policy) - log)).sum(axis=1))

        return self._each(of)

    def _each(self, function: Any) -> Any:
        pairs = zip(self.optimum, self._followers, strict=True)
        found = tuple(self.table.states(function(best, own), c) for c, (best, own) in enumerate(pairs))
        return found[0] if len(found) == 1 else found

    @property
    def loss(self) -> float:
        """J − J°: what the leader's value differs by."""
        return self.reference.value - self.value

    @property
    def error(self) -> Array:
        """Gradient − ∇J (d,)."""
        return np.asarray(self.gradient - self.reference.gradient)

    @property
    def improved_error(self) -> Array:
        """Improved gradient − ∇J (d,)."""
        return np.asarray(self.improved_gradient - self.reference.gradient)

    @cached_property
    def first_order(self) -> Array:
        """The part of `error` (d,) that is linear in how far π° and V_F are from the optimum."""
        best = self.optimum
        values = None if self.plain is self.evaluated else [f.value for f in best]
        return -self.plain.change_toward([f.policy for f in best], values)

    @property
    def coordinate_bounds(self) -> Array:
        """A proved bound on each |error| (d,), by residuals alone."""
        return self.plain.coordinate_bounds

    @property
    def bound(self) -> float:
        """A proved bound on ‖error‖_∞, by residuals alone; infinite where it is vacuous."""
        return float(self.coordinate_bounds.max())

    @property
    def improved_bound(self) -> float:
        """A proved bound on ‖improved_error‖_∞, by residuals alone; infinite where it is vacuous."""
        return float(self.improved.coordinate_bounds.max())

    @property
    def relative_error(self) -> float:
        """The largest entry of `error` beside the largest of ∇J, both in natural steps [1]."""
        return share(Yardstick.of(self.reference), self.error)

    def _formula(self, followers: Sequence[FollowerSolution]) -> PlugIn:
        return plug_in(self.table.problem, self.theta, self.plain.linearised, followers)

    def __repr__(self) -> str:
        return f"<ApproximateFollower J = {self.value:.12g}, ‖gradient‖ = {np.linalg.norm(self.gradient):.6g}>"

    def __str__(self) -> str:
        yardstick = Yardstick.of(self.reference)

        largest = float(np.abs(self.reference.gradient).max())

        def line(name: str, error: Array, bound: float) -> str:
            proved = f"{bound:.2g}{' (vacuous)' if largest and not bound <= largest else ''}"
            return f"{name.ljust(22)} {share(yardstick, error):>9.2e}  {np.abs(error).max():>10.3e}  {proved}"

        gap, kl = (x if isinstance(x, tuple) else (x,) for x in (self.gap, self.kl))
        return "\n".join(
            [
                f"{getattr(self.problem, 'name', '') or 'problem'}: {self.reference.size}, d = {self.theta.size}",
                f"follower: gap V* − V° ≤ {max(float(x.max()) for x in gap):.3g}, "
                f"KL(π° ‖ π*) ≤ {max(float(x.max()) for x in kl):.3g}, "
                f"soft Bellman residual {max(f.residual for f in self._followers):.3g}",
                f"leader:   J° = {self.value:.9g}, which is {abs(self.loss):.3g} {'below' if self.loss > 0 else 'above'} J",
                "",
                f"{'gradient under'.ljust(22)} {'of ‖∇J‖_∞':>9}  {'‖error‖_∞':>10}  proved",
                line("π°", self.error, self.bound),
                line("π°, to first order", self.first_order, np.nan).rsplit("  ", 1)[0].rstrip(),
                line("π¹ (improved once)", self.improved_error, self.improved_bound),
            ]
        )


def approximate(
    problem: Any,
    theta: Any,
    *,
    policy: Any = None,
    q: Any = None,
    value: Any = None,
    reference: Hypergradient | None = None,
) -> ApproximateFollower:
    """What the hypergradient's formula makes of a follower's `policy` π° or of its table `q` Q°, and how far that is from ∇J.

    Shapes: (S, A) of the model as it was given; (H, S, A) over a finite horizon; (S, A, B) in a game whose follower sees the
    leader's action, (S, B) where it does not; of a problem with several contexts a list of such.  Of a `q`, without
    τ log π⁰, the policy is π⁰ exp(Q°/τ) and the value τ log Σ π⁰ exp(Q°/τ); of a `policy` the value is its soft value, unless
    another `value` V̂ (S,) is given, which somebody has estimated of it.
    Source: BC-HG (5) under π°; HPGD Theorem 2.5.  `reference` is an earlier result of `bg.hypergradient`.

    Raises: InvalidFollower, naming the entry; InvalidOption where both or none are given, or there is no table for the problem.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("garnet", n_states=6)
    >>> theta = problem.initial_theta(seed=0)
    >>> stopped = bg.followers.SoftValueIteration(5)(problem.model(theta))
    >>> found = bg.approximate(problem, theta, policy=stopped)
    >>> bool(100 * abs(found.improved_error).max() < abs(found.error).max() <= found.bound)
    True
    """
    if (policy is None) == (q is None):
        raise InvalidOption(
            f"{'policy and q were both given' if q is not None else 'neither policy nor q was given'}; give one: a policy "
            "π° that is evaluated, or a table Q° with the values that go with it"
        )
    if value is not None and policy is None:
        raise InvalidOption("value was given without a policy; a table q has its own values")
    family_of(problem, theta)
    if isinstance(policy, Learned):
        policy = policy.policy
    theta = problem.check_theta(theta)
    checked_reference(reference, problem, theta)
    table = table_of(problem, theta)
    linearised = table.problem.linearise(theta)
    models = linearised.model.models

    def formula(followers: Sequence[FollowerSolution]) -> PlugIn:
        return plug_in(table.problem, theta, linearised, followers)

    if q is None:
        policies = read_policies(policy, models, table)
        found = formula([evaluate_policy(m, x) for m, x in zip(models, policies, strict=True)])
        if value is None:
            return ApproximateFollower(problem, theta, found, found, table, reference)
        values = read_values(value, models, table)
        own = formula([with_values(m, v / m.unit, x) for m, v, x in zip(models, values, policies, strict=True)])
        return ApproximateFollower(problem, theta, own, found, table, reference)
    believed = [
        _of_table(m, x + table.flat(table.bonus[c]))
        for c, (m, x) in enumerate(zip(models, read_tables("q", q, models, table), strict=True))
    ]
    evaluated = [evaluate_policy(f.model, f.policy) for f in believed]
    return ApproximateFollower(problem, theta, formula(believed), formula(evaluated), table, reference)


def checked_reference(reference: Any, problem: Any, theta: Array) -> None:
    """Raise InvalidOption unless `reference` is None, or the hypergradient of this problem at this θ."""
    if reference is not None and not isinstance(reference, Hypergradient):
        raise InvalidOption(f"reference is a {type(reference).__name__}; expected a result of bg.hypergradient")
    if reference is not None and (reference.problem is not problem or not np.array_equal(reference.theta, theta)):
        raise InvalidOption("reference is a hypergradient of another problem or theta")


def table_of(problem: Any, theta: Array) -> Table:
    """The table that a problem can be written as.  Raises: InvalidOption where there is none."""
    family = family_of(problem, theta)
    found = "the family has none" if family.table is None else family.table(problem, theta)
    if isinstance(found, str):
        raise InvalidOption(f"what another policy does is known on tables, and there is none for this problem: {found}")
    return found


def _of_table(model: TabularModel, q: Array) -> FollowerSolution:
    """The follower of a table Q° + τ log π⁰ (S, A), given in the units of the reward."""
    exponent = q / (model.unit[:, None] if np.ndim(model.unit) else model.unit)
    if model.available is not None:
        exponent = np.where(model.available, exponent, -np.inf)
    policy, value = boltzmann(exponent, model.temperature)
    return with_values(model, value, policy)
