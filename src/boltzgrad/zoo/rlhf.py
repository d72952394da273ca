"""Reinforcement learning from human feedback, on a table: a reward model learns from preferences between trajectories."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.softmaxes import softmax
from boltzgrad.core.trajectory_objectives import Preferences
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, real


def rlhf(
    n_states: int = 3,
    n_actions: int = 2,
    horizon: int = 3,
    seed: int = 0,
    discount: float = 0.9,
    temperature: float = 0.3,
    reference: float = 0.0,
    certain: bool = False,
) -> ConfigurableMDP:
    """The leader's θ (S·A,) is a reward model r_θ = tanh θ; the follower is the policy that is trained on it.

    J is the cross-entropy of the model's preferences between two of the follower's trajectories of `horizon` steps, under a
    Bradley–Terry choice by a true reward N(0, 1) (`certain`: by its sign).  The world is a softmax of N(0, 1) logits; with
    `reference` > 0 the follower pays KL to softmax(`reference` · N(0, 1)) in place of entropy, as language models do after
    pre-training.  Source: SoBiRL 3.3, (12), (13), (101); the numbers are chosen here.  Raises: InvalidOption.
    """
    S, A, H = (
        positive_integer(k, x) for k, x in (("n_states", n_states), ("n_actions", n_actions), ("horizon", horizon))
    )
    rng = generator(seed)
    move = np.asarray(softmax(rng.standard_normal((S, A, S))))
    true, habit = rng.standard_normal((S, A)), rng.standard_normal((S, A))
    strength = real("reference", reference)
    options: dict[str, Any] = {
        "follower_discount": real("discount", discount),
        "leader_discount": real("discount", discount),
        "temperature": real("temperature", temperature),
        "reference": np.asarray(softmax(strength * habit)) if strength else None,
    }

    def reward(theta: Any) -> Any:
        return anp.tanh(anp.reshape(theta, (S, A)))

    def build(theta: Any) -> TabularModel:
        return TabularModel(move, np.full(S, 1.0 / S), reward(theta), np.zeros((S, A)), **options)

    return ConfigurableMDP(
        build, dim=S * A, objective=Preferences(reward, horizon=H, labels=true, certain=certain), name="rlhf"
    )
