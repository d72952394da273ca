"""The same problem with θ, rewards or constants in other units."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np

import boltzgrad as bg


def in_units(problem, units):
    """The problem as a function of D θ, D = diag(units): the same J, and ∇J over D."""
    units = np.asarray(units, float)
    if isinstance(problem, bg.MarkovGame) and problem.steps is not None:
        return problem.made_from(lambda t: problem.policy.function(t / units), problem.dim)
    if isinstance(problem, bg.MarkovGame):
        options = {
            **{name: getattr(problem.joint, name) for name in ("follower_discount", "leader_discount", "temperature")},
            "observes": problem.acts_on == "action",
            "as_published": problem.plans_on != problem.acts_on,
        }
        S, A, B, joint = problem.n_states, problem.n_leader_actions, problem.n_follower_actions, problem.joint
        policy = bg.LeaderPolicy(lambda t: problem.policy.function(t / units), problem.dim)
        return bg.MarkovGame(
            np.asarray(joint.transition).reshape(S, A, B, S), joint.initial, joint.follower_reward.reshape(S, A, B),
            joint.leader_reward.reshape(S, A, B), policy=policy, **options,
        )  # fmt: skip
    if isinstance(problem, bg.LinearQuadratic):
        return bg.LinearQuadratic(lambda t: problem.build(t / units), dim=problem.dim)
    objective = problem.objective
    if isinstance(objective, bg.PolicyObjective):
        function = objective.function
        objective = bg.PolicyObjective(lambda t, pi: function(t / units, pi))
    regulariser = problem.regulariser
    if regulariser is not None:
        plain = regulariser.function
        regulariser = bg.Regulariser(lambda t: plain(t / units))
    return bg.ConfigurableMDP(
        lambda t: problem.build(t / units), dim=problem.dim, objective=objective, regulariser=regulariser
    )


def _each(model, change):
    if isinstance(model, bg.ContextualModel):
        return bg.ContextualModel([change(m) for m in model.models], model.probabilities)
    return change(model)


def in_rewards(problem, follower, leader):
    """Rewards of a configurable MDP in other units: r_F and τ times `follower`, r_L (and so J) times `leader`."""

    def change(m):
        return replace(
            m, transition=m.kernel, follower_transition=m.follower_kernel if m.own_kernel else None,
            follower_reward=follower * m.follower_reward, leader_reward=leader * m.leader_reward,
            temperature=follower * m.temperature,
        )  # fmt: skip

    return bg.ConfigurableMDP(lambda t: _each(problem.build(t), change), dim=problem.dim)


def shifted(problem, constant):
    """A constant added to the follower's reward: it is indifferent where no episode ends, and ∇J is the same."""

    def change(m):
        return replace(
            m, transition=m.kernel, follower_transition=m.follower_kernel if m.own_kernel else None,
            follower_reward=m.follower_reward + constant,
        )  # fmt: skip

    return bg.ConfigurableMDP(lambda t: _each(problem.build(t), change), dim=problem.dim)


def two_states(units=1.0, *, pull=None, temperature=0.5):
    """The README's problem; `pull` multiplies a pull-back that is written by hand.  (problem, θ)."""
    move = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
    units = np.broadcast_to(np.asarray(units, float), 4)

    def build(theta):
        return bg.TabularModel(
            move, [1.0, 0.0], anp.reshape(theta / units, (2, 2)), [[0.0, 0.0], [1.0, 1.0]],
            follower_discount=0.9, leader_discount=0.95, temperature=temperature,
        )  # fmt: skip

    by_hand = {}
    if pull is not None:
        none = np.zeros((2, 2))
        by_hand = {
            "pullback": lambda t, c: pull * c.follower_reward.ravel() / units,
            "pushforward": lambda t, u: bg.problems.TabularArrays(
                np.zeros((2, 2, 2)), np.zeros(2), (u / units).reshape(2, 2), none
            ),
        }
    return bg.ConfigurableMDP(build, dim=4, **by_hand), np.array([0.3, -0.2, 0.1, 0.4]) * units
