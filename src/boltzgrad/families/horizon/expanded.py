"""The tabular routes on the same problem as a table of (step, state): a chain whose every episode ends after H steps.

State t·S + s is state s at step t; the last step's rows are empty, and what its successors are worth is in its rewards.
None of the backward induction is used: only the arrays that the build returns.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import Box

from boltzgrad.core.arrays import Array
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import Route, RouteResult
from boltzgrad.errors import BoltzgradError, InvalidModel
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.conic import CONIC
from boltzgrad.families.tabular.contexts import ContextualModel, as_contexts
from boltzgrad.families.tabular.covariance import COVARIANCE
from boltzgrad.families.tabular.hessian import HESSIAN
from boltzgrad.families.tabular.hpgd import HPGD
from boltzgrad.families.tabular.implicit import IMPLICIT
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.penalty import PENALTY
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.reference import tabular_hypergradient
from boltzgrad.witnesses.tape import kernel_product

ENTRY_LIMIT = 2_000_000


def expanded(problem: ConfigurableMDP, theta: Array | None = None) -> ConfigurableMDP:
    """The problem on pairs (step, state), whose hypergradient is the same; a general objective's shapes are those at θ."""

    def build(theta: Any) -> ContextualModel:
        contexts = as_contexts(problem.build(theta))
        return ContextualModel([expanded_model(m) for m in contexts.models], contexts.probabilities)

    other = ConfigurableMDP(build, dim=problem.dim, entry_error=problem.entry_error, name=problem.name)
    other.regulariser, other.objective = problem.regulariser, problem.objective
    if isinstance(problem.objective, PolicyObjective):
        other.objective = _on_pairs(problem.objective, problem, problem.initial_theta(0) if theta is None else theta)
    return other


def expanded_model(m: FiniteHorizonModel) -> TabularModel:
    """One model on (step, state); raises InvalidModel for what a table has no word for."""
    H, S, A = m.horizon, m.n_states, m.n_actions
    tau: Any = anp.concatenate([m.temperature] * H) if m.temperature.ndim else _number(m.temperature)

    def each(x: Any) -> Any:
        return anp.reshape(x if x.ndim == 3 else x * np.ones((H, 1, 1)), (H * S, A))

    # τ log π⁰ is what a reference adds to a reward, and τ_L log π⁰_L to the leader's: SoBiRL 2.2.
    return TabularModel(
        _pairs(m, "transition"),
        anp.concatenate([m.initial, np.zeros((H - 1) * S)]),
        each(_with_end(m, "follower_reward", m.follower_discount, m.terminal_follower_reward, m.own_kernel))
        + (tau[:, None] if m.temperature.ndim else tau) * each(m.log_reference),
        each(_with_end(m, "leader_reward", m.leader_discount, m.terminal_leader_reward, False))
        + m.leader_temperature * each(m.log_leader_reference),
        _pairs(m, "follower_transition") if m.own_kernel else None,
        follower_discount=_number(m.follower_discount),
        leader_discount=_number(m.leader_discount),
        temperature=tau,
        available=None if m.mask is None else each(m.mask) > 0,
        leader_temperature=_number(m.leader_temperature),
    )


def _number(x: Any) -> Any:
    return x if isinstance(x, Box) or np.iscomplexobj(x) else float(x)


def _with_end(m: FiniteHorizonModel, name: str, discount: Any, terminal: Any, own: bool) -> Any:
    """Rewards (H, S, A), the last step's with γ P terminal."""
    x = getattr(m, name)
    steps = [anp.reshape(x[t] if x.ndim == 3 else x, (1, *x.shape[-2:])) for t in range(m.horizon)]
    kernel = m.kernels(own)[-1]
    steps[-1] = steps[-1] + discount * kernel_product(
        kernel, kernel.values, followed(terminal), (m.n_states, m.n_actions)
    )
    return anp.concatenate(steps)


def _pairs(m: FiniteHorizonModel, name: str) -> SparseKernel:
    """A kernel on pairs: step t leads to step t + 1, and the last nowhere."""
    H, S, A = m.horizon, m.n_states, m.n_actions
    pattern = m.patterns[name == "follower_transition"]
    if pattern is None:
        pattern = SparsePattern(np.arange(S * A + 1) * S, np.tile(np.arange(S), S * A), n_states=S, n_actions=A)
    steps = [anp.ravel(k.values) for k in m.kernels(name == "follower_transition")[: H - 1]]
    columns = np.concatenate([pattern.indices + (t + 1) * S for t in range(H - 1)] or [np.zeros(0, int)])
    lengths = np.concatenate([np.tile(np.diff(pattern.indptr), H - 1), np.zeros(S * A, int)])
    whole = SparsePattern(np.r_[0, np.cumsum(lengths)], columns.astype(int), n_states=H * S, n_actions=A)
    return SparseKernel(whole, anp.concatenate(steps) if steps else np.zeros(0))


def _on_pairs(objective: PolicyObjective, problem: ConfigurableMDP, at: Array) -> PolicyObjective:
    """A function of the policy (H, S, A), of the same as (H·S, A).  Raises: InvalidModel where two contexts' look alike."""
    sizes: dict[int, tuple[int, ...]] = {}
    for m in problem.contexts(at).models:
        size = (m.horizon, m.n_states, m.n_actions)
        if sizes.setdefault(m.horizon * m.n_states, size) != size:
            raise InvalidModel(
                "contexts of unlike horizons have as many pairs (step, state): f(theta, policy) is not told which"
            )

    def shaped(policy: Any) -> Any:
        return anp.reshape(policy, sizes[policy.shape[0]])

    def gradient(theta: Array, policy: Array) -> tuple[Array, Array]:
        direct, slope = objective.gradients(theta, shaped(policy))
        return direct, slope.reshape(policy.shape)

    def variation(theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
        assert objective.variation is not None
        direct, slope = objective.variation(theta, shaped(policy), shaped(error))
        return direct, slope.reshape(policy.shape)

    known = variation if objective.variation is not None else None
    return PolicyObjective(lambda theta, policy: objective.function(theta, shaped(policy)), gradient, known)


def no_table(problem: ConfigurableMDP, theta: Array) -> str:
    """Why there is no such table, or ""."""
    if not problem.traced:
        return "the table's derivative would be autograd's, and this problem has its own"
    for m in problem.contexts(theta).models:
        entries = m.horizon * max(k.values.size for k in (m.kernels()[0], m.kernels(own=True)[0]))
        if entries > ENTRY_LIMIT:
            return f"the kernel on (step, state) would hold {entries:.1e} entries"
    try:
        expanded(problem, theta).linearise(theta)
    except BoltzgradError as error:  # a θ-dependent τ_L, which a table has no word for
        return f"no such table: {error}"
    return ""


def on_pairs(route: Route) -> Route:
    """A tabular route on the problem of (step, state)."""

    def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
        return route.run(expanded(problem, theta), theta)

    def skip(problem: ConfigurableMDP, theta: Array) -> str:
        return no_table(problem, theta) or route.skip(expanded(problem, theta), theta)

    return Route(f"expanded-{route.name}", f"on (step, state): {route.summary}", run, skip, route.independent)


def _adjoint(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    found = tabular_hypergradient(expanded(problem, theta), theta)
    return RouteResult(found.value, found.gradient, 0.0)


EXPANDED = (
    Route("expanded-adjoint", "on (step, state): the tabular reference, by Newton", _adjoint, no_table),
    *map(on_pairs, (COVARIANCE, HPGD, IMPLICIT, PENALTY, HESSIAN, CONIC)),
)
