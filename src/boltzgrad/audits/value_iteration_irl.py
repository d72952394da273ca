r"""Maximum entropy inverse RL whose planner takes maxima: Alger's `Inverse-Reinforcement-Learning`, and `irl-imitation`.

Both climb E_D[φ] − E_π[φ] over T steps, undiscounted, for a policy from value iteration.  With the soft-optimal policy of
the same γ that difference, though no gradient of this likelihood, is zero at the expert's own reward, and so is

    ∇ Σ_{t<T} E_D log π_θ(a_t|s_t),

which is the objective here: the demonstrations' log-likelihood.  Alger's followers are paid for where they arrive, r(s'),
the others for where they are.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import boltzmann, dense, settled, visits
from boltzgrad.audits.checkout import Checkout
from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import LogLikelihood
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_S, _A, _T, _GAMMA = 5, 3, 6, 0.9
_P = dense(6, _S, _A)[0]
_START = np.eye(_S)[0]
_EXPERT = np.random.default_rng(7).uniform(0.5, 1.5, _S)
_THETA = np.random.default_rng(8).uniform(0.5, 1.5, _S)


def _reward(theta: Any, *, on_arrival: bool) -> Any:
    """r(s') or r(s), as (S, A)."""
    return anp.dot(_P, theta) if on_arrival else anp.reshape(theta, (-1, 1)) * np.ones((1, _A))


def _soft(theta: Array, *, on_arrival: bool) -> Array:
    return boltzmann(settled(_P, _reward(theta, on_arrival=on_arrival), _GAMMA)[1])


def _seen(policy: Array) -> Array:
    return visits(_P, _START, policy, 1.0, _T)


def _likelihood(on_arrival: bool, theta: Array) -> tuple[ConfigurableMDP, Array]:
    """The log-likelihood of a soft-optimal expert's first T steps."""
    expert = _soft(_EXPERT, on_arrival=on_arrival)

    def build(t: Any) -> TabularModel:
        return TabularModel(
            _P, _START, _reward(t, on_arrival=on_arrival), np.zeros((_S, _A)),
            follower_discount=_GAMMA, leader_discount=_GAMMA, temperature=1.0,
        )  # fmt: skip

    objective = LogLikelihood(_seen(expert)[:, None] * expert)
    return ConfigurableMDP(build, dim=_S, objective=objective, name="max-ent IRL"), theta


# --- Alger's -------------------------------------------------------------------------------------------------------------


def _of_maxima(theta: Array) -> Array:
    """softmax(Q) of a Q from maxima, γ = .9, paid on arrival."""
    return boltzmann(settled(_P, _reward(theta, on_arrival=True), _GAMMA, hard=True)[1])


def _left_over(policy_of: Any) -> Array:
    """What is left of E_D[φ] − E_π[φ] at the expert's own reward."""
    return np.asarray(_seen(_soft(_EXPERT, on_arrival=True)) - _seen(policy_of(_EXPERT)))


def _run_alger(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    planner = code.functions("irl/value_iteration.py", "optimal_value", "find_policy", among={"np": np})

    def tightly(*args: Any) -> Any:
        return planner.find_policy(*args, threshold=1e-13)

    among = {"np": np, "product": product, "value_iteration": SimpleNamespace(find_policy=tightly)}
    maxent = code.functions("irl/maxent.py", "find_expected_svf", among=among)
    steps = np.zeros((1, _T, 2), int)  # one trajectory from the first state, for its length and its start
    own = maxent.find_expected_svf(_S, _EXPERT, _A, _GAMMA, _P, steps)
    expert = _seen(_soft(_EXPERT, on_arrival=True))
    return {"policy": tightly(_S, _A, _P, _THETA, _GAMMA), "at_the_expert": expert - own}


# Visits of the state where the experts are most: the first.
_UNIT = float(_seen(_soft(_EXPERT, on_arrival=True)).max())

ALGER = Audit(
    name="inverse-reinforcement-learning",
    sources=(
        Source(
            "MatthewJA/Inverse-Reinforcement-Learning",
            "954508bcfb30bc356f71a0646e767d1703a8c753",
            ("irl/value_iteration.py: optimal_value, find_policy", "irl/maxent.py: find_expected_svf"),
        ),
    ),
    computes="the gradient of maximum entropy IRL over T steps (maxent.irl)",
    shows="at every reward; the planner's threshold (.01) is tightened to 1e-13 here, so that only the formula is judged",
    known="issue 4 of the repository (2017, open) asks whether this is a bug",
    cases=(
        Case(
            key="policy",
            of="policy",
            title="the planner's policy, γ = .9",
            problem=partial(_likelihood, True, _THETA),
            mistake="max for the soft maximum",
            remade=partial(_of_maxima, _THETA),
            repaired=partial(_soft, _THETA, on_arrival=True),
            near=1e-12,
            tolerance=1e-11,
        ),
        Case(
            key="at_the_expert",
            title="a training step's gradient at the expert's own reward, γ = .9",
            problem=partial(_likelihood, True, _EXPERT),
            mistake="max for the soft maximum: the step does not rest where the demonstrations are explained",
            remade=partial(_left_over, _of_maxima),
            repaired=partial(_left_over, partial(_soft, on_arrival=True)),
            near=1e-10,
            unit=_UNIT,
        ),
    ),
    run=_run_alger,
)


# --- irl-imitation -------------------------------------------------------------------------------------------------------


def _of_values(theta: Array) -> Array:
    """A policy proportional to Q itself, Q from maxima, paid in the state that is left."""
    q = settled(_P, _reward(theta, on_arrival=False), _GAMMA, hard=True)[1]
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def _out_of_order(policy: Array) -> Array:
    """Visits when each state is carried through all steps before the next state has begun."""
    mu = np.zeros((_S, _T))
    mu[:, 0] = _START
    chain = np.einsum("sa,sat->st", policy, _P)
    for s in range(_S):
        for t in range(_T - 1):
            mu[s, t + 1] = mu[:, t] @ chain[:, s]
    return np.asarray(mu.sum(axis=1))


def _step_out_of_order(policy_of: Any, count: Any) -> Array:
    return np.asarray(_seen(_soft(_EXPERT, on_arrival=False)) - count(policy_of(_EXPERT)))


def _run_imitation(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    planner = code.functions("mdp/value_iteration.py", "value_iteration", among={"np": np})
    counter = code.functions("maxent_irl.py", "compute_state_visition_freq", among={"np": np})
    p = np.moveaxis(_P, 1, 2)  # from, to, action
    trajectory = [SimpleNamespace(cur_state=0)] * _T

    def planned(theta: Array) -> Array:
        return np.asarray(planner.value_iteration(p, theta, _GAMMA, error=1e-13, deterministic=False)[1])

    def counted(policy: Array) -> Array:
        return np.asarray(counter.compute_state_visition_freq(p, _GAMMA, [trajectory], policy, deterministic=False))

    expert = _soft(_EXPERT, on_arrival=False)
    return {
        "policy": planned(_THETA),
        "with_ten_more": planned(_THETA + 10.0),
        "visits_alone": _seen(expert) - counted(expert),
        "at_the_expert": _seen(expert) - counted(planned(_EXPERT)),
    }


_SWAPPED = "states are carried through all steps one after the other: the loops over time and states are swapped"
_PROPORTIONAL = "a policy proportional to Q, not to its exponential, of a Q from maxima"

IRL_IMITATION = Audit(
    name="irl-imitation",
    sources=(
        Source(
            "yrlu/irl-imitation",
            "b4f62a353f921d5a8a6f61684ad893581e03c26e",
            ("mdp/value_iteration.py: value_iteration", "maxent_irl.py: compute_state_visition_freq"),
        ),
    ),
    computes="the gradient of maximum entropy IRL over T steps (maxent_irl)",
    shows="at every reward; the planner's threshold (.01) is tightened to 1e-13 here, so that only the formula is judged",
    known="issue 1 of the repository (2017, open) suspects the loops",
    cases=(
        Case(
            key="policy",
            of="policy",
            title="the planner's policy, γ = .9",
            problem=partial(_likelihood, False, _THETA),
            mistake=_PROPORTIONAL,
            remade=partial(_of_values, _THETA),
            repaired=partial(_soft, _THETA, on_arrival=False),
            tolerance=1e-11,
        ),
        Case(
            key="with_ten_more",
            of="policy",
            title="the same with ten more paid everywhere, which changes nobody's choice",
            problem=partial(_likelihood, False, _THETA),
            mistake=_PROPORTIONAL,
            remade=partial(_of_values, _THETA + 10.0),
            repaired=partial(_soft, _THETA + 10.0, on_arrival=False),
            tolerance=1e-11,
        ),
        Case(
            key="visits_alone",
            title="a step's gradient at the expert's own reward, with the right policy put in",
            problem=partial(_likelihood, False, _EXPERT),
            mistake=_SWAPPED,
            remade=partial(_step_out_of_order, partial(_soft, on_arrival=False), _out_of_order),
            repaired=partial(_step_out_of_order, partial(_soft, on_arrival=False), _seen),
            unit=_UNIT,
        ),
        Case(
            key="at_the_expert",
            title="a training step's gradient at the expert's own reward",
            problem=partial(_likelihood, False, _EXPERT),
            mistake=f"{_PROPORTIONAL}; and {_SWAPPED}",
            remade=partial(_step_out_of_order, _of_values, _out_of_order),
            repaired=partial(_step_out_of_order, partial(_soft, on_arrival=False), _seen),
            near=1e-11,
            unit=_UNIT,
        ),
    ),
    run=_run_imitation,
)
