r"""The rows of a kernel that a process holds, and systems with I − γ P_π over all processes.

A process's states lead to some of its own and to some of others': its *ghosts*.  A product with P gathers their values first, a
transposed one adds to them afterwards; on a grid whose rows are cut into strips a process has two rows of ghosts, whatever
its own number of states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.row_block import RowBlock
from boltzgrad.errors import NotConverged
from boltzgrad.solvers.distributed.processes import Processes

_REFINED = 8
_EPS = float(np.finfo(float).eps)


class Chain:
    """p(s'|s,a) for a process's n states, (n·A) rows over the states that they lead to."""

    def __init__(self, block: RowBlock, processes: Processes) -> None:
        self.processes, self.n_states = processes, block.n_states
        (self.n, self.A), self.first = block.follower_reward.shape, block.first
        mine = np.arange(self.first, self.first + self.n)
        self.reached = np.union1d(block.successors, mine)
        self.at, self.mine = np.searchsorted(self.reached, block.successors), np.searchsorted(self.reached, mine)
        rows, k = block.successors.shape
        self.own = sparse.csr_array(
            (block.probabilities.ravel(), self.at.ravel(), np.arange(rows + 1) * k), shape=(rows, self.reached.size)
        )
        self.ghosts = int(self.reached.size) - self.n
        PETSc = processes.petsc
        self._vector = PETSc.Vec().createMPI((self.n, self.n_states))
        self._local = PETSc.Vec().createSeq(self.reached.size)
        places = PETSc.IS().createGeneral(self.reached.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self._vector, places, self._local, None)
        self.gathered = 0

    def gather(self, v: Array) -> Array:
        """v (n,) of all processes at the states that this one's lead to."""
        PETSc = self.processes.petsc
        self._vector.setArray(v)
        self._scatter.scatter(self._vector, self._local, PETSc.InsertMode.INSERT, PETSc.ScatterMode.FORWARD)
        self.gathered += 1
        return np.array(self._local.getArray())

    def expect(self, v: Array) -> Array:
        """Σ_s' p(s'|s,a) v(s'): (n,) → (n, A)."""
        return np.asarray((self.own @ self.gather(v)).reshape(self.n, self.A))

    def accumulate(self, x: Array) -> Array:
        """Σ_{s,a} p(s'|s,a) x(s,a) over all processes: (n, A) → (n,)."""
        PETSc = self.processes.petsc
        self._local.setArray(self.own.T @ x.ravel())
        self._vector.set(0.0)
        self._scatter.scatter(self._local, self._vector, PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
        self.gathered += 1
        return np.array(self._vector.getArray())

    def under(self, policy: Array) -> Any:
        """P_π of this process's states, (n, reached), as a CSR matrix with each entry once."""
        where = sparse.csr_array(
            (policy.ravel(), np.arange(policy.size), np.arange(self.n + 1) * self.A), shape=(self.n, policy.size)
        )
        out = where @ self.own
        out.sum_duplicates()
        return out


@dataclass(frozen=True, eq=False)
class Answer:
    """x (n,), the largest residual |b − Mx| of any state as computed afterwards, and how many iterations it took."""

    x: Array
    residual: float
    iterations: int


class System:
    """I − γ P_π and its transpose, factorised by blocks: BiCGSTAB with the incomplete factors of each process's own rows."""

    def __init__(self, chain: Chain, policy: Array, discount: float) -> None:
        PETSc = chain.processes.petsc
        self.chain, self.policy, self.discount = chain, policy, discount
        ones = sparse.csr_array(
            (np.ones(chain.n), chain.mine, np.arange(chain.n + 1)), shape=(chain.n, chain.reached.size)
        )
        matrix = (ones - discount * chain.under(policy)).tocsr()
        matrix.sort_indices()
        kind = PETSc.IntType
        csr = (matrix.indptr.astype(kind), chain.reached[matrix.indices].astype(kind), matrix.data)
        shape = (chain.n, chain.n_states)
        self._matrix = PETSc.Mat().createAIJ(size=(shape, shape), csr=csr)
        self._solver = solver = PETSc.KSP().create()
        solver.setOperators(self._matrix)
        solver.setType("bcgs")
        solver.getPC().setType("bjacobi")  # with ILU(0) of each process's rows
        self._b, self._x = (PETSc.Vec().createMPI(shape) for _ in range(2))

    def solve(self, b: Array, *, relative: float = 0.0) -> Answer:
        """(I − γ P_π)⁻¹ b, to `relative` of b, or as far as float64 goes.  Raises: NotConverged."""

        def product(x: Array) -> Array:
            return np.asarray(x - self.discount * (self.policy * self.chain.expect(x)).sum(axis=1))

        return self._refined(b, product, self._solver.solve, relative)

    def solve_transposed(self, b: Array) -> Answer:
        """(I − γ P_π)⁻ᵀ b, as far as float64 goes.  Raises: NotConverged."""

        def product(x: Array) -> Array:
            return np.asarray(x - self.discount * self.chain.accumulate(self.policy * x[:, None]))

        return self._refined(b, product, self._solver.solveTranspose, 0.0)

    def _refined(self, b: Array, product: Any, solve: Any, relative: float) -> Answer:
        """Corrections until the residual, which the model's own product tells, is as small as it gets."""
        processes = self.chain.processes
        best, left, count = np.zeros_like(b), b, 0
        residual = size = processes.max(float(np.abs(b).max(initial=0.0)))
        goal = max(relative, 8.0 * _EPS) * size
        for turn in range(_REFINED):
            if residual <= goal:
                break
            # PETSc measures in the 2-norm, and preconditioned: a goal for the largest entry is reached by asking for more.
            self._solver.setTolerances(rtol=max(relative * 0.1 ** (turn + 1), 1e-10), max_it=5000)
            self._b.setArray(left)
            solve(self._b, self._x)
            count += int(self._solver.getIterationNumber())
            x = best + np.array(self._x.getArray())
            rest = b - product(x)
            now, before = processes.max(float(np.abs(rest).max(initial=0.0))), residual
            if now < residual:
                best, left, residual = x, rest, now
            if not relative and not now < 0.5 * before:  # rounding: nothing is left to gain
                break
        # A residual cannot fall below what x itself rounds off.
        floor = 64.0 * _EPS * max(size, processes.max(float(np.abs(best).max(initial=0.0))))
        if not residual <= max(goal, floor):
            raise NotConverged(
                f"BiCGSTAB with block ILU left a residual of {residual:.3g} over {processes.size} processes "
                f"({self.chain.n_states} states, discount {self.discount}), asked for {max(goal, floor):.3g}"
            )
        return Answer(best, residual, count)

    def destroy(self) -> None:
        """Free what PETSc holds."""
        for part in (self._solver, self._matrix, self._b, self._x):
            part.destroy()
