r"""Reward learning from preferences with a penalty for the lower level, as in `Neurips_2025_Bilevel_RL`.

The reward model descends cross-entropy + λ · mean Σ_t Q(s_t, a_t) over stored segments, Q the critic's.  The penalty speaks
for the follower: its Q is that of the reward, so J(θ) = CE(θ) + λ mean Σ Q*_θ is what the step is meant to descend.  In the
code Q is a number that the critic returned for stored data: there is no θ in it.  Segments are of a table of 3 states and 2
actions here, the reward model a table, the critic exact.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import boltzmann, dense, settled
from boltzgrad.audits.checkout import Checkout, needed
from boltzgrad.core.arrays import Array
from boltzgrad.core.follower_objectives import ValueObjective
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_S, _A, _GAMMA, _PAIRS, _LENGTH = 3, 2, 0.9, 5, 4
_P, _START = dense(10, _S, _A)
_rng = np.random.default_rng(11)
_FIRST, _SECOND = _rng.integers(0, _S * _A, (2, _PAIRS, _LENGTH))  # segments, as indices s·A + a
_WINS = _rng.integers(0, 2, _PAIRS)
_THETA = _rng.standard_normal(_S * _A).astype(np.float32).astype(float)
_WEIGHTS = (0.0, 0.1, 1e6)


def _counts(segments: Array) -> Array:
    """How often each pair is in each segment (pairs, S·A)."""
    return np.stack([np.bincount(x, minlength=_S * _A) for x in segments]).astype(float)


def _loss(weight: float) -> tuple[ConfigurableMDP, Array]:
    first, second = _counts(_FIRST), _counts(_SECOND)

    def objective(theta: Any, policy: Any, value: Any) -> Any:
        margin = anp.dot(first - second, theta) * (1.0 - 2.0 * _WINS)
        q = theta + _GAMMA * anp.dot(_P.reshape(_S * _A, _S), value)
        return anp.mean(anp.logaddexp(0.0, -margin)) + weight * anp.mean(anp.dot(first, q))

    def build(t: Any) -> TabularModel:
        return TabularModel(
            _P, _START, anp.reshape(t, (_S, _A)), np.zeros((_S, _A)),
            follower_discount=_GAMMA, leader_discount=_GAMMA, temperature=1.0,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=_S * _A, objective=ValueObjective(objective), name="bilevel preferences"), _THETA


def _step(weight: float, *, follower_answers: bool) -> Array:
    """∇CE, and λ mean Σ ∇Q where the follower answers: ∇Q = (I − γ P_π)⁻¹ on pairs."""
    first, second = _counts(_FIRST), _counts(_SECOND)
    sign = 1.0 - 2.0 * _WINS
    margin = (first - second) @ _THETA * sign
    out = -((first - second) * (sign / (1.0 + np.exp(margin)))[:, None]).mean(axis=0)
    if follower_answers:
        policy = boltzmann(settled(_P, _THETA.reshape(_S, _A), _GAMMA)[1])
        pairs = np.einsum("saz,zb->sazb", _P, policy).reshape(_S * _A, _S * _A)
        out = out + weight * np.linalg.solve((np.eye(_S * _A) - _GAMMA * pairs).T, first.mean(axis=0))
    return np.asarray(out)


def _run(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    torch = needed("torch", "bilevel-preferences")
    q = settled(_P, _THETA.reshape(_S, _A), _GAMMA)[1].ravel()
    out = {}
    for weight in _WEIGHTS:
        among = {"np": np, "torch": torch, "device": "cpu", "lambda1": weight}
        theirs = code.functions("reward_model.py", "RewardModel.train_reward", "RewardModel.r_hat_member", among=among)
        model = torch.nn.Linear(_S * _A, 1, bias=False)
        with torch.no_grad():
            model.weight[:] = torch.as_tensor(_THETA, dtype=torch.float32)

        def seen(obs_action: Any) -> tuple[Any, Any]:
            worth = obs_action @ torch.as_tensor(q, dtype=torch.float32)
            return worth[..., None], worth[..., None]

        learner = SimpleNamespace(
            de=1, capacity=_PAIRS, buffer_full=True, buffer_index=_PAIRS, train_batch_size=_PAIRS,
            buffer_seg1=np.eye(_S * _A)[_FIRST], buffer_seg2=np.eye(_S * _A)[_SECOND], buffer_label=_WINS[:, None],
            ensemble=[model], opt=torch.optim.SGD(model.parameters(), lr=0.0), CEloss=torch.nn.CrossEntropyLoss(),
        )  # fmt: skip
        learner.r_hat_member = partial(theirs.r_hat_member, learner)
        theirs.train_reward(learner, SimpleNamespace(forward_v=seen))
        out[f"step_{weight:g}"] = model.weight.grad.numpy().ravel().copy()
    return out


_MISTAKE = "the penalty's derivative in the reward is zero: a critic's values of stored data have no parameter in them"

AUDIT = Audit(
    name="bilevel-preferences",
    sources=(
        Source(
            "MuditGaur/Neurips_2025_Bilevel_RL",
            "e73706653c7343b5d8f7e982480891af6f90629c",
            ("reward_model.py: RewardModel.train_reward, RewardModel.r_hat_member",),
        ),
    ),
    computes="a reward model's step on preferences with a penalty that stands for the lower level",
    shows="at any weight but zero: the gradient is the same for weights 0, .1 (the code's) and 10⁶",
    known="",
    needs=("torch",),
    cases=(
        Case(key="step_0", title="the step without a penalty", problem=partial(_loss, 0.0), expects="agrees"),
        *(
            Case(
                key=f"step_{weight:g}", title=f"the step with weight {weight:g}", problem=partial(_loss, weight),
                mistake=_MISTAKE, remade=partial(_step, weight, follower_answers=False),
                repaired=partial(_step, weight, follower_answers=True), near=1e-6,
            )
            for weight in _WEIGHTS[1:]
        ),
    ),
    run=_run,
)  # fmt: skip
