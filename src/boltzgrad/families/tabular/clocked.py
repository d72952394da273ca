r"""A leader who counts H steps of a stationary follower, as a table of pairs (step, state).

    J = Σ_{t<H} γ_Lᵗ ρ P_πᵗ c,   π the follower's answer to a world without end.

In the world's kernel state (t, s) leads to (t + 1, s'), and the last step nowhere; the follower plans with one in which (t, s)
leads to (0, s'), so that it answers every copy of s alike.  Source: SoBiRL K (contract design, navigation).  Each copy has the
rewards of s; derivatives by what was given are sums over the copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.kernel import DenseKernel, Kernel, SparseKernel, SparsePattern
from boltzgrad.errors import InvalidModel
from boltzgrad.families.tabular.given import Given
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.plain_form import MadeWith

if TYPE_CHECKING:
    pass

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
    def steps(self) -> int:
        """How many the leader counts."""
        assert self.model.leader_horizon is not None
        return self.model.leader_horizon

    @property
    def words(self) -> str:  # type: ignore[override]
        """How many steps the leader counts."""
        return f", of which the leader counts {self.steps} step{'s' if self.steps > 1 else ''}"

    def untraced(self) -> Clocked:
        """The same in plain numbers."""
        return Clocked(self.model.untraced())
