"""Meta reinforcement learning: a policy that is a good one to stay near, whichever task comes."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, real


def meta_rl(
    n_tasks: int = 3,
    n_states: int = 5,
    n_actions: int = 3,
    seed: int = 0,
    discount: float = 0.9,
    penalty: float = 1.0,
) -> ConfigurableMDP:
    """θ (S·A,) are the logits of a reference π̃ that followers of all tasks are regularised with, −(λ/2) KL(π ‖ π̃).

    J is the mean over tasks of Σ γᵗ r_ξ, what the follower earns without its KL: so τ = λ/2, with λ = `penalty`, r_L = r_F, and
    θ moves nothing but the reference.  Tasks are contexts, as likely as one another: r_ξ is half of a table that all have,
    plus one of its own, both N(0, 1); the world is a softmax of N(0, 1) logits.  Source: HPGD A (meta-RL), which gives no
    numbers; these are chosen here.  Raises: InvalidOption, InvalidModel.
    """
    K, S, A = (
        positive_integer(k, x) for k, x in (("n_tasks", n_tasks), ("n_states", n_states), ("n_actions", n_actions))
    )
    rng, gamma = generator(seed), real("discount", discount)
    move = np.asarray(softmax(rng.standard_normal((S, A, S))))
    rewards = 0.5 * rng.standard_normal((S, A)) + rng.standard_normal((K, S, A))
    start, each = np.full(S, 1.0 / S), np.full(K, 1.0 / K)
    rates: dict[str, Any] = {
        "follower_discount": gamma,
        "leader_discount": gamma,
        "temperature": 0.5 * real("penalty", penalty),
    }

    def build(theta: Any) -> ContextualModel:
        common = softmax(anp.reshape(theta, (S, A)))
        return ContextualModel([TabularModel(move, start, r, r, reference=common, **rates) for r in rewards], each)

    return ConfigurableMDP(build, dim=S * A, name="meta-rl")
