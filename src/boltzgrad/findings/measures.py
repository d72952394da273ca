"""The numbers of findings on the papers' problems and formulas, from problems of the zoo."""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import softmax
from boltzgrad.estimators import Sampling, Stream
from boltzgrad.estimators.gaussian.episodes import GaussianEpisodes
from boltzgrad.estimators.gaussian.worlds import GaussianWorlds
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.worlds import Moves
from boltzgrad.experiments.four_rooms import published, sarsa
from boltzgrad.experiments.methods import estimator
from boltzgrad.experiments.metrics import lqr_game, toy_game
from boltzgrad.families.enclosure import enclose
from boltzgrad.families.game.mistakes import StoppedGradient as GameStoppedGradient
from boltzgrad.families.game.problem import MarkovGame
from boltzgrad.families.registry import hypergradient
from boltzgrad.families.tabular.hessian import parl_gradient
from boltzgrad.families.tabular.mistakes import OneStepTruncation, StoppedGradient
from boltzgrad.families.tabular.penalty_gradient import penalty_gradient
from boltzgrad.findings.finding import Numbers
from boltzgrad.zoo import load

TEMPERATURES = (0.001, 0.003, 0.005)


def rooms(tau: float, kernel: str = "matrix") -> Any:
    """Four-Rooms as in BC-HG."""
    return load("four-rooms", kernel=kernel, temperature=tau, penalty_weight=5.0)


def off(found: Array, exact: Array) -> float:
    """‖found − exact‖ / ‖exact‖."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def cosine(a: Array, b: Array) -> float:
    """Of the angle between two vectors."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def start_values() -> Numbers:
    """J at θ = 0 at the three temperatures, in the matrix' world, and in the simulator's."""
    at = {tau: hypergradient(rooms(tau), np.zeros(105)).value for tau in TEMPERATURES}
    simulator = hypergradient(rooms(0.001, "simulator"), np.zeros(105)).value
    return {"first": at[0.001], "second": at[0.003], "third": at[0.005], "simulator": simulator}


def two_kernels() -> Numbers:
    """J at θ = 0 for a consistent world and for the published pair, and the cosine of their gradients."""
    consistent, theirs = (hypergradient(rooms(0.001, k), np.zeros(105)) for k in ("matrix", "as-published"))
    return {
        "consistent": consistent.value,
        "theirs": theirs.value,
        "cosine": cosine(consistent.gradient, theirs.gradient),
    }


def mean_at_the_start(tau: float, specification: dict[str, Any]) -> tuple[Array, Array]:
    """(the mean of an estimator's batches at the published start in each of 20 lanes (20, d), ∇J (d,)).

    150 batches a lane in the matrix' world, after 100 for the critics to settle; θ is not moved.
    """
    problem = rooms(tau)
    theta = problem.initial_theta(0)
    exact = hypergradient(problem, theta).gradient
    run = estimator(specification).open(problem, [Stream(i) for i in range(20)])
    found = [run.estimate(theta[None], np.zeros(20, int)).gradient for _ in range(250)][100:]
    return np.mean(found, axis=0), exact


def sarsa_bias() -> Numbers:
    """Length over ‖∇J‖, and cosine with ∇J, of the published estimate's mean with its critic and with an exact one."""
    out = {}
    for critic, name in ((sarsa(), "sarsa"), ("exact", "exact")):
        lanes, exact = mean_at_the_start(0.003, published("bc-hg", (1, 100), critic=critic))
        mean = lanes.mean(axis=0)
        out[name] = float(np.linalg.norm(mean) / np.linalg.norm(exact))
        out[f"{name}_cosine"] = cosine(mean, exact)
    return out


def sobirl_is_naive() -> Numbers:
    """How far SoBiRL's truncation is from no answer at all in Four-Rooms, and from ∇J."""
    problem = rooms(0.003, "simulator")
    theta = problem.initial_theta(seed=0)
    exact = hypergradient(problem, theta).gradient
    truncated, naive = (formula(problem, theta).gradient() for formula in (OneStepTruncation, StoppedGradient))
    return {"apart": off(truncated, naive), "off": off(truncated, exact), "cosine": cosine(truncated, exact)}


def truncation() -> Numbers:
    """How far SoBiRL's truncation is from ∇J elsewhere."""
    problem = load("synthetic-hard")
    theta = problem.initial_theta(seed=0)
    exact = hypergradient(problem, theta).gradient
    return {"off": off(OneStepTruncation(problem, theta).gradient(), exact)}


def thermal(level: float) -> float:
    """J of thermal control with all eight levels at `level`."""
    return float(hypergradient(load("thermal-control"), np.full(8, np.log(level / (1 - level)))).value)


def states_outside(limit: float = 30.0) -> tuple[int, int, float]:
    """(how many states, how many with an entry beyond the limit, the largest entry) of 2000 episodes of 100 steps, θ = 0."""
    all_of_them = Moves(*[True] * 6)
    worlds = GaussianWorlds(load("thermal-control"), np.zeros((1, 8)), np.zeros(1, int), all_of_them)
    batch = GaussianEpisodes(worlds, Sampling(episodes=2000, horizon=100), Draws(np.random.default_rng(0), 1))
    largest = np.abs(batch.x).max(axis=-1)
    return largest.size, int((largest > limit).sum()), float(largest.max())


def clipping() -> Numbers:
    """What `states_outside` counts."""
    states, outside, largest = states_outside()
    return {"states": states, "outside": outside, "largest": largest}


def at_p(p: float) -> Array:
    """θ of the toy game with P(1|A) = p and the rest uniform."""
    return np.array([0, 0, 0, np.log(p / (1 - p)), 0, 0.0])


def best_p(bonus: int, as_published: bool) -> float:
    """The p = P(a=1|A) at which J is largest, by golden section on the exact objective."""
    problem = load("toy-game", bonus=bonus, as_published=as_published)

    def value(p: float) -> float:
        return float(hypergradient(problem, at_p(p)).value)

    low, high, golden = 0.02, 0.6, (np.sqrt(5) - 1) / 2
    for _ in range(40):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if value(a) > value(b) else (a, high)
    return float((low + high) / 2)


def toy_best() -> Numbers:
    """The best P(1|A) for the paper's follower and for the published one."""
    return {
        f"{name}_{bonus}": best_p(bonus, published)
        for bonus in (1, 2)
        for name, published in (("right", False), ("theirs", True))
    }


def toy_return() -> Numbers:
    """The best returns, and how far short of them the published ends are."""
    out = {}
    for bonus in (1, 2):
        returns = toy_game(load("toy-game", bonus=bonus), at_p(best_p(bonus, False)))
        out[f"best_{bonus}"] = returns[bonus]
    return {**out, "short_1": 1 - 27.0 / out["best_1"], "short_2": 1 - 58.9 / out["best_2"]}


def toy_start() -> Numbers:
    """J at θ = 0 for the paper's follower and for the published one."""
    right, theirs = (
        hypergradient(load("toy-game", bonus=1, as_published=published), np.zeros(6)).value
        for published in (False, True)
    )
    return {"right": right, "theirs": theirs}


def toy_naive() -> Numbers:
    """Where the derivative without the follower's answer is positive, and where ∇J changes its sign."""
    problem = load("toy-game", bonus=1)
    ps = np.linspace(0.01, 0.99, 99)
    partial = [float(GameStoppedGradient(problem, at_p(p)).gradient()[3]) for p in ps]
    whole = [float(hypergradient(problem, at_p(p)).gradient[3]) for p in ps]
    return {
        "points": len(ps),
        "positive": sum(x > 0.0 for x in partial),
        "sign": float(ps[np.flatnonzero(np.diff(np.sign(whole)))[0]]),
    }


def lqr_stationary() -> Numbers:
    """Returns at K = (−9.5, .2), and the top of the hill along k₂ = .2."""
    problem = load("lqr-game")
    theta = np.array([-9.5, 0.2])
    gains = np.linspace(-9.9, -6.0, 79)
    values = [hypergradient(problem, np.array([k, 0.2])).value for k in gains]
    return {
        "discounted": hypergradient(problem, theta).value,
        "plain": float(lqr_game(problem, theta)),
        "top": float(gains[int(np.argmax(values))]),
        "height": float(max(values)),
    }


KEPT: dict[str, dict[str, Any]] = {
    "DRLHF": {"method": "drlhf", "tuples": None},
    "SoBiRL (99)": {"method": "trajectory-sobirl", "tuples": None},
    "two rewards ahead": {"method": "trajectory-sobirl", "tuples": None, "depth": 2},
    "PBRL, λ = 2": {"method": "pbrl", "weight": 2.0},
}


def left_out(tau: float, worlds: int = 30) -> dict[str, float]:
    """The median of ‖bias‖/‖∇J‖ of each method over so many worlds at their initial θ; nothing is sampled."""
    found: dict[str, list[float]] = {method: [] for method in KEPT}
    for seed in range(worlds):
        problem = load("rlhf", seed=seed, temperature=tau)
        theta = problem.initial_theta(seed=seed)
        exact = hypergradient(problem, theta).gradient
        for method, specification in KEPT.items():
            found[method].append(off(estimator(specification)(problem, theta, np.random.default_rng(0)), exact))
    return {method: float(np.median(x)) for method, x in found.items()}


def rlhf() -> Numbers:
    """`left_out` at two temperatures."""
    names = ("drlhf", "truncated", "two", "pbrl")
    return {
        f"{short}_{round(10 * tau)}": x
        for tau in (0.3, 0.1)
        for short, x in zip(names, left_out(tau).values(), strict=True)
    }


def _garnet() -> tuple[Any, Array, Array]:
    problem = load("garnet", n_states=20)
    theta = problem.initial_theta(seed=0)
    return problem, theta, hypergradient(problem, theta).gradient


def parl() -> Numbers:
    """How far PARL's formula is from ∇J, by the damping of its Hessian."""
    problem, theta, exact = _garnet()
    at = {damping: off(parl_gradient(problem, theta, damping=damping), exact) for damping in (0.0, 1e-3, 1e-2)}
    return {"none": at[0.0], "little": at[1e-3], "more": at[1e-2]}


def pbrl() -> Numbers:
    """How far PBRL's is from ∇J, by its weight."""
    problem, theta, exact = _garnet()
    at = {weight: off(penalty_gradient(problem, theta, weight), exact) for weight in (1.0, 10.0, 100.0)}
    return {"one": at[1.0], "ten": at[10.0], "hundred": at[100.0], "slope": float(np.log10(at[10.0] / at[100.0]))}


def kl() -> Numbers:
    """Biases of three estimators of a KL to a reference as gradients, of the KL's own gradient; expectations are sums."""
    rng = np.random.default_rng(0)
    reference, logits = softmax(rng.standard_normal(6)), rng.standard_normal(6)
    policy = softmax(logits)
    ratio = np.log(policy / reference)
    scores = np.eye(6) - policy

    def mean(weight: Array) -> Array:
        return np.asarray((policy * weight) @ scores)

    one = (1, 6, 1)  # a leader without a follower, who is paid for nothing but its KL: J = −KL
    game = MarkovGame(
        np.zeros((*one, 1)), np.ones(1), np.zeros(one), np.zeros(one),
        follower_discount=0.0, leader_discount=0.0, temperature=1.0, leader_temperature=1.0,
        leader_reference=reference[None],
    )  # fmt: skip
    exact = -hypergradient(game, logits).gradient
    return {
        "k1_loss": off(mean(np.ones(6)), exact),
        "k2_loss": off(mean(ratio), exact),
        "k3_reward": off(mean(np.exp(-ratio) - 1 + ratio), exact),
        "k3_loss": off(mean(1 - np.exp(-ratio)), exact),
    }


def bound() -> Numbers:
    """A proved bound, and the true error."""
    problem = load("garnet", n_states=8)
    reference = hypergradient(problem, problem.initial_theta(seed=0))
    return {
        "bound": float(reference.error_bound),
        "true": float(enclose(problem, reference.theta).errors(reference.gradient).max()),
    }
