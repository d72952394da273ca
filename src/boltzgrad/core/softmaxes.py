r"""Softmax, log-softmax and sigmoid for a `build`: autograd primitives whose derivatives do not cancel.

Where a probability is nearly one, 1 − p and p (x − Σ p x) lose all their digits: of softmax((0, −35)) written as e/Σe,
autograd's derivative is off by 30 %.  The rules here take the differences first, in both directions, and under a complex step:

    d softmax_a = p_a Σ_b p_b (dx_a − dx_b),   d log softmax_a = Σ_b p_b (dx_a − dx_b),   d σ = σ(x) σ(−x) dx.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import Box, defjvp, defvjp, primitive

from boltzgrad.core.arrays import Array

# An imaginary part below this is a derivative (its square is below rounding), and is carried as one.
_INFINITESIMAL = 1e-8
_FEW = 8


def centred(p: Any, x: Any) -> Any:
    """Σ_b p_b (x_a − x_b) over the last axis: x minus its mean under p, without the cancellation."""
    if isinstance(p, Box) or isinstance(x, Box):
        return anp.sum(p[..., None, :] * (x[..., :, None] - x[..., None, :]), axis=-1)
    if p.shape[-1] > _FEW:
        return np.einsum("...b,...ab->...a", p, x[..., :, None] - x[..., None, :])
    out = np.zeros(np.broadcast_shapes(p.shape, x.shape), np.result_type(p, x))
    for b in range(p.shape[-1]):  # few columns, perhaps millions of rows: nothing larger than x itself
        out += p[..., b : b + 1] * (x - x[..., b : b + 1])
    return out


def through_softmax(p: Any, x: Any) -> Any:
    """The derivative of softmax applied to x, p_a Σ_b p_b (x_a − x_b); it is symmetric, so the pull-back, too."""
    return p * centred(p, x)


def _against_log_softmax(p: Any, g: Any) -> Any:
    """The pull-back of log-softmax, g_a − p_a Σ_b g_b = Σ_b (g_a p_b − p_a g_b)."""
    return anp.sum(g[..., :, None] * p[..., None, :] - p[..., :, None] * g[..., None, :], axis=-1)


@primitive
def softmax(logits: Any) -> Any:
    """Boltzmann probabilities exp(x_a)/Σ_b exp(x_b) over the last axis; traced by autograd, valid under a complex step.

    Shapes: (…, A) -> (…, A).

    >>> softmax(np.zeros(2))
    array([0.5, 0.5])
    """
    x = np.asarray(logits)
    if np.iscomplexobj(x):
        if np.abs(x.imag).max(initial=0.0) < _INFINITESIMAL:
            p = _softmax(x.real)
            return p + 1j * through_softmax(p, x.imag)
        e = np.exp(x - x.real.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
    return _softmax(x)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


@primitive
def log_softmax(logits: Any) -> Any:
    """The logarithm of a softmax over the last axis, x_a − log Σ_b exp(x_b), with all digits also where it is nearly zero.

    Shapes: (…, A) -> (…, A).

    >>> float(log_softmax(np.array([40.0, 0.0]))[0]) < 0.0
    True
    """
    x = np.asarray(logits)
    if np.iscomplexobj(x):
        if np.abs(x.imag).max(initial=0.0) < _INFINITESIMAL:
            return _log_softmax(x.real) + 1j * centred(_softmax(x.real), x.imag)
        x = x - x.real.max(axis=-1, keepdims=True)
        return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return _log_softmax(x)


def _log_softmax(x: Array) -> Array:
    x = x - x.max(axis=-1, keepdims=True)
    e = np.exp(x)
    # The largest is exp(0) = 1: what the others add is summed apart, so that log1p keeps its digits.
    np.put_along_axis(e, x.argmax(axis=-1)[..., None], 0.0, axis=-1)
    return np.asarray(x - np.log1p(e.sum(axis=-1, keepdims=True)))


@primitive
def sigmoid(x: Any) -> Any:
    """1/(1 + exp(−x)), entry by entry; traced by autograd, valid under a complex step.

    >>> float(sigmoid(0.0))
    0.5
    """
    x = np.asarray(x)
    if np.iscomplexobj(x):
        if np.abs(x.imag).max(initial=0.0) < _INFINITESIMAL:
            return _sigmoid(x.real) + 1j * x.imag * _sigmoid(x.real) * _sigmoid(-x.real)
        return 1.0 / (1.0 + np.exp(-x))
    return _sigmoid(x)


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


defvjp(softmax, lambda ans, x: lambda g: through_softmax(ans, g))
defjvp(softmax, lambda g, ans, x: through_softmax(ans, g))
defvjp(log_softmax, lambda ans, x: lambda g: _against_log_softmax(softmax(x), g))
defjvp(log_softmax, lambda g, ans, x: centred(softmax(x), g))
defvjp(sigmoid, lambda ans, x: lambda g: g * ans * sigmoid(-x))
defjvp(sigmoid, lambda g, ans, x: g * ans * sigmoid(-x))
