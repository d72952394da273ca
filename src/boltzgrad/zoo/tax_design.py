"""Tax design: households work and spend, and their wealth is what taxes leave of it."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import sigmoid, softmax
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import positive_integer, real

TASTES = ((0.6, 0.3, 0.1), (0.1, 0.7, 0.2))  # exponents of a household type, as likely as one another
RANGE, HOURS, SPENDING = 100.0, 9 * 0.89, 4 * 1.25
FIRST_TAX, MOST_TAX = 0.3, 2.0


def tax_design(
    wealth_nodes: int = 21, hours: int = 4, spending: int = 2, discount: float = 0.9, temperature: float = 0.3
) -> ConfigurableMDP:
    """θ (4,): taxes 2σ on three goods, y, and on income, z; σ(θ + logit .15), so that all are .3 at θ = 0.

    A household of wealth w works h hours and spends C (3,): r_F = U(w) − .1h² + Π (C/(1 + y))^ν, U = log(1 + w/20) or, below
    zero, w; r_L = min(w, 0) + 3 mean(C/(1 + y)) + 5 log(1 + Σ yC/(1 + y) + zh).  Wealth becomes w + (1 − z)h − ΣC, cut
    to ±100, plus N(0, 25): so θ is in the kernel.  ν is the household's type, the context.  Source: the code published with
    HPGD (its A has the application), which has all these numbers, τ = .1, .2, .3, h in 10 steps up to 8.01 and C in 5 up
    to 5.  Chosen here: `wealth_nodes` on ±100, on which Gaussians are weights that sum to one; `hours` and `spending` say in
    how many steps those are (10 and 5 are 1250 actions, as published); τ = .3; no 200-step limit.  Raises: InvalidOption,
    InvalidModel.
    """
    G = positive_integer("wealth_nodes", wealth_nodes, least=2)
    steps = positive_integer("hours", hours, least=2), positive_integer("spending", spending, least=2)
    w, h, c = np.linspace(-RANGE, RANGE, G), *actions(*steps)
    kept = np.where(w > 0.0, np.log1p(np.maximum(w, 0.0) / 20.0), w)[:, None]
    start = np.asarray(softmax(-(w**2) / (2.0 * 2.0)))
    gamma, tau = real("discount", discount), real("temperature", temperature)
    rates: dict[str, Any] = {"follower_discount": gamma, "leader_discount": gamma, "temperature": tau}
    first = np.log(FIRST_TAX / (MOST_TAX - FIRST_TAX))

    def build(theta: Any) -> ContextualModel:
        tax = MOST_TAX * sigmoid(theta + first)
        y, z = tax[:3], tax[3]
        bought = c / (1.0 + y)
        left = w[:, None] + (1.0 - z) * h - anp.sum(c, axis=1)  # (G, actions)
        inside = anp.where(np.abs(anp.real(left)) <= RANGE, left, RANGE * anp.sign(anp.real(left)))
        move = softmax(-((w - inside[:, :, None]) ** 2) / (2.0 * 25.0))
        welfare = 3.0 * anp.mean(bought, axis=1) + 5.0 * anp.log(1.0 + anp.sum(y * bought, axis=1) + z * h)
        leader = np.minimum(w, 0.0)[:, None] + welfare
        models = []
        for taste in np.array(TASTES):
            # Written so that nothing is spent on a good at no infinite slope.
            enjoyed = np.prod(c**taste, axis=1) * anp.exp(-anp.sum(taste * anp.log(1.0 + y)))
            follower = kept - 0.1 * h**2 + enjoyed
            models.append(TabularModel(move, start, follower, leader, **rates))
        return ContextualModel(models, np.full(len(models), 1.0 / len(models)))

    return ConfigurableMDP(build, dim=4, initial_scale=0.3, name="tax-design")


def actions(hours: int, spending: int) -> tuple[Array, Array]:
    """(hours worked (n,), what is spent on each good (n, 3)) of every joint action."""
    each = np.meshgrid(np.linspace(0.0, HOURS, hours), *[np.linspace(0.0, SPENDING, spending)] * 3, indexing="ij")
    flat = np.stack([x.ravel() for x in each], axis=1)
    return flat[:, 0], flat[:, 1:]
