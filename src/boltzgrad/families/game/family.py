"""Markov games: what the rest of the library asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.route import Route
from boltzgrad.errors import InvalidOption
from boltzgrad.families.family import Family, discounts_lost
from boltzgrad.families.game import mistakes, mistakes_over_steps
from boltzgrad.families.game.answer import answer
from boltzgrad.families.game.backward import BACKWARD
from boltzgrad.families.game.content import content
from boltzgrad.families.game.differences import COMPLEX, DIFFERENCES
from boltzgrad.families.game.later import later
from boltzgrad.families.game.lifted import LIFTED
from boltzgrad.families.game.pictures import pictures
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.game.reference import GameHypergradient, game_hypergradient
from boltzgrad.families.game.remade import remade
from boltzgrad.families.game.theorem2 import THEOREM2
from boltzgrad.families.game.unrolled import UNROLLED, UNROLLED_IMPLICIT
from boltzgrad.families.laid_out import Table
from boltzgrad.families.mistake import Catalogue
from boltzgrad.families.tabular import mistakes as of_tables
from boltzgrad.families.tabular.enclosure import enclosed as of_a_table
from boltzgrad.families.tabular.family import too_many
from boltzgrad.families.tabular.problem import ConfigurableMDP

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

FORMULAS = """\
    Q_F(s,a,b) = r_F + γ_F Σ p(s'|s,a,b) U(s'),   g(b|s,a) ∝ exp(Q_F/τ),   U(s) = Σ_a f(a|s) τ log Σ_b exp(Q_F/τ)
    (a follower that sees the leader's action; `constants` says what this one sees),   J = Σ_s ρ(s) V_L(s) under f and g"""


def describe(problem: MarkovGame) -> dict[str, Any]:
    """States and both players' actions."""
    actions = f"{problem.n_leader_actions} × {problem.n_follower_actions} actions"
    if problem.steps is not None:
        return {"size": f"{problem.steps.horizon} steps × {problem.steps.shape[0]} states × {actions}"}
    return {"size": f"{problem.n_states} states × {actions}"}


def formulated(problem: MarkovGame) -> tuple[Catalogue, MarkovGame | ConfigurableMDP] | str:
    """Theorem 2's mistakes where the follower sees the leader's action, Theorem 1's where it does not."""
    if problem.plans_on != problem.acts_on:
        return "known mistakes are not formulated for a follower that plans otherwise than it acts"
    if problem.acts_on != "action":
        return of_tables, problem.as_configurable_mdp()
    return (mistakes if problem.steps is None else mistakes_over_steps.EVERYTHING), problem


def too_large(problem: MarkovGame, theta: Array) -> str:
    """Why dense formulas are not tried, or ""."""
    return too_many((problem.joint,), theta)


def factors(reference: GameHypergradient) -> dict[str, float]:
    """Of the model on pairs of actions."""
    joint = reference.problem.joint
    return discounts_lost(joint.leader_discount, joint.follower_discount, joint.temperature)


def table(problem: MarkovGame, theta: Array) -> Table | str:
    """Pairs (state, leader's action) where the follower sees it, else states."""
    if problem.plans_on != problem.acts_on:
        return "as published, the follower plans otherwise than it acts: no table has it as its optimum"
    S, A, B = problem.n_states, problem.n_leader_actions, problem.n_follower_actions
    sees = problem.acts_on == "action"
    axes = "(states, leader's actions, follower's actions)"
    if not sees:
        axes = "(states, follower's actions); of what has the leader's actions in between, give [:, 0]"
    bonus: Array = np.broadcast_to(problem.bonus, (S, A, B))
    shape: tuple[int, ...] = (S, A, B) if sees else (S, B)
    if problem.steps is not None:
        shape, axes = (
            (problem.steps.horizon, problem.steps.shape[0], *shape[1:]),
            axes.replace("(states", "(steps, states"),
        )
        axes = axes.replace("[:, 0]", "[:, :, 0]")
    return Table(problem.as_configurable_mdp(), (shape,), axes, 1, ((bonus if sees else bonus[:, 0]).reshape(shape),))


def enclosed(problem: MarkovGame, theta: Array, bits: int) -> tuple[Any, Any]:
    """J and ∇J in balls, as a table.  Raises: InvalidOption for arrays that were rounded when the game was made."""
    if problem.steps is not None or np.any(problem.bonus) or np.any(problem.beside):
        raise InvalidOption(
            "enclose of a Markov game is for one without a reference and without a horizon, whose arrays are as they were given"
        )
    return of_a_table(problem.as_configurable_mdp(), theta, bits)


def draw() -> SearchStrategy[MarkovGame]:
    """Small random games."""
    from boltzgrad.families.game.draw import markov_games

    return markov_games()


def draw_over_steps() -> SearchStrategy[MarkovGame]:
    """Small random games of a few steps."""
    from boltzgrad.families.game.draw import finite_games

    return finite_games()


def _family(name: str, over_steps: bool, own: tuple[Route, ...]) -> Family:
    """Games for ever, or over a finite number of steps: the same but for what steps allow besides."""
    return Family(
        name,
        MarkovGame,
        game_hypergradient,
        (THEOREM2, *LIFTED, *own, UNROLLED, UNROLLED_IMPLICIT, COMPLEX, DIFFERENCES),
        holds=lambda problem: (problem.steps is not None) is over_steps,
        describe=describe,
        mistakes=mistakes_over_steps if over_steps else mistakes,
        formulated=formulated,
        too_large=too_large,
        factors=factors,
        later=later,
        answer=answer,
        table=table,
        draw=draw_over_steps if over_steps else draw,
        content=content,
        remade=remade,
        formulas=FORMULAS,
        pictures=pictures,
        enclosed=enclosed,
    )


GAME = _family("game", False, ())
GAME_OVER_STEPS = _family("game-over-steps", True, (BACKWARD,))
