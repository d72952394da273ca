"""Dynamic mechanism design: a designer weighs the bidders of a decision process and charges each what it costs the others."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.follower_objectives import ValueObjective
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.several import several_followers
from boltzgrad.zoo.options import generator, positive_integer, real


def mechanism_design(
    n_states: int = 4,
    n_actions: int = 3,
    n_bidders: int = 2,
    n_profiles: int = 2,
    seed: int = 0,
    discount: float = 0.9,
    temperature: float = 0.3,
) -> ConfigurableMDP:
    """The revenue of a dynamic affine maximiser; θ (n + S·A,) holds the logs of the bidders' weights, then the boosts b(s, a).

    With rewards r_i of a profile of bidders, the process is run by the soft optimum of Σ w_i r_i + b; bidder i is charged
    (V_{−i} − (V − w_i R_i(π)))/w_i, V_{−i} the soft optimum without it and R_i its own return: n + 1 followers for each of
    `n_profiles` profiles, all in one f(θ, π, V).  J is the mean revenue.

    Source: HPGD A, (6), after Curry et al. (2024); sizes, rewards U(0, 1), the kernel (softmax of N(0, 1)) and the number of
    profiles are chosen here.  Raises: InvalidOption.
    """
    S, A = positive_integer("n_states", n_states), positive_integer("n_actions", n_actions)
    n, K = positive_integer("n_bidders", n_bidders), positive_integer("n_profiles", n_profiles)
    gamma, tau, rng = real("discount", discount), real("temperature", temperature), generator(seed)
    move = np.asarray(softmax(rng.standard_normal((S, A, S))))
    rewards, start = rng.uniform(size=(K, n, S, A)), np.full(S, 1.0 / S)

    def parts(theta: Any) -> tuple[Any, Any]:
        return anp.exp(theta[:n]), anp.reshape(theta[n:], (S, A))

    def follower(reward: Any) -> TabularModel:
        options: dict[str, Any] = {"follower_discount": gamma, "leader_discount": gamma, "temperature": tau}
        return TabularModel(move, start, reward, np.zeros((S, A)), **options)

    def build(theta: Any) -> TabularModel:
        weights, boosts = parts(theta)
        models = []
        for profile in rewards:
            worth = [weights[i] * profile[i] for i in range(n)]
            models.append(follower(sum(worth) + boosts))
            models += [follower(sum(worth[:i] + worth[i + 1 :]) + boosts) for i in range(n)]
        return several_followers(models)

    def revenue(theta: Any, policies: Any, values: Any) -> Any:
        weights, _ = parts(theta)
        total = 0.0
        for k, profile in enumerate(rewards):
            first = k * (n + 1)
            kernel = anp.sum(anp.reshape(policies[first], (S, A, 1)) * move, axis=1)
            welfare = anp.dot(start, values[first])
            for i in range(n):
                own = anp.linalg.solve(np.eye(S) - gamma * kernel, anp.sum(policies[first] * profile[i], axis=1))
                without = anp.dot(start, values[first + 1 + i])
                total = total + (without - welfare) / weights[i] + anp.dot(start, own)
        return total / K

    return ConfigurableMDP(build, dim=n + S * A, objective=ValueObjective(revenue), name="mechanism-design")
