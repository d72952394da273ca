"""A principal who shares out a bonus, and a population of agents each of whom answers it in its own way."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.contexts import ContextualModel
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, real


def principal_agent(
    n_types: int = 3,
    n_states: int = 5,
    n_actions: int = 3,
    budget: float = 5.0,
    seed: int = 0,
    discount: float = 0.9,
    temperature: float = 0.2,
) -> ConfigurableMDP:
    """θ (S·A,): the bonus r^B = `budget` · softmax(θ) is paid for each (s, a), on top of what an agent of type ξ gets, r_ξ.

    J is the mean over types, Σ P(ξ) E Σ γᵗ r̄, of the principal's reward under each type's own answer.  Types are contexts
    with r_ξ ~ U(0, 1) and P(ξ) from a Dirichlet(1); r̄ ~ U(0, 1); the world is a softmax of N(0, 1) logits.
    Source: HPGD A (population principal-agent reward shaping), which gives no numbers, and asks of the bonus only that it is
    not negative; that it is shared out of a budget (as in Ben-Porat et al. 2024), and all numbers, are chosen here.
    Raises: InvalidOption, InvalidModel.
    """
    K, S, A = (
        positive_integer(k, x) for k, x in (("n_types", n_types), ("n_states", n_states), ("n_actions", n_actions))
    )
    rng, gamma = generator(seed), real("discount", discount)
    move = np.asarray(softmax(rng.standard_normal((S, A, S))))
    own, wanted = rng.uniform(size=(K, S, A)), rng.uniform(size=(S, A))
    shares, start = rng.dirichlet(np.ones(K)), np.full(S, 1.0 / S)
    tau, purse = real("temperature", temperature), real("budget", budget)
    rates: dict[str, Any] = {"follower_discount": gamma, "leader_discount": gamma, "temperature": tau}

    def build(theta: Any) -> ContextualModel:
        bonus = purse * anp.reshape(softmax(theta), (S, A))
        return ContextualModel([TabularModel(move, start, r + bonus, wanted, **rates) for r in own], shares)

    return ConfigurableMDP(build, dim=S * A, name="principal-agent")
