"""The follower's exact answer in a Markov game."""

from __future__ import annotations

from dataclasses import replace

from boltzgrad.core.arrays import Array
from boltzgrad.families.family import Answer
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.tabular import answer as tabular
from boltzgrad.solvers.game import solve_game


def answer(problem: MarkovGame, theta: Array, context: int) -> Answer:
    """V, Q, the policy and U; of a follower that does not see the leader's action, V, Q and the policy in its own states."""
    if problem.acts_on != "action":
        return _by_step(problem, tabular.answer(problem.as_configurable_mdp(), theta, context))
    game = solve_game(problem, problem.leader_policy(theta))
    # One that plans otherwise than it acts plans in no model of its own.
    model = None if problem.plans_on == "state" else problem.as_configurable_mdp().contexts(theta).models[0]
    values = {"V": game.value, "Q": game.q, "policy": game.policy, "U": game.continuation}
    return _by_step(problem, tabular.with_bounds(values, problem.joint, game.follower, model))


def _by_step(problem: MarkovGame, found: Answer) -> Answer:
    """The same with axes for step and state where there is a horizon."""
    steps = problem.steps
    return found if steps is None else replace(found, values={k: steps.by_step(x) for k, x in found.values.items()})
