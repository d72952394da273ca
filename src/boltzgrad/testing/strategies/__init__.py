"""Hypothesis strategies for models, problems and θs, from plain to the edges; they shrink to small, readable cases.

    from hypothesis import given
    from boltzgrad.testing import strategies as bst

    @given(bst.problems_at())
    def test_mine(case):
        problem, theta = case
        …

Entries are quarters and probabilities are small integers over their sum, so that a failing example can be read and worked
out by hand; problems print the arrays that they are made of.
"""

from boltzgrad.families.drawing.probabilities import KINDS, distributions, kernels, stochastic_matrices
from boltzgrad.families.drawing.scalars import discounts, temperatures, thetas
from boltzgrad.families.game.draw import finite_games, markov_games
from boltzgrad.families.horizon.draw import finite_horizon_mdps
from boltzgrad.families.lqr.draw import linear_quadratics, lq_models
from boltzgrad.families.lqr_steps.draw import finite_linear_quadratics
from boltzgrad.families.tabular.draw import average_reward_mdps, configurable_mdps, tabular_models
from boltzgrad.families.tabular.draw_general import general_mdps
from boltzgrad.testing.strategies.problems import problems, problems_at

__all__ = [
    "KINDS",
    "average_reward_mdps",
    "configurable_mdps",
    "discounts",
    "distributions",
    "finite_games",
    "finite_horizon_mdps",
    "finite_linear_quadratics",
    "general_mdps",
    "kernels",
    "linear_quadratics",
    "lq_models",
    "markov_games",
    "problems",
    "problems_at",
    "stochastic_matrices",
    "tabular_models",
    "temperatures",
    "thetas",
]
