r"""Stackelberg learning in matrix games with an entropy for the follower, as in `ICML-2020-Implicit-Stackelberg-Learning`.

Both players have two actions and a logit each.  With the entropy option the follower minimises π₁'Bπ₂ + τ Σ π₂ log π₂, whose
answer is Boltzmann's, and the leader's total derivative is D₁f₁ − D₁₂f₂ (D₂₂f₂)⁻¹ D₂f₁.  The D₂₂f₂ of the notebook has no
second derivative of the entropy.  A guard against that combination is there, and says "or" where it needs "and".
"""

from __future__ import annotations

from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.checkout import Checkout
from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import Regulariser
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

# The notebook's game and the slope of its logits.
_COST_1, _COST_2, _SLOPE = np.eye(2), np.array([[0.5, 1.0], [1.0, 0.5]]), 2.5
_AT = np.array([0.3])
_TEMPERATURES = (1.0, 0.5, 0.2)


def _logits(x: Any) -> Any:
    return anp.concatenate((_SLOPE * x, -_SLOPE * x))


def _game(tau: float) -> tuple[ConfigurableMDP, Array]:
    """One state, no successors: the leader's payment −f₁ under the follower's answer; her own entropy is a regulariser."""

    def build(x: Any) -> TabularModel:
        own = softmax(_logits(x))
        return TabularModel(
            np.zeros((1, 2, 1)), [1.0], anp.reshape(-anp.dot(own, _COST_2), (1, 2)),
            anp.reshape(-anp.dot(own, _COST_1), (1, 2)), follower_discount=0.0, leader_discount=0.0, temperature=tau,
        )  # fmt: skip

    def own_entropy(x: Any) -> Any:
        own = softmax(_logits(x))
        return -tau * anp.sum(own * anp.log(own))

    return ConfigurableMDP(build, dim=1, regulariser=Regulariser(own_entropy), name="matrix game"), _AT


def _answer(tau: float) -> float:
    """The follower's logit x₂ at her answer: π₂ ∝ exp(−π₁'B/τ)."""
    own = np.exp(_logits(_AT)) / np.exp(_logits(_AT)).sum()
    cost = own @ _COST_2
    return float((cost[1] - cost[0]) / (2.0 * _SLOPE * tau))


def _total(tau: float, *, entropys_bend: bool) -> Array:
    """−Df₁ by the formula, with or without what the entropy adds to D₂₂f₂."""

    def chance(x: float) -> Array:
        first = 1.0 / (1.0 + np.exp(-2.0 * _SLOPE * x))
        return np.array([first, 1.0 - first])

    x, y = float(_AT[0]), _answer(tau)
    own, other = chance(x), chance(y)
    d_own = 2.0 * _SLOPE * own[0] * own[1] * np.array([1.0, -1.0])
    d_other = 2.0 * _SLOPE * other[0] * other[1] * np.array([1.0, -1.0])
    dd_other = 2.0 * _SLOPE * (other[1] - other[0]) * d_other
    bend = own @ _COST_2 @ dd_other
    if entropys_bend:
        bend += tau * (dd_other @ np.log(other) + (d_other**2 / other).sum())
    direct = d_own @ _COST_1 @ other + tau * d_own @ np.log(own)
    return np.array([-(direct - d_own @ _COST_2 @ d_other / bend * (own @ _COST_1 @ d_other))])


def _run(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    names = ("softmax_2actions", "bimatrix_2player_2actions")
    theirs = code.functions("experiments/bimatrix-games.ipynb", *names, among={"np": np})
    out = {}
    for tau in _TEMPERATURES:
        options = {"softmax_temperature": _SLOPE, "softmax_shift": [0, 0], "reg_l2_self": 0.0, "reg_ent_self": tau}
        *_, (_, stackgrad, _) = theirs.bimatrix_2player_2actions(_COST_1, _COST_2, **options)
        out[f"total_{tau:g}"] = -np.asarray(stackgrad(float(_AT[0]), _answer(tau)))[:1]
    return out


AUDIT = Audit(
    name="implicit-stackelberg",
    sources=(
        Source(
            "fiezt/ICML-2020-Implicit-Stackelberg-Learning",
            "371b48c038c60faf3355479bd56f70a4fc07f26b",
            ("experiments/bimatrix-games.ipynb: bimatrix_2player_2actions (stackgrad)",),
        ),
    ),
    computes="the leader's total derivative in a matrix game, with the notebook's option of an entropy",
    shows="with the entropy option; the published runs have it off",
    known="",
    cases=tuple(
        Case(
            key=f"total_{tau:g}",
            title=f"stackgrad at the follower's answer, reg_ent_self = {tau:g}",
            problem=partial(_game, tau),
            mistake="the follower's second derivative lacks that of the entropy",
            remade=partial(_total, tau, entropys_bend=False),
            repaired=partial(_total, tau, entropys_bend=True),
        )
        for tau in _TEMPERATURES
    ),
    run=_run,
)
