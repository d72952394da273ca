r"""Tables that no single machine holds: the reference hypergradient on PETSc, by rows over MPI's processes.

    mpiexec -n 2 boltzgrad verify grid-world --set size=1000 --distributed

Every process builds the rows of its own states (`core.row_block.Rows`), and holds what belongs to them: values, policies,
occupancy, cotangents.  What it reads of others are the values of the successors that its states lead to, gathered once a
product (`chain.Chain`).  The mathematics is the reference's (`families/tabular/adjoint.py`), solved by inexact Newton with
BiCGSTAB and a block ILU (`reference`); residuals are computed by the products themselves, and never PETSc's own word for it.

Needs petsc4py and mpi4py, of the system (Debian: python3-petsc4py, python3-mpi4py): the extra `[petsc]` names them.
"""

from boltzgrad.solvers.distributed.processes import Processes
from boltzgrad.solvers.distributed.reference import DistributedHypergradient, expected_return, hypergradient

__all__ = ["DistributedHypergradient", "Processes", "expected_return", "hypergradient"]
