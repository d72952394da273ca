r"""Maximum causal entropy inverse RL for episodes that end, as in `irl-maxent`.

A step of training climbs E_D[φ] − E_π[φ], visits counted to the end, for a planner that discounts by γ.  Counted with γᵗ that
is the gradient of f(θ) = E_D Σ γᵗ log π_θ(a_t|s_t), the objective here; the mixture is that of no likelihood.  It is zero
at the expert's own reward, like the right one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import boltzmann, dense, settled, visits_for_ever
from boltzgrad.audits.checkout import Checkout
from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import LogLikelihood
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_S, _A = 6, 3
_P = dense(3, _S, _A)[0]
_P[-1] = 0.0  # the last state ends the episode
_START = np.eye(_S)[0]
_EXPERT = np.random.default_rng(4).standard_normal(_S) - 2.0
_THETA = np.random.default_rng(5).standard_normal(_S) - 2.0
_FILE = "src/irl_maxent/maxent.py"
_RATES = (1.0, 0.99, 0.9, 0.7, 0.5)
_EPS = 1e-14  # both passes stop at changes of this size, not at the 1e-5 of the package: only formulas are judged
_NEVER = -1e200 * np.ones(_S)  # no further reward for stopping anywhere: the end is a state without successors


def _reward(theta: Any) -> Any:
    return anp.reshape(theta, (-1, 1)) * np.ones((1, _A))


def _policy(theta: Array, gamma: float) -> Array:
    return boltzmann(settled(_P, _reward(theta), gamma)[1])


def _likelihood(gamma: float, theta: Array) -> tuple[ConfigurableMDP, Array]:
    """The log-likelihood of an expert who plans with γ, visits counted with γᵗ."""
    expert = _policy(_EXPERT, gamma)
    weights = visits_for_ever(_P, _START, expert, gamma)[:, None] * expert

    def build(t: Any) -> TabularModel:
        return TabularModel(
            _P, _START, _reward(t), np.zeros((_S, _A)),
            follower_discount=gamma, leader_discount=gamma, temperature=1.0,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=_S, objective=LogLikelihood(weights), name="irl-maxent"), theta


def _gap(gamma: float, counted: float, theta: Array) -> Array:
    """E_D[φ] − E_π[φ] for planners with γ, visits counted with `counted`ᵗ."""
    return visits_for_ever(_P, _START, _policy(_EXPERT, gamma), counted) - visits_for_ever(
        _P, _START, _policy(theta, gamma), counted
    )


def _run(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    names = ("softmax", "local_causal_action_probabilities", "expected_svf_from_policy")
    theirs = code.functions(_FILE, *names, among={"np": np})
    p = np.moveaxis(_P, 1, 2)  # from, to, action

    def planned(theta: Array, gamma: float) -> Array:
        return np.asarray(theirs.local_causal_action_probabilities(p, _NEVER, theta, gamma, _EPS))

    def seen(theta: Array, gamma: float) -> Array:
        return np.asarray(theirs.expected_svf_from_policy(p, _START, [], planned(theta, gamma), _EPS))

    steps = {f"step_{gamma:g}": seen(_EXPERT, gamma) - seen(_THETA, gamma) for gamma in _RATES}
    return {"policy": planned(_THETA, 0.9), **steps}


_MISTAKE = "the planner discounts, the count of visits does not"

AUDIT = Audit(
    name="irl-maxent",
    sources=(
        Source(
            "qzed/irl-maxent",
            "549c3e3de05401ad303600d83cf78fc5d416803f",
            (f"{_FILE}: local_causal_action_probabilities, expected_svf_from_policy",),
        ),
    ),
    computes="the gradient of maximum causal entropy IRL for episodes that end (irl_causal)",
    shows="with a discount below one; with a discount of one the two passes fit",
    known="",
    cases=(
        Case(key="policy", of="policy", title="the planner's policy, γ = .9, run to 1e-14",
             problem=partial(_likelihood, 0.9, _THETA), expects="agrees"),
        Case(key="step_1", title="a training step's gradient, γ = 1", problem=partial(_likelihood, 1.0, _THETA),
             expects="agrees"),
        *(
            Case(
                key=f"step_{gamma:g}",
                title=f"a training step's gradient, γ = {gamma:g}",
                problem=partial(_likelihood, gamma, _THETA),
                mistake=_MISTAKE,
                remade=partial(_gap, gamma, 1.0, _THETA),
                repaired=partial(_gap, gamma, gamma, _THETA),
                near=1e-11,
            )
            for gamma in _RATES[1:]
        ),
    ),
    run=_run,
)  # fmt: skip
