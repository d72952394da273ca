"""A language model's fine-tuning, on a table: a policy held near its reference by KL, and the reward model it is trained on."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.softmaxes import softmax
from boltzgrad.core.trajectory_objectives import Preferences
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, one_of, positive_integer, real


def rlhf_kl(
    world: str = "chain",
    n_tokens: int = 3,
    length: int = 3,
    n_features: int = 3,
    seed: int = 0,
    temperature: float = 0.5,
    reference: float = 1.0,
) -> ConfigurableMDP:
    """The leader's θ (n_features,) is a reward model r_θ = φ θ; the follower maximises E r_θ − τ KL(π ‖ π⁰), undiscounted.

    "bandit": one prompt, `n_tokens` answers, one choice.  "chain": an answer is `length` tokens, a state the position and the
    last token, and the episode ends with it.  J is the cross-entropy of the model's preferences between two answers of the
    follower, under a Bradley–Terry choice by a true reward N(0, 1), which the features do not reach.  π⁰ is softmax(`reference`
    · N(0, 1)), φ are N(0, 1).  SoBiRL 3.3, (101) has the objective, without a reference; the KL is that of practice (and of
    HPGD A, meta-RL).  No numbers are given, these are chosen here.  Raises: InvalidOption, InvalidModel.
    """
    V, k = positive_integer("n_tokens", n_tokens), positive_integer("n_features", n_features)
    H = positive_integer("length", length) if one_of("world", world, ("bandit", "chain")) == "chain" else 1
    S = 1 + (H - 1) * V  # the prompt, then (position, last token)
    rng = generator(seed)
    features, true, habit = rng.standard_normal((S, V, k)), rng.standard_normal((S, V)), rng.standard_normal((S, V))
    move = np.zeros((S, V, S))
    for s in range(S):
        position = 0 if s == 0 else 1 + (s - 1) // V
        for a in range(V if position < H - 1 else 0):  # the last token ends it
            move[s, a, 1 + position * V + a] = 1.0
    start = np.eye(S)[0]
    pretrained = np.asarray(softmax(real("reference", reference) * habit))
    tau = real("temperature", temperature)

    def reward(theta: Any) -> Any:
        return anp.dot(features, theta)

    def build(theta: Any) -> TabularModel:
        return TabularModel(
            move, start, reward(theta), np.zeros((S, V)),
            follower_discount=1.0, leader_discount=1.0, temperature=tau, reference=pretrained,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=k, objective=Preferences(reward, horizon=H, labels=true), name="rlhf-kl")
