"""The explicit derivative of J in the matrices and in P, by autograd: what `implicit` and `conic` complete."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp

from boltzgrad.core.arrays import Array
from boltzgrad.core.linearise import constants_allowed
from boltzgrad.families.lqr.doubling import gain
from boltzgrad.families.lqr.model import LQArrays, LQModel
from boltzgrad.families.lqr.sweeps import value


def explicit(model: LQModel, P: Array) -> tuple[float, LQArrays, Array]:
    """(J, ∂J/∂(arrays) at fixed P, ∂J/∂P symmetrised)."""

    def J(parts: Any) -> Any:
        *arrays, cost = parts
        return value(model.with_arrays(LQArrays(*arrays)), cost)

    with constants_allowed():
        vjp, out = make_vjp(J, traced_tuple((*model.arrays().parts(), P)))
    *arrays, in_P = vjp(1.0)
    in_P = np.asarray(in_P)
    return float(out), LQArrays(*(np.asarray(x) for x in arrays)), (in_P + in_P.T) / 2


def riccati_forcing(model: LQModel, P: Array, column: LQArrays) -> tuple[Array, Array]:
    """(F, dS): the Riccati equation's derivative is dP = γF'dPF + dS, dS = dQ + K'dRK + sym 2γF'P(dA − dB K)."""
    gamma = model.follower_discount
    K, F = gain(model, P)
    half = gamma * F.T @ P @ (column.A - column.B @ K)
    return F, np.asarray(column.Q + K.T @ column.R @ K + half + half.T)
