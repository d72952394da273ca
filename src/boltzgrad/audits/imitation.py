r"""Maximum causal entropy inverse RL over a finite horizon, as in `imitation`.

A step of training descends E_π[∇r] − E_D[∇r], counted with γᵗ.  For a planner with the same γ over the same steps that is the
gradient of the demonstrations' log-likelihood, each step weighted by γᵗ:

    f(θ) = Σ_t γᵗ E_D log π_θ,t(a_t|s_t) = E_D Σ_t γᵗ r_θ(s_t) − Σ_s ρ(s) V_θ,0(s).

Training plans with discount one whatever γ is, and counts H + 1 states where the planner is paid for H.  Demonstrations are an
expert's, taken in expectation and counted as the package counts them.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import autograd.numpy as anp
import numpy as np
from scipy import special

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import dense, planned, visits
from boltzgrad.audits.checkout import Checkout, needed
from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import LogLikelihood
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_S, _A, _H = 6, 3, 8
_P, _START = dense(0, _S, _A)
_EXPERT = np.random.default_rng(1).standard_normal(_S)
_THETA = np.random.default_rng(2).standard_normal(_S)
_FILE = "src/imitation/algorithms/mce_irl.py"


def _reward(theta: Any) -> Any:
    """A reward for each state, the same for each action."""
    return anp.reshape(theta, (-1, 1)) * np.ones((1, _A))


def _likelihood(gamma: float, theta: Array) -> tuple[ConfigurableMDP, Array]:
    """The γᵗ-weighted log-likelihood of an expert over H steps."""
    expert = planned(_P, _reward(_EXPERT), gamma, _H)
    seen = [visits(_P, _START, expert, 1.0, t + 1) - visits(_P, _START, expert, 1.0, t) for t in range(_H)]
    weights = np.stack([gamma**t * seen[t][:, None] * expert[t] for t in range(_H)])

    def build(t: Any) -> FiniteHorizonModel:
        return FiniteHorizonModel(
            _P, _START, _reward(t), np.zeros((_S, _A)), horizon=_H,
            follower_discount=gamma, leader_discount=gamma, temperature=1.0,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=_S, objective=LogLikelihood(weights), name="imitation"), theta


def _step(gamma: float, theta: Array, *, planners: float, states: int) -> Array:
    """E_D[∇r] − E_π[∇r] over so many states, by a planner with a discount of its own."""
    expert = planned(_P, _reward(_EXPERT), gamma, _H)
    own = planned(_P, _reward(theta), planners, _H)
    return visits(_P, _START, expert, gamma, states) - visits(_P, _START, own, gamma, states)


def _run(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    th = needed("torch", "imitation")
    among = {"np": np, "scipy": SimpleNamespace(special=special), "th": th}
    counted = code.functions("src/imitation/data/rollout.py", "discounted_sum", among=among)
    names = ("mce_partition_fh", "mce_occupancy_measures", "squeeze_r", "MCEIRL._train_step")
    theirs = code.functions(_FILE, *names, among={**among, "rollout": counted})
    world = SimpleNamespace(
        horizon=_H, state_dim=_S, action_dim=_A, transition_matrix=_P, initial_state_dist=_START,
        reward_matrix=_EXPERT,
    )  # fmt: skip
    value, q, policy = theirs.mce_partition_fh(world, reward=_THETA, discount=0.9)
    out = {"value": np.vstack([value, np.zeros(_S)]), "q": q, "policy": policy}  # ours has V_H = 0, too
    for gamma, theta, key in _STEPS:
        _, _, expert = theirs.mce_partition_fh(world, reward=_EXPERT, discount=gamma)
        _, seen = theirs.mce_occupancy_measures(world, pi=expert, discount=gamma)
        reward = th.nn.Parameter(th.as_tensor(theta))

        class Net:
            """A reward for each state, in float64."""

            dtype, device = th.float64, "cpu"

            def __call__(self, observations: Any, *_: Any, reward: Any = reward) -> Any:
                return reward

        trainer = SimpleNamespace(
            optimizer=th.optim.SGD([reward], lr=0.0), reward_net=Net(), env=world, discount=gamma, demo_state_om=seen
        )
        theirs._train_step(trainer, th.eye(_S, dtype=th.float64))
        out[key] = -reward.grad.numpy().copy()  # of the loss; the likelihood's is its negative
    return out


_STEPS = [(gamma, _THETA, f"step_{gamma:g}") for gamma in (1.0, 0.9, 0.7)] + [
    (gamma, _EXPERT, f"at_the_expert_{gamma:g}") for gamma in (0.9, 0.7)
]
_PLANNER = "the planner inside training has discount one, whatever the discount is"
_STATES = "H + 1 states are counted, while the planner is paid in H"


def _judged(gamma: float, theta: Array, key: str) -> Case:
    where = "at the expert's own reward" if theta is _EXPERT else "at another reward than the expert's"
    return Case(
        key=key,
        title=f"a training step's gradient, γ = {gamma:g}, {where}",
        problem=partial(_likelihood, gamma, theta),
        mistake=_STATES if gamma == 1.0 else f"{_PLANNER}; and {_STATES}",
        remade=partial(_step, gamma, theta, planners=1.0, states=_H + 1),
        repaired=partial(_step, gamma, theta, planners=gamma, states=_H),
        unit=_most_visits(gamma) if theta is _EXPERT else None,
    )


def _most_visits(gamma: float) -> float:
    """Of the state where the expert is most."""
    return float(visits(_P, _START, planned(_P, _reward(_EXPERT), gamma, _H), gamma, _H).max())


AUDIT = Audit(
    name="imitation",
    sources=(
        Source(
            "HumanCompatibleAI/imitation",
            "e5ef18806c449ca47153b494a02471c5e2ae3a14",
            (
                f"{_FILE}: mce_partition_fh, mce_occupancy_measures, MCEIRL._train_step",
                "src/imitation/data/rollout.py: discounted_sum",
            ),
        ),
    ),
    computes="the gradient of maximum causal entropy IRL over a finite horizon (MCEIRL)",
    shows="with a discount below one (the default is one); H + 1 states are counted always",
    known="no report of it was found; pull request 414 mended the sampled side only",
    needs=("torch",),
    cases=(
        Case(key="value", of="V", title="the planner's values, γ = .9", problem=partial(_likelihood, 0.9, _THETA),
             expects="agrees"),
        Case(key="q", of="Q", title="the planner's Q, γ = .9", problem=partial(_likelihood, 0.9, _THETA),
             expects="agrees"),
        Case(key="policy", of="policy", title="the planner's policy, γ = .9",
             problem=partial(_likelihood, 0.9, _THETA), expects="agrees"),
        *(_judged(*step) for step in _STEPS),
    ),
    run=_run,
)  # fmt: skip
