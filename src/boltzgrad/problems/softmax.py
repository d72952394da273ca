"""Softmax over the last axis: traceable, valid under a complex step, with a derivative that does not cancel."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.problems.kernel import Array
from boltzgrad.problems.validation import untraced


def softmax(logits: Any) -> Any:
    """Softmax over the last axis; the shift is a constant, so tracing and complex steps pass through.

    >>> softmax(np.zeros(2))
    array([0.5, 0.5])
    """
    e = anp.exp(logits - np.max(np.real(untraced(logits)), axis=-1, keepdims=True))
    return e / anp.sum(e, axis=-1, keepdims=True)


def through_softmax(p: Array, x: Array) -> Array:
    """The derivative of softmax applied to x, p_a Σ_b p_b (x_a − x_b); it is symmetric, so the pull-back, too.

    p (x − Σ p x) would lose all digits where p is nearly deterministic: the differences are taken first.
    """
    if p.shape[-1] > 8:
        return np.asarray(p * np.einsum("...b,...ab->...a", p, x[..., :, None] - x[..., None, :]))
    out = np.zeros_like(p)
    for b in range(p.shape[-1]):  # few columns, perhaps millions of rows: nothing larger than x itself
        out += p[..., b : b + 1] * (x - x[..., b : b + 1])
    out *= p
    return np.asarray(out)
