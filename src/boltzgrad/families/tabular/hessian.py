r"""PARL: the follower as a maximiser of its own objective in softmax logits φ, by the implicit-function theorem of that.

    ∇J = ∂_θ J − (∂_φ∂_θ F)ᵀ (∂²_φ F)⁺ ∂_φ J,    F(θ, φ) = the follower's regularised return from μ under softmax(φ).

All four derivatives are complex steps through policy evaluation under a policy that is given (at the soft optimum, found by
sweeps): no derivative of a soft maximum or of a fixed point, no Benefit, no occupancy of the leader's.  A general f(θ, π) is
differentiated by its own gradient.

At the soft optimum the Hessian is −τ blockdiag_s d(s)(diag π − ππᵀ); with rows and columns divided by √(dπ) its eigenvalues are
−τ, and 0 once a state (adding a constant to a state's logits changes nothing), which is what the pseudo-inverse leaves out.
PARL's assumption that the Hessian is invertible so never holds in a table; what a damped inverse (∂²F − ηI)⁻¹ makes of it is
`parl_gradient(…, damping=η)`.

Source: PARL (Chakraborty et al. 2024), Theorem 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.route import CALL, Route, RouteResult
from boltzgrad.core.sweep import COMPLEX_STEP, EPS, Factors
from boltzgrad.errors import InvalidOption, Unfinished
from boltzgrad.families.tabular.model import TabularArrays, TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.families.tabular.sweeps import matrix_of, planned, soft_backup, soft_values, state_kernel

_LEAST = 1e-280
_MOST_LOGITS, _MOST_SOLVES = 800, 2_000


class _Derivatives:
    """The follower's ∂²_φ F (n, n), ∂_φ∂_θ F (n, d), and the leader's ∂_φ J (n,), ∂_θ J (d,), over the n logits whose
    probabilities are not zero, at the soft optimum of one model.
    """

    def __init__(
        self, problem: ConfigurableMDP, theta: Array, m: TabularModel, columns: list[TabularArrays], start: Array
    ) -> None:
        self.m, self.start, self.objective, self.theta = m, start, problem.objective, theta
        self.policy = soft_backup(m, planned(m), soft_values(m).x)[1]
        self.there = np.flatnonzero(self.policy > 0.0)
        least = float(self.policy[self.policy > 0.0].min())
        if least < _LEAST:
            raise Unfinished(f"a probability of {least:.0e} is too small to divide by its root")
        own, world = (gamma * state_kernel(x, self.policy) for gamma, x in self._chains(m))
        self.own, self.own_transposed, self.world = Factors(own), Factors(own.T), Factors(world)
        self.value = float(np.real(self.leader(m, self.policy)))
        hessian, slope = [], []
        general = problem.objective
        direct_f, f_pi = general.gradients(theta, self.policy) if isinstance(general, PolicyObjective) else (None, None)
        for k in self.there:
            policy = self.tilted(int(k))
            hessian.append(self.follower(m, policy).imag[self.there] / COMPLEX_STEP)
            # Somebody's f(θ, π) need not take complex numbers: its own gradient along the tilt.
            moved_J = self.leader(m, policy).imag if f_pi is None else float((f_pi * policy.imag).sum())
            slope.append(moved_J / COMPLEX_STEP)
        self.hessian, self.slope = np.array(hessian), np.array(slope)
        mixed, direct, unsure = [], [], []
        for c in columns:
            parts = zip(m.arrays().parts(), c.parts(), strict=True)
            moved = m.with_arrays(TabularArrays(*(x + 1j * COMPLEX_STEP * y for x, y in parts)))
            mixed.append(self.follower(moved, self.policy).imag[self.there] / COMPLEX_STEP)
            unsure.append(self._rounded(moved)[self.there])
            direct.append(0.0 if direct_f is not None else self.leader(moved, self.policy).imag / COMPLEX_STEP)
        self.unsure = np.array(unsure).T
        self.mixed, self.direct = np.array(mixed).T, np.array(direct) if direct_f is None else direct_f
        d = self.own_transposed.solve(start)
        self.weights = (d[:, None] * self.policy).ravel()[self.there]

    @staticmethod
    def _chains(m: TabularModel) -> tuple[tuple[float, Any], tuple[float, Any]]:
        """The discount and the matrix of the follower's chain and of the world's."""
        return (m.follower_discount, planned(m)), (m.leader_discount, matrix_of(m.transition))

    def tilted(self, k: int) -> Array:
        """The policy with one logit moved by a complex step."""
        out = self.policy.astype(complex)
        s, a = divmod(k, self.policy.shape[1])
        step = 1j * COMPLEX_STEP * out[s] * -self.policy[s, a]
        step[a] += 1j * COMPLEX_STEP * self.policy[s, a]
        out[s] += step
        return out

    def follower(self, m: TabularModel, policy: Array) -> Array:
        """∂_φ F (S·A,) under a policy that is given: visits × probability × advantage."""
        matrix, shape, gamma = planned(m), policy.shape, m.follower_discount
        log = np.where(policy != 0.0, np.log(np.where(policy != 0.0, policy, 1.0)), 0.0)
        reward = m.follower_reward - m.temperature * log
        steps = gamma * state_kernel(matrix, policy)
        v = self.own.solve_beside(steps, (policy * reward).sum(axis=1))
        advantage = reward + gamma * (matrix @ v).reshape(shape) - v[:, None]
        visits = self.own_transposed.solve_beside(steps.T, self.start)
        return np.asarray((visits[:, None] * policy * advantage).ravel())

    def _rounded(self, m: TabularModel) -> Array:
        """What ∂_φ∂_θ F (S·A,) rounds off: an advantage moves by the difference of two motions that may be the same."""
        policy, matrix, gamma = self.policy, planned(m), m.follower_discount
        v = self.own.solve_beside(gamma * state_kernel(matrix, policy), (policy * m.follower_reward).sum(axis=1))
        ahead = m.follower_reward + gamma * (matrix @ v).reshape(policy.shape)
        size = (np.abs(np.imag(ahead)) + np.abs(np.imag(v))[:, None]) / COMPLEX_STEP
        visits = self.own_transposed.solve(self.start)
        return np.asarray((4.0 * EPS * visits[:, None] * policy * size).ravel())

    def leader(self, m: TabularModel, policy: Array) -> Any:
        """J under a policy that is given."""
        if isinstance(self.objective, PolicyObjective):
            return np.asarray(self.objective.function(self.theta, policy))
        reward = m.leader_reward
        if m.leader_temperature:
            reward = reward - m.leader_temperature * np.log(np.where(policy != 0.0, policy, 1.0))
        steps = m.leader_discount * state_kernel(matrix_of(m.transition), policy)
        return np.asarray(m.initial @ self.world.solve_beside(steps, (policy * reward).sum(axis=1)))

    def pseudo_inverse(self) -> tuple[Array, Array]:
        """(∇J (d,) by the pseudo-inverse, what the Hessian's rounding does to each entry to first order).

        The rounding is how far the Hessian is from its spectrum and from its own transpose.

        Raises: Unfinished where its spectrum is not 0 and −τ.
        """
        root, tau = np.sqrt(self.weights), self.m.temperature
        scaled = self.hessian / root[:, None] / root
        skew = float(np.abs(scaled - scaled.T).max()) / tau
        values, vectors = np.linalg.eigh((scaled + scaled.T) / 2.0)
        off = float(np.minimum(np.abs(values + tau), np.abs(values)).max()) / tau
        if not off <= 1e-3:
            raise Unfinished(f"the eigenvalues of the follower's Hessian are off 0 and −τ by {off:.1e} τ: rounding")
        kept = vectors[:, values < -0.5 * tau]
        answer = kept @ ((kept.T @ (self.slope / root)) / values[values < -0.5 * tau])
        mixed = self.mixed / root[:, None]
        felt = np.linalg.norm(mixed, axis=0) * float(np.linalg.norm(answer))
        own = np.linalg.norm(self.unsure / root[:, None], axis=0) * float(np.linalg.norm(answer))
        # Eigenvectors of one eigenvalue mix all states: what belongs to one comes back with a rounding of the whole.
        mixing = EPS * np.sqrt(len(values))
        return self.direct - mixed.T @ answer, (skew + off + mixing) * felt + own

    def damped(self, damping: float) -> Array:
        """∇J (d,) by (∂²F − ηI)⁻¹; with η = 0 by the pseudo-inverse."""
        if damping == 0.0:
            return self.pseudo_inverse()[0]
        shifted = self.hessian - damping * np.eye(len(self.hessian))
        return np.asarray(self.direct - self.mixed.T @ np.linalg.solve(shifted.T, self.slope))

    def unrolled(self, steps: int, rate: float) -> Array:
        """∂J (d,) through `steps` K of φ ← φ + η ∂_φ F from the optimum: ∂φ = η Σ_{k<K} (I + η ∂²F)ᵏ ∂_φ∂_θ F."""
        state = self.there // self.policy.shape[1]
        same = (state[:, None] == state).astype(float)
        centred = np.eye(state.size) - same / same.sum(
            axis=0
        )  # logits of a state move together for nothing: only by rounding
        once = np.eye(state.size) + rate * centred @ self.hessian @ centred
        power, total = centred, np.zeros_like(once)
        for bit in format(steps, "b"):  # powers and their sums by doubling
            power, total = power @ power, total + power @ total
            if bit == "1":
                power, total = power @ once, total + power
        return np.asarray(self.direct + rate * (self.slope @ centred @ total @ centred) @ self.mixed)


def _assembled(
    problem: ConfigurableMDP, theta: Array, damping: float, unroll: tuple[int, float] | None = None
) -> tuple[float, Array, Array]:
    """(J, the gradient (d,), what rounding of the Hessians does to it (d,))."""
    at = problem.linearise(theta)
    columns = list(at.columns())
    value, gradient, rounding = 0.0, np.zeros(problem.dim), np.zeros(problem.dim)
    for c, (m, p) in enumerate(zip(at.model.models, at.model.probabilities, strict=True)):
        own_start = damping > 0.0 or unroll is not None
        start = m.initial if own_start else 0.5 * m.initial + 0.5 / m.n_states  # the optimum is best from everywhere
        found = _Derivatives(problem, theta, m, [column.models[c] for column in columns], start)
        if unroll is not None:
            slope = found.unrolled(*unroll)
        elif damping:
            slope = found.damped(damping)
        else:
            slope, own = found.pseudo_inverse()
            rounding += float(p) * own
        value += float(p) * found.value
        gradient += float(p) * slope + found.value * np.array([column.probabilities[c] for column in columns])
    if problem.regulariser is not None:
        value += problem.regulariser.value(theta)
        gradient += problem.regulariser.gradient_at(theta)
    return value, gradient, rounding


def run(problem: ConfigurableMDP, theta: Array) -> RouteResult:
    """Shapes: theta (d,) -> gradient (d,).  Raises: Unfinished."""
    value, gradient, rounding = _assembled(problem, theta, 0.0)
    return RouteResult(value, gradient, rounding)


def parl_gradient(problem: Any, theta: Any, *, damping: float = 0.0) -> Array:
    """PARL's hypergradient (d,) with the Hessian's inverse damped by η ≥ 0; with η = 0, by the pseudo-inverse, it is ∇J.

    Each component of the exact answer is multiplied by μ/(μ + η), μ = τ d(s) × an eigenvalue of diag π − ππᵀ: states that are
    rarely visited and actions that are rarely taken lose theirs first.  Source: PARL (Chakraborty et al. 2024).
    Raises: InvalidOption; Unfinished.

    >>> import boltzgrad as bg
    >>> problem = bg.problems.load("garnet", n_states=8)
    >>> theta = problem.initial_theta(seed=0)
    >>> exact = bg.hypergradient(problem, theta).gradient
    >>> bool(abs(bg.parl_gradient(problem, theta) - exact).max() < 1e-8 * abs(exact).max())
    True
    >>> bool(abs(bg.parl_gradient(problem, theta, damping=1e-3) - exact).max() > 1e-3 * abs(exact).max())
    True
    """
    if not isinstance(damping, (int, float)) or isinstance(damping, bool) or not 0.0 <= damping < np.inf:
        raise InvalidOption(f"damping is {damping!r}; expected a number of at least 0")
    return _assembled(problem, _checked(problem, theta, "PARL's gradient"), float(damping))[1]


def unrolled_gradient(problem: Any, theta: Any, steps: int, rate: float) -> Array:
    """∂J/∂θ (d,) through `steps` gradient steps of size `rate` in the follower's logits, taken from its optimum.

    Raises: InvalidOption; Unfinished.
    """
    return _assembled(problem, _checked(problem, theta, "the unrolled gradient"), 0.0, (steps, rate))[1]


def _checked(problem: Any, theta: Any, what: str) -> Array:
    """θ of a table that is small enough.  Raises: InvalidOption."""
    if not isinstance(problem, ConfigurableMDP) or problem.model_kind is not TabularModel:
        raise InvalidOption(f"problem is {problem!r}; {what} is for a ConfigurableMDP that is a table")
    theta = problem.check_theta(theta)
    if reason := _skip(problem, theta):
        raise InvalidOption(f"{what} is worked out densely: {reason}")
    return np.asarray(theta)


def _solves(problem: ConfigurableMDP, theta: Array) -> tuple[int, int]:
    """(the most logits of a model, the solves for all)."""
    logits = [m.n_states * m.n_actions for m in problem.contexts(theta).models]
    return max(logits), sum(n + theta.size for n in logits)


def _skip(problem: ConfigurableMDP, theta: Array) -> str:
    logits, solves = _solves(problem, theta)
    if logits > _MOST_LOGITS or solves > _MOST_SOLVES:
        return f"{logits} logits and {solves} policy evaluations (at most {_MOST_LOGITS} and {_MOST_SOLVES})"
    return ""


def _work(reference: Any) -> float:
    _, solves = _solves(reference.problem, reference.theta)
    return float(solves * (20.0 * CALL + max(10.0 * s.model.n_states**3 for s in reference.contexts)))


HESSIAN = Route("hessian", "the follower's Hessian in softmax logits, pseudo-inverted (PARL)", run, _skip, work=_work)
