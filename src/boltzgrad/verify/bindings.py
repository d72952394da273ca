r"""The library's own numbers for the letters of the derivations: where theory and code meet.

Values come from `solvers/` (V, Q, π, P of the Riccati equation, …), ∇J from the reference in `families/`, the other
derivatives from sweeps at a complex θ.  A derivation that holds on such an instance holds for the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.derivations.instances import (
    actions,
    averages,
    finite,
    game,
    horizons,
    logits,
    lqr,
    mdp,
    oracle,
    suboptimal,
)
from boltzgrad.derivations.kit.numbers import STEP, Draw, Instance, Merged, together
from boltzgrad.derivations.symbols import actions as one
from boltzgrad.derivations.symbols import game as g
from boltzgrad.derivations.symbols import lqr as q
from boltzgrad.derivations.symbols import mdp as m
from boltzgrad.families.game import sweeps as game_sweeps
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.horizon.adjoint import solve as solve_horizon
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.lqr import sweeps as lqr_sweeps
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.registry import hypergradient
from boltzgrad.families.tabular import sweeps as tabular_sweeps
from boltzgrad.families.tabular.average import AverageRewardModel
from boltzgrad.families.tabular.cycles import averages_of
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.solvers.lqr import gain, solve_lqr
from boltzgrad.solvers.suboptimal import evaluate_policy

Binder: TypeAlias = Callable[[Any, Array, Array, np.random.Generator], Instance]


def instance_for(draw: Draw, problem: Any, theta: Array, direction: Array, rng: np.random.Generator) -> Instance | None:
    """The instance that a derivation needs, with the library's numbers; None where the library has none for it.

    `direction` (d,) is the line along which every ∇ is taken; `rng` fills what a problem does not determine.
    """
    if isinstance(draw, Merged):
        if family_of(draw) is None:
            return None
        parts = [instance_for(part, problem, theta, direction, rng) or part(rng) for part in draw.draws]
        return together(*parts)
    family = next((f for f, draws in _BINDERS.items() if draw in draws and isinstance(problem, f)), None)
    return None if family is None else _BINDERS[family][draw](problem, theta, direction, rng)


def family_of(draw: Draw) -> type | None:
    """The problems whose numbers a draw can be given, or None; of several, the first (the other letters stay random)."""
    parts = draw.draws if isinstance(draw, Merged) else (draw,)
    own = [part for part in parts if part is not actions.random_actions] or list(parts)
    return next((f for f, draws in _BINDERS.items() if any(part in draws for part in own)), None)


def still_kernel(draw: Draw) -> bool:
    """Whether the statement needs a kernel that does not move."""
    parts = draw.draws if isinstance(draw, Merged) else (draw,)
    return mdp.fixed_kernel in parts or mdp.tight_kernel in parts


def _solved(problem: ConfigurableMDP, theta: Array, direction: Array) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """(arrays, solution, reference): real parts from the solvers, imaginary ones from sweeps at the complex θ."""
    reference: Any = hypergradient(problem, theta)
    moved = problem.build(theta + 1j * STEP * direction)
    assert isinstance(moved, TabularModel)
    shape = moved.follower_reward.shape
    dense = tabular_sweeps.matrix_of(moved.transition)
    kernel = np.asarray(dense if isinstance(dense, np.ndarray) else dense.toarray()).reshape(*shape, shape[0])
    v = tabular_sweeps.soft_values(moved).x
    _, policy = tabular_sweeps.soft_backup(moved, tabular_sweeps.planned(moved), v)
    w = tabular_sweeps.leader_values(moved, policy).x

    def exact(real: Array, swept: Array) -> Array:
        return np.asarray(real + 1j * np.imag(swept))

    arrays: dict[str, Any] = {
        "rho": np.asarray(moved.initial, complex),
        "p": kernel.astype(complex),
        "r_F": np.asarray(moved.follower_reward, complex),
        "r_L": np.asarray(moved.leader_reward, complex),
        "gammas": (moved.follower_discount, moved.leader_discount),
        "tau": moved.temperature,
    }
    follower, leader = reference.follower, reference.leader
    solution = {
        "V_F": exact(follower.value, v),
        "Q_F": exact(follower.q, arrays["r_F"] + moved.follower_discount * kernel @ v),
        "V_L": exact(leader.value, w),
        "Q_L": exact(leader.q, arrays["r_L"] + moved.leader_discount * kernel @ w),
        "policy": exact(follower.policy, policy),
    }
    return arrays, solution, reference


def _tabular(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    arrays, solution, reference = _solved(problem, theta, direction)
    here = mdp.letters(**arrays, solution=solution)
    extra = problem.regulariser
    worth: Any = 0.0 if extra is None else extra.value(theta)
    slope = 0.0 if extra is None else float(extra.gradient_at(theta) @ direction)
    values = {
        **here.values,
        m.J: np.array([[reference.value + 1j * STEP * (reference.gradient @ direction)]]),
        m.regulariser: np.array([[worth + 1j * STEP * slope]]),
    }
    return Instance(values, here.differentials)


def _one_state(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    arrays, solution, _ = _solved(problem, theta, direction)
    s = int(rng.integers(len(arrays["rho"])))
    rows = {"q": solution["Q_F"], "y": solution["Q_L"], "w": arrays["r_L"], "h": arrays["r_F"]}
    here = actions.at_one_state(rng, {name: table[s] for name, table in rows.items()})
    values = {**here.values, one.tau: arrays["tau"]}
    return Instance(values, here.differentials, here.functions)


def _fixed_policy(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """At π*, held still: V and Q move as if π* moved (the envelope), so the solver's numbers serve."""
    arrays, solution, _ = _solved(problem, theta, direction)
    return mdp.letters(**arrays, solution={**solution, "policy": solution["policy"].real})


def _iterate(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    arrays, solution, _ = _solved(problem, theta, direction)
    v = solution["V_F"].real
    return mdp.iterate(arrays, solution, v + 0.3 * arrays["tau"] * rng.normal(size=v.shape))


def _feasible(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    arrays, solution, _ = _solved(problem, theta, direction)
    return mdp.iterate(arrays, solution, solution["V_F"].real + 1.0)


def _suboptimal(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """A random policy with the solver's own evaluation of it."""
    arrays, solution, reference = _solved(problem, theta, direction)
    policy = rng.dirichlet(np.ones(arrays["r_F"].shape[1]), size=len(arrays["rho"]))
    found = evaluate_policy(reference.contexts[0].model, policy)
    own = {**solution, "V_F": found.value + 0j, "Q_F": found.q + 0j}
    return suboptimal.beside(arrays, solution, own, policy)


def _oracle(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """The solver's optimum and, near it, a policy with the solver's evaluation."""
    arrays, solution, reference = _solved(problem, theta, direction)
    best = np.real(solution["policy"])
    off = rng.uniform(-1.0, 1.0, size=best.shape)
    policy = best + 0.5 * best.min() * (off - off.mean(axis=1, keepdims=True))
    found = evaluate_policy(reference.contexts[0].model, policy)
    own = {**solution, "V_F": found.value + 0j, "Q_F": found.q + 0j}
    return oracle.off_by(arrays, solution, own, policy)


def _logits(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """The solver's own evaluation of a random policy, whose logits move."""
    arrays, _, reference = _solved(problem, theta, direction)
    policy = rng.dirichlet(np.ones(arrays["r_F"].shape[1]), size=len(arrays["rho"]))
    found = evaluate_policy(reference.contexts[0].model, policy)
    return logits.moved_along(arrays, policy, rng, {"V_F": found.value, "Q_F": found.q})


def _optimum(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """The solver's optimum, whose logits move."""
    arrays, solution, _ = _solved(problem, theta, direction)
    own = {name: np.real(x) for name, x in solution.items()}
    return logits.at_optimum(arrays, logits.moved_along(arrays, own.pop("policy"), rng, own))


def _averages(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """The arrays of a table without its discounts: what `AverageRewardModel` makes of them."""
    arrays, _, _ = _solved(problem, theta, direction)
    p, reward, tau = arrays["p"], arrays["r_F"], float(arrays["tau"])
    model = AverageRewardModel(p.real, None, reward.real, np.real(arrays["r_L"]), temperature=tau)
    given = averages_of(model)
    h, gain, policy = averages.relative_values(p, reward, tau)
    bias = given.followers.bias - given.followers.bias[0]
    return averages.letters(
        p,
        reward,
        h=bias + 1j * np.imag(h),
        gain=complex(given.followers.gain, gain.imag),
        policy=given.policy + 1j * np.imag(policy),
        stationary=given.followers.stationary,
    )


def _finite(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """A table's arrays over some steps, whose rewards fade: V_t, U_t, ν_t, w_t, m_t, y_t and ∇J as the library has them."""
    still, _, _ = _solved(problem, theta, direction)
    fading = 0.7 ** np.arange(finite.STEPS)[:, None, None]
    arrays: dict[str, Any] = {
        **still,
        "p": np.array([still["p"]] * finite.STEPS),
        "r_F": still["r_F"] * fading,
        "r_L": still["r_L"] * fading[::-1],
        "ends": (still["r_F"][:, 0], still["r_L"][:, 0]),
    }
    given = {
        "transition": arrays["p"],
        "initial": arrays["rho"],
        "follower_reward": arrays["r_F"],
        "leader_reward": arrays["r_L"],
        "terminal_follower_reward": arrays["ends"][0],
        "terminal_leader_reward": arrays["ends"][1],
    }
    gamma_F, gamma_L = arrays["gammas"]
    plain: dict[str, Any] = {name: x.real for name, x in given.items()}
    model = FiniteHorizonModel(
        **plain, horizon=finite.STEPS, follower_discount=gamma_F, leader_discount=gamma_L, temperature=arrays["tau"]
    )
    found, swept = solve_horizon(model), finite.backward(arrays)
    exact = {"V_F": found.V, "Q_F": found.q, "policy": found.policy, "V_L": found.U, "Q_L": found.q_leader}
    solution = {name: np.array(x) + 1j * np.imag(swept[name]) for name, x in exact.items()}
    ahead = {"v": found.visits, "w": found.guidance, "m": found.arrays.follower_reward, "y": found.adjoint}
    here = finite.letters(arrays, solution, {name: np.asarray(x) for name, x in ahead.items()})
    return _with_gradient(here, float(found.value), found.arrays, given)


def _counted(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    """A table whose leader counts some steps: U_t, Q_L,t, y and ∇J as the library has them."""
    arrays, solution, _ = _solved(problem, theta, direction)
    names = {"transition": "p", "initial": "rho", "follower_reward": "r_F", "leader_reward": "r_L"}
    given = {name: arrays[letter] for name, letter in names.items()}
    gamma_F, gamma_L = arrays["gammas"]
    model = TabularModel(
        *(given[name].real for name in names),
        follower_discount=gamma_F,
        leader_discount=gamma_L,
        temperature=arrays["tau"],
        leader_horizon=finite.STEPS,
    )
    reference: Any = hypergradient(ConfigurableMDP(lambda theta: model, dim=1), np.zeros(1))
    values, q_leader = finite.counted_values(arrays, solution["policy"])
    zero = np.zeros((1, len(arrays["rho"])))
    leader = np.concatenate([reference.leader.value, zero]) + 1j * values.imag, reference.leader.q + 1j * q_leader.imag
    adjoint = reference.cotangent.follower_reward.sum(axis=1)[None, :]  # Σ_a w = 0
    here = finite.counted(arrays, solution, leader, adjoint)
    return _with_gradient(here, reference.value, reference.cotangent, given)


def _with_gradient(here: Instance, value: float, cotangent: Any, given: dict[str, Array]) -> Instance:
    """The instance with J and ∇J as a cotangent of the arrays that move has it."""
    slope = sum(float(np.sum(getattr(cotangent, name) * np.imag(x))) for name, x in given.items())
    return Instance({**here.values, m.J: np.array([[value + 1j * slope]])}, here.differentials)


def _horizons(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    return horizons.with_horizons(_tabular(problem, theta, direction, rng))


def _fixed_horizons(problem: ConfigurableMDP, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    return horizons.with_horizons(_fixed_policy(problem, theta, direction, rng))


def _game(problem: MarkovGame, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    reference: Any = hypergradient(problem, theta)
    joint, shape = problem.joint, (problem.n_states, problem.n_leader_actions, problem.n_follower_actions)
    f = np.asarray(problem.policy.function(theta + 1j * STEP * direction))
    u = game_sweeps.follower_values(problem, f).x
    q_f = game_sweeps.q_follower(problem, u)
    value, answer = game_sweeps.lse(q_f, joint.temperature)
    w = game_sweeps.leader_values(problem, f[:, :, None] * answer).x
    kernel = tabular_sweeps.matrix_of(joint.transition)
    dense = np.asarray(kernel if isinstance(kernel, np.ndarray) else kernel.toarray()).reshape(*shape, shape[0])
    rewards = (joint.follower_reward.reshape(shape), joint.leader_reward.reshape(shape))
    exact = reference.solved
    solution = {
        "V_F": exact.value + 1j * value.imag,
        "Q_F": exact.q + 1j * q_f.imag,
        "V_L": exact.leader.value + 1j * w.imag,
        "Q_L": exact.q_leader + 1j * (joint.leader_discount * dense @ w).imag,
        "answer": exact.policy + 1j * answer.imag,
    }
    here = game.letters(
        joint.initial,
        dense,
        *rewards,
        f,
        gammas=(joint.follower_discount, joint.leader_discount),
        tau=joint.temperature,
        solution=solution,
    )
    J = np.array([[reference.value + 1j * STEP * (reference.gradient @ direction)]])
    return Instance({**here.values, g.J: J}, here.differentials)


def _lqr(problem: LinearQuadratic, theta: Array, direction: Array, rng: np.random.Generator) -> Instance:
    moved = problem.build(theta + 1j * STEP * direction)
    model = problem.model(theta)
    solution = solve_lqr(model)
    P = solution.P + 1j * np.imag(lqr_sweeps.cost_matrix(moved)[0])
    n, inputs = model.B.shape
    A, B, Q, R = (np.asarray(getattr(moved, name), complex) for name in "ABQR")
    extra = lqr.free(rng, n, inputs, 2)
    here = lqr.letters(
        A, B, Q, R, model.W + 1e-3 * np.eye(n), gamma=model.follower_discount, tau=model.temperature, P=P, extra=extra
    )
    M, K = gain(model, solution.P)
    values = {
        **here.values,
        q.K: solution.K + 1j * np.imag(here.values[q.K]),
        q.Kt: solution.K.T + 1j * np.imag(here.values[q.Kt]),
        q.Acl: solution.closed + 1j * np.imag(here.values[q.Acl]),
        q.Aclt: solution.closed.T + 1j * np.imag(here.values[q.Aclt]),
        q.Sigma_u: solution.covariance,
        q.M: M + 1j * np.imag(here.values[q.M]),
    }
    assert np.allclose(K, solution.K)
    return Instance(values, here.differentials)


_BINDERS: dict[type, dict[Draw, Binder]] = {
    ConfigurableMDP: {
        actions.random_actions: _one_state,
        mdp.random_mdp: _tabular,
        mdp.fixed_kernel: _tabular,
        mdp.tight_kernel: _tabular,
        mdp.fixed_policy: _fixed_policy,
        mdp.random_iterate: _iterate,
        mdp.low_iterate: _iterate,
        mdp.random_feasible: _feasible,
        averages.random_average: _averages,
        finite.random_finite: _finite,
        oracle.random_oracle: _oracle,
        logits.random_logits: _logits,
        logits.random_optimum: _optimum,
        finite.random_counted: _counted,
        suboptimal.random_suboptimal: _suboptimal,
        horizons.random_horizons: _horizons,
        horizons.fixed_policy_horizons: _fixed_horizons,
    },
    MarkovGame: {game.random_game: _game, actions.random_actions: lambda p, t, d, rng: actions.random_actions(rng)},
    LinearQuadratic: {lqr.random_lqr: _lqr, actions.random_actions: lambda p, t, d, rng: actions.random_actions(rng)},
}
