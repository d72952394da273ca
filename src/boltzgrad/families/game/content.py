"""What a bundle holds of a Markov game."""

from __future__ import annotations

import numpy as np

from boltzgrad.families.content import discounts
from boltzgrad.families.family import Content, Entries, Entry
from boltzgrad.families.game.reference import GameHypergradient
from boltzgrad.families.tabular.content import model_entries


def content(reference: GameHypergradient) -> Content:
    """Its arrays, its constants, and the derivative of the arrays for each parameter."""
    problem, solved = reference.problem, reference.on_rows
    S, A, B = problem.n_states, problem.n_leader_actions, problem.n_follower_actions
    pairs, axes = (S, A, B), "state, leader's action, follower's action"
    out: Entries = {}
    for name, entry in model_entries(problem.joint).items():
        if entry.axes == "state, action":
            out[name] = Entry(entry.array.reshape(pairs), entry.meaning.replace("(s,a)", "(s,a,b)"), axes)
        elif entry.axes == "state, action, next state":
            out[name] = Entry(
                entry.array.reshape(*pairs, S), entry.meaning.replace("s,a", "s,a,b"), f"{axes}, next state"
            )
        else:
            out[name] = Entry(entry.array, entry.meaning.replace("s·A + a", "(s·A + a)·B + b"), entry.axes)
    out["model/policy"] = Entry(
        solved.f, "the leader's policy f(a|s), the only array that depends on θ", "state, leader's action"
    )
    out["cotangent/policy"] = Entry(reference.in_policy, "∂J/∂f", "state, leader's action")
    out["follower/V"] = Entry(solved.value, "V_F(s,a) = τ log Σ_b exp(Q_F/τ)", "state, leader's action")
    out["follower/Q"] = Entry(solved.q, "Q_F", axes)
    out["follower/U"] = Entry(solved.continuation, "the follower's value of a state, before the leader moves", "state")
    out["follower/policy"] = Entry(solved.policy, "the follower's policy g(b|s,a)", axes)
    out["leader/V"] = Entry(reference.leader.value, "V_L", "state")
    out["leader/Q"] = Entry(solved.q_leader, "Q_L", axes)
    constants = {"follower_acts_on": problem.acts_on, "follower_plans_on": problem.plans_on, **discounts(problem.joint)}
    if problem.leader_temperature:
        constants["leader_temperature"] = problem.leader_temperature
    if problem.steps is not None:
        constants["horizon"] = problem.steps.horizon  # state t·S + s of these arrays is s at step t
    columns = ({"model/policy": np.asarray(reference.linearised.pushforward(u))} for u in np.eye(reference.theta.size))
    return Content(out, constants, columns)
