r"""A leader who counts H steps of a stationary follower, as a table of pairs (step, state).

    J = Σ_{t<H} γ_Lᵗ ρ P_πᵗ c,   π the follower's answer to a world without end.

In the world's kernel state (t, s) leads to (t + 1, s'), and the last step nowhere; the follower plans with one in which (t, s)
leads to (0, s'), so that it answers every copy of s alike.  Source: SoBiRL K (contract design, navigation).  Each copy has the
rewards of s; derivatives by what was given are sums over the copies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.given import Given, Stated, Valued
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.plain_form import MadeWith
from boltzgrad.families.tabular.sweeps import matrix_of, paid, planned, soft_backup, soft_values

if TYPE_CHECKING:
    from boltzgrad.families.tabular.sensitivities import Sensitivities
    from boltzgrad.solvers.leader import LeaderSolution

EPS = float(np.finfo(float).eps)
ENTRY_LIMIT = 20_000_000


def clocked(model: TabularModel) -> TabularModel:
    """The table of a model with a `leader_horizon`.  Raises: InvalidModel if it is too large."""
    H, S = model.leader_horizon, model.n_states
    assert H is not None
    entries = H * int(np.size(model.kernel.values) + np.size(model.follower_kernel.values))
    if entries > ENTRY_LIMIT:
        raise InvalidModel(
            f"leader_horizon is {H}: kernels on (step, state) would hold {entries:.1e} entries, and at most {ENTRY_LIMIT:.0e} "
            "are tried; a sparse transition has fewer"
        )

    def each(x: Any) -> Any:
        return x if x is None or np.ndim(x) == 0 else np.tile(x, (H, *[1] * (np.ndim(x) - 1)))

    policies = each(model.reference), each(model.available), each(model.leader_reference)
    return TabularModel(
        _stepping(model.kernel, H),
        anp.concatenate([model.initial, np.zeros((H - 1) * S)]),
        anp.concatenate([model.follower_reward] * H),
        anp.concatenate([model.leader_reward] * H),
        _first_again(model.follower_kernel, H),
        follower_discount=model.follower_discount,
        leader_discount=model.leader_discount,
        temperature=model.temperature,
        reference=policies[0],
        available=policies[1],
        leader_temperature=model.leader_temperature,
        leader_reference=policies[2],
        unit=each(model.unit),
        moving=model.moving,
        made_with=MadeWith(model.temperature, model.leader_temperature, policies),
        given=Clocked(model),
    )


def _pattern(kernel: Kernel) -> tuple[Array, Array]:
    """(lengths of rows (S·A,), columns) of a kernel's values in their order."""
    S, A = kernel.n_states, kernel.n_actions
    if isinstance(kernel, DenseKernel):
        return np.full(S * A, S), np.tile(np.arange(S), S * A)
    return np.diff(kernel.pattern.indptr), np.asarray(kernel.pattern.indices)


def _stepping(kernel: Kernel, H: int) -> SparseKernel:
    """(t, s) leads to (t + 1, s'), and the last step nowhere."""
    S, A = kernel.n_states, kernel.n_actions
    lengths, columns = _pattern(kernel)
    indices = np.concatenate([columns + (t + 1) * S for t in range(H - 1)] or [np.zeros(0, int)])
    indptr = np.r_[0, np.cumsum(np.concatenate([np.tile(lengths, H - 1), np.zeros(S * A, int)]))]
    values = anp.concatenate([anp.ravel(kernel.values)] * (H - 1)) if H > 1 else np.zeros(0)
    return SparseKernel(SparsePattern(indptr, indices, n_states=H * S, n_actions=A), values)


def _first_again(kernel: Kernel, H: int) -> SparseKernel:
    """(t, s) leads to (0, s')."""
    lengths, columns = _pattern(kernel)
    indptr = np.r_[0, np.cumsum(np.tile(lengths, H))]
    pattern = SparsePattern(indptr, np.tile(columns, H), n_states=H * kernel.n_states, n_actions=kernel.n_actions)
    return SparseKernel(pattern, anp.concatenate([anp.ravel(kernel.values)] * H))


@dataclass(frozen=True, eq=False)
class Clocked(Given):
    """A model with a `leader_horizon`, as it was given."""

    model: TabularModel
    setting = "leader_horizon"

    @property
    def n_states(self) -> int:  # type: ignore[override]
        """Number of states S."""
        return self.model.n_states

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        """Number of actions A."""
        return self.model.n_actions

    @property
    def _steps(self) -> int:
        assert self.model.leader_horizon is not None
        return self.model.leader_horizon

    @property
    def words(self) -> str:  # type: ignore[override]
        """How many steps the leader counts."""
        return f", of which the leader counts {self._steps} step{'s' if self._steps > 1 else ''}"

    def leader(self, solution: LeaderSolution) -> LeaderSolution:
        """Values, Benefits and visits with a first axis for the step."""
        return replace(
            solution,
            value=self._by_step(solution.value),
            q=self._by_step(solution.q),
            advantage=self._by_step(solution.advantage),
            benefit=self._by_step(solution.benefit),
            occupancy=self._by_step(solution.occupancy),
            reward=self._by_step(solution.reward),
        )

    def untraced(self) -> Clocked:
        """The same in plain numbers."""
        return Clocked(self.model.untraced())

    def _by_step(self, x: Array) -> Array:
        return x.reshape(self._steps, self.n_states, *x.shape[1:])

    def cotangent(self, found: Sensitivities) -> Stated:
        """Sums over the steps."""
        model, steps = self.model, self._steps

        def summed(x: Array) -> Array:
            return np.asarray(self._by_step(x).sum(axis=0))

        def of_kernel(x: Any, kernel: Kernel, copies: int) -> Array:
            shape = np.shape(kernel.values)
            return np.zeros(shape) if not copies else np.asarray(x).reshape(copies, *shape).sum(axis=0)

        own = of_kernel(found.follower_transition, model.follower_kernel, steps)
        world = of_kernel(found.transition, model.kernel, steps - 1)
        tau = found.temperature
        return Stated(
            world if model.own_kernel else world + own,
            found.initial[: self.n_states],
            summed(found.follower_reward),
            summed(found.leader_reward),
            own if model.own_kernel else None,
            temperature=summed(tau) if np.ndim(tau) else tau,
            follower_discount=found.follower_discount,
            leader_discount=found.leader_discount,
            leader_temperature=found.leader_temperature,
            log_reference=summed(found.log_reference),
            log_leader_reference=summed(found.log_leader_reference),
        )

    def valued(self, start: Array | None) -> Valued:
        """The follower by value iteration, then H steps backward."""
        model, steps = self.model, self._steps
        follower = soft_values(model, start)
        policy = soft_backup(model, planned(model), follower.x)[1]
        reward, matrix = paid(model, policy), matrix_of(model.transition)
        value, most = np.zeros(self.n_states, dtype=np.result_type(reward, policy)), 0.0
        for _ in range(steps):
            value = (policy * (reward + model.leader_discount * (matrix @ value).reshape(policy.shape))).sum(axis=1)
            most = max(most, float(np.abs(value).max()))
        cold = float(np.abs(follower.x).max()) / model.temperature
        spread = float(np.abs(reward).max()) + most
        return Valued(
            model.initial @ value,
            follower.x,
            follower.change,
            follower.sweeps + steps,
            steps * 4.0 * EPS * (most + cold * spread),
            float(steps),
        )
