"""MPI's processes, and PETSc between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import MissingExtra


def petsc() -> Any:
    """PETSc's module.  Raises: MissingExtra."""
    try:
        import petsc4py

        petsc4py.init([])
        from petsc4py import PETSc
    except (ImportError, ValueError) as error:  # a ValueError where it was built for another NumPy
        raise MissingExtra(
            f"boltzgrad.solvers.distributed needs petsc4py and mpi4py, built for this NumPy ({error}): "
            "`make petsc` in a checkout, which takes Debian's python3-petsc4py and python3-mpi4py with numpy<2, or pip install "
            "'boltzgrad[petsc]'"
        ) from None
    return PETSc


class Processes:
    """All processes of an `mpiexec`: `rank`, `size`, and what they work out together; `reductions` counts that."""

    def __init__(self) -> None:
        self.petsc = petsc()
        from mpi4py import MPI

        self._mpi, self._comm = MPI, MPI.COMM_WORLD
        self.rank, self.size = int(self._comm.rank), int(self._comm.size)
        self.reductions = 0

    def sum(self, x: Array) -> Array:
        """The sum of every process's x."""
        self.reductions += 1
        return np.asarray(self._comm.allreduce(np.asarray(x), op=self._mpi.SUM))

    def max(self, x: float) -> float:
        """The largest of every process's x."""
        self.reductions += 1
        return float(self._comm.allreduce(float(x), op=self._mpi.MAX))

    def joined(self, x: Array) -> Array:
        """Every process's x, one after the other."""
        return np.concatenate(self._comm.allgather(np.asarray(x)))
