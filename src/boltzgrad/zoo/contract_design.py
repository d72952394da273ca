"""Contract design: a principal pays for transitions, since it sees what comes of an action, and not the action."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import log_softmax, softmax
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.zoo.options import generator, positive_integer, real


def contract_design(
    n_levels: int = 4,
    n_efforts: int = 3,
    horizon: int = 10,
    seed: int = 0,
    discount: float = 0.9,
    temperature: float = 0.2,
    price: float = 0.3,
) -> ConfigurableMDP:
    """θ (S·S,): x(s, s') = log(1 + exp θ) is paid by the principal to the agent whenever s leads to s'.

    The agent bears c(s, a), plans for ever and is discounted; the principal gets R(s, s') − x(s, s') over the steps t = 0 … H,
    H = `horizon`, undiscounted: a `leader_horizon` of H + 1.  States are levels of output, from the lowest; effort a costs
    about `price` · a/(A − 1) and makes the higher levels likelier; R(s, s') is about s'/(S − 1) (`contract_tables`).  Source:
    SoBiRL K (contract design), which gives no numbers; these are chosen here, as is the form of x ≥ 0.
    Raises: InvalidOption, InvalidModel.
    """
    S, A = positive_integer("n_levels", n_levels, least=2), positive_integer("n_efforts", n_efforts, least=2)
    move, cost, output = contract_tables(S, A, seed, price)
    H, gamma, tau = positive_integer("horizon", horizon), real("discount", discount), real("temperature", temperature)

    def expected(of_transition: Any) -> Any:
        """Σ p(s'|s,a) f(s,s') (S, A)."""
        return anp.sum(move * of_transition[:, None, :], axis=2)

    def build(theta: Any) -> TabularModel:
        # log(1 + exp θ) = −log σ(−θ), which neither overflows nor cancels.
        paid = anp.reshape(-log_softmax(anp.stack([-theta, 0.0 * theta], axis=-1))[:, 0], (S, S))
        return TabularModel(
            move, np.eye(S)[0], expected(paid) - cost, expected(output - paid),
            follower_discount=gamma, leader_discount=1.0, temperature=tau, leader_horizon=H + 1,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=S * S, name="contract-design")


def contract_tables(n_levels: int, n_efforts: int, seed: int = 0, price: float = 0.3) -> tuple[Array, Array, Array]:
    """(p (S, A, S), the cost of effort (S, A), R (S, S)): `price` · effort · U(.8, 1.2), and s'/(S − 1) times N(1, .1²).

    Raises: InvalidOption.
    """
    S, A, rng = n_levels, n_efforts, generator(seed)
    level, effort = np.linspace(0.0, 1.0, S), np.linspace(0.0, 1.0, A)
    # The next level is likely near this one, and above it with effort, below it without.
    aim = level[:, None] + effort - 0.5
    move = np.asarray(softmax(-8.0 * (level - aim[:, :, None]) ** 2))
    cost = real("price", price) * effort * rng.uniform(0.8, 1.2, (S, A))
    return move, cost, level * rng.normal(1.0, 0.1, (S, S))
