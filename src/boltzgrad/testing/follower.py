"""Somebody else's V, Q and policy held against the follower's answer, and what a wrong one looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from boltzgrad.errors import InvalidCandidate, InvalidOption
from boltzgrad.problems import ConfigurableMDP, LinearQuadratic, MarkovGame, TabularModel
from boltzgrad.problems.kernel import Array
from boltzgrad.solvers import solve_follower
from boltzgrad.solvers.game import solve_game
from boltzgrad.solvers.lqr import solve_lqr
from boltzgrad.testing.candidate import plain, read_theta, relative_tolerance
from boltzgrad.verify.tolerances import HALF_THE_DIGITS, SAFETY

_SWEEPS = 20_000


@dataclass(frozen=True, eq=False)
class _Answer:
    """The exact answer by name, how wrong each may be, and how many roundings its values are made of.

    `model` is the tabular model that the follower plans in, where there is one; `horizon` its 1/(1 − γ_F).
    """

    values: dict[str, Array]
    bounds: dict[str, float]
    horizon: float
    model: TabularModel | None = None


def check_follower(
    candidate: Mapping[str, Any] | Callable[[Array], Mapping[str, Any]],
    problem: Any,
    theta: Any,
    *,
    tolerance: float | None,
    context: int,
) -> str:
    """What is wrong with a candidate, or "" (`assert_follower` has the names).  Raises: InvalidCandidate, InvalidOption."""
    if tolerance is not None:
        tolerance = relative_tolerance(tolerance)
    start = read_theta(problem, theta)
    answer = _answer(problem, start, context)
    given = candidate(start.copy()) if callable(candidate) else candidate
    if not isinstance(given, Mapping) or not given:
        raise InvalidCandidate(
            f"the candidate is {'empty' if isinstance(given, Mapping) else f'a {type(given).__name__}'}; expected a mapping "
            f"with some of {', '.join(answer.values)}"
        )
    complaints = [_complaint(name, x, answer, tolerance) for name, x in given.items()]
    found = [complaint for complaint in complaints if complaint]
    name = getattr(problem, "name", "") or "problem"
    return "\n".join([f"{name}: not the follower's answer", *found]) if found else ""


def _complaint(name: str, x: Any, answer: _Answer, tolerance: float | None) -> str:
    if name not in answer.values:
        raise InvalidCandidate(f"the candidate has {name!r}; this problem's follower has {', '.join(answer.values)}")
    yours, exact = plain(x, name, InvalidCandidate), answer.values[name]
    if yours.dtype.kind != "f":
        raise InvalidCandidate(f"{name} holds {yours.dtype} values, expected float64 or float32")
    if yours.shape != exact.shape:
        raise InvalidCandidate(f"{name} has shape {yours.shape}, expected {exact.shape}")
    bad = np.argwhere(~np.isfinite(yours))
    if len(bad):
        raise InvalidCandidate(f"{name}{list(map(int, bad[0]))} is {yours[tuple(bad[0])]}; every entry must be finite")
    off = np.abs(yours - exact)
    at = np.unravel_index(int(np.argmax(off)), off.shape)
    allowed = _allowed(name, yours, answer, tolerance)
    if off[at] <= allowed:
        return ""
    where = ", ".join(str(int(i)) for i in at)
    lines = [
        f"{name}[{where}]: yours {yours[at]:.12g}, exact {exact[at]:.12g}; difference {off[at]:.2g}, allowed {allowed:.2g}; "
        f"{int((off > allowed).sum())} of {off.size} entries are off"
    ]
    lines += [f"  looks like: {words}" for words in _looks_like(name, np.asarray(yours, float), answer, allowed)]
    return "\n".join(lines)


def _allowed(name: str, yours: Array, answer: _Answer, tolerance: float | None) -> float:
    """What sweeps in the candidate's precision round off, what is not known of the exact answer, and the tolerance."""
    size = (
        max(1.0, float(np.abs(answer.values[name]).max()))
        if name == "policy"
        else float(np.abs(answer.values[name]).max())
    )
    own = (HALF_THE_DIGITS if tolerance is None else tolerance) * size
    eps = float(np.finfo(yours.dtype).eps)
    if name == "policy" and answer.model is not None:
        # An error of Q is an error of the policy 1/τ times as large; what all actions share drops out.
        rounding = eps * float(np.abs(answer.values["Q"]).max()) / answer.model.temperature
    else:
        rounding = eps * size * answer.horizon
    return min(own + SAFETY * (answer.bounds[name] + rounding), 1.0 if name == "policy" else np.inf)


def _answer(problem: Any, theta: Array, context: int) -> _Answer:
    if isinstance(problem, LinearQuadratic):
        lq = problem.model(theta)
        solved = solve_lqr(lq)
        values = {"P": solved.P, "K": solved.K, "covariance": solved.covariance}
        if lq.observed:
            values["K_w"] = solved.K_w
        bounds = {name: solved.residual * float(np.abs(x).max()) for name, x in values.items()}
        return _Answer(values, bounds, 1.0 / max(1.0 - solved.radius**2, 1e-12))
    if isinstance(problem, MarkovGame):
        f = problem.leader_policy(theta)
        if problem.acts_on == "action":
            game = solve_game(problem, f)
            model = None if problem.plans_on == "state" else _only(problem.as_configurable_mdp().model(theta))
            values = {"V": game.value, "Q": game.q, "policy": game.policy, "U": game.continuation}
            return _with_bounds(values, problem.joint, game.follower.sup_bound, model)
        problem = problem.as_configurable_mdp()
    if not isinstance(problem, ConfigurableMDP):
        raise InvalidOption(f"problem is a {type(problem).__name__}; expected a problem of boltzgrad")
    models = problem.contexts(theta).models
    if isinstance(context, bool) or not isinstance(context, (int, np.integer)) or not 0 <= context < len(models):
        raise InvalidOption(f"context is {context!r}; this problem has {len(models)}, counted from 0")
    follower = solve_follower(models[context])
    values = {"V": follower.value, "Q": follower.q, "policy": follower.policy}
    return _with_bounds(values, models[context], follower.sup_bound, models[context])


def _only(model: Any) -> TabularModel:
    assert isinstance(model, TabularModel)
    return model


def _with_bounds(values: dict[str, Array], like: TabularModel, sup_bound: float, model: TabularModel | None) -> _Answer:
    bounds = {name: 2.0 * sup_bound / like.temperature if name == "policy" else sup_bound for name in values}
    return _Answer(values, bounds, 1.0 / (1.0 - like.follower_discount), model)


def _looks_like(name: str, yours: Array, answer: _Answer, allowed: float) -> list[str]:
    """Known ways to get a follower wrong that explain this array."""
    model = answer.model
    if model is None:
        return []
    exact, out = answer.values[name], []
    near = max(allowed, 1e-3 * float(np.abs(yours - exact).max()))
    for words, arrays in _mistaken(model):
        wrong = arrays.get(name)
        if wrong is not None and np.abs(wrong.reshape(exact.shape) - exact).max() > near:
            off = float(np.abs(wrong.reshape(exact.shape) - yours).max())
            if off <= near:
                out.append(f"‘{words}’ (it matches yours to {off:.0e})")
    if name == "policy":
        sums = yours.sum(axis=-1)
        if np.abs(sums - 1.0).max() > 1e-6:
            out.append(f"no policy: rows sum to {sums.min():.6g} … {sums.max():.6g}; they must sum to 1")
    elif not out and name == "V":
        value = yours.reshape(model.n_states)
        change = float(np.abs(_backup(model, value)[1] - value).max())
        apart = float(np.abs(yours - exact).max())
        if change < 0.2 * apart:
            out.append(
                f"a follower stopped early, or a constant added: one more backup would change your V by {change:.1e}, and it "
                f"is up to 1/(1 − γ) = {answer.horizon:.3g} times as far from its fixed point"
            )
        else:
            out.append(f"no fixed point of the soft Bellman equation: one more backup changes your V by {change:.1e}")
    return out


def _backup(model: TabularModel, v: Array, discount: float | None = None) -> tuple[Array, Array]:
    gamma = model.follower_discount if discount is None else discount
    q = model.follower_reward + gamma * model.follower_kernel.expect(v)
    return q, np.asarray(model.temperature * logsumexp(q / model.temperature, axis=1))


def _mistaken(model: TabularModel) -> list[tuple[str, dict[str, Array]]]:
    """(the mistake, the arrays that it gets wrong), each swept to its own fixed point."""
    tau, n = model.temperature, model.n_actions

    def swept(maximum: Callable[[Array], Array], discount: float | None = None) -> tuple[Array, Array]:
        v = np.zeros(model.n_states)
        q = _backup(model, v, discount)[0]
        for _ in range(_SWEEPS):
            q = _backup(model, v, discount)[0]
            new = maximum(q)
            moved, v = float(np.abs(new - v).max()), new
            if moved <= 1e-13 * max(1.0, float(np.abs(v).max())):
                break
        return q, v

    def soft(q: Array) -> Array:
        return np.asarray(tau * logsumexp(q / tau, axis=1))

    def boltzmann(q: Array) -> Array:
        return np.asarray(softmax(q / tau, axis=1))

    def greedy(q: Array) -> Array:
        return np.asarray((q >= q.max(axis=1, keepdims=True) - 1e-12).astype(float))

    hard, mean = swept(lambda q: np.asarray(q.max(axis=1))), swept(lambda q: soft(q) - tau * np.log(n))
    no_entropy = swept(lambda q: np.asarray((boltzmann(q) * q).sum(axis=1)))
    other, right = swept(soft, model.leader_discount), swept(soft)
    values = [
        ("max for the soft maximum", hard),
        ("the mean of exponentials for their sum: τ log(1/A) lost at every step", mean),
        ("Σ π Q for the soft maximum: the entropy is not rewarded", no_entropy),
        ("γ_L for the follower's discount", other),
    ]
    policies = [
        ("the greedy policy of the soft Q", greedy(right[0])),
        ("the greedy policy, no temperature at all", greedy(hard[0])),
        ("exp(Q) without 1/τ", np.asarray(softmax(right[0], axis=1))),
        ("the uniform policy", np.full_like(right[0], 1.0 / n)),
    ]
    return [
        *((words, {"Q": q, "V": v, "policy": boltzmann(q)}) for words, (q, v) in values),
        *((words, {"policy": policy}) for words, policy in policies),
    ]
