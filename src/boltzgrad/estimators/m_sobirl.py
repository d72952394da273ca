"""M-SoBiRL: model-based, with one amortised step of the adjoint equation and a few backups an outer iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidOption
from boltzgrad.estimators.estimator import Estimates, Estimator, Run
from boltzgrad.estimators.sampling import positive_count
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.newton import soften
from boltzgrad.estimators.tabular.worlds import moves
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@dataclass(frozen=True, eq=False, kw_only=True)
class MSoBiRL(Estimator):
    r"""$\nabla_x f + \tau^{-1}\nabla r'\mathrm{diag}(\pi)\nabla_\pi f - \tau^{-1}\nabla_x\varphi' w$.

    w tracks (I − γP_π)^{-T} U' diag(π) ∇_π f, U = E − γP with (EV)(s,a) = V(s), by gradient steps of size `eta` on the
    least squares; Q by at most `inner_sweeps` soft Bellman backups, stopped at a change of 10⁻⁶.  Both live on from call
    to call (`adjoint_steps` and `inner_sweeps` large: the exact hypergradient).  The estimate is of ∇f itself, to be descended.

    `lower_level` "stopped" leaves everything but ∇_x f out, "wrong-sign" turns the lower level's part around: controls that
    a benchmark worth its name must tell from the method.  Rewards only may depend on θ.

    Source: SoBiRL (Yang, Gao, Yuan 2025, arXiv:2405.19697), Algorithm 2; (24).
    """

    name: ClassVar[str] = "m-sobirl"
    label: ClassVar[str] = "M-SoBiRL"
    eta: float = 0.5
    inner_sweeps: int = 10
    adjoint_steps: int = 1
    lower_level: str = "on"

    def check(self, problem: Any) -> None:
        """Raises: InvalidOption for problems without an objective f(θ, π), or whose kernel depends on θ."""
        positive_count("inner_sweeps", self.inner_sweeps)
        positive_count("adjoint_steps", self.adjoint_steps)
        if not self.eta > 0.0:
            raise InvalidOption(f"eta is {self.eta!r}; expected a positive number")
        if self.lower_level not in ("on", "stopped", "wrong-sign"):
            raise InvalidOption(f"lower_level is {self.lower_level!r}; expected 'on', 'stopped' or 'wrong-sign'")
        if not isinstance(problem, ConfigurableMDP) or not isinstance(problem.objective, PolicyObjective):
            raise InvalidOption(f"M-SoBiRL needs a general objective f(θ, π); {problem!r} has none")
        if problem.model_kind is not TabularModel:
            raise InvalidOption(f"M-SoBiRL is for a discounted follower without end; {problem!r} has a finite horizon")
        what = moves(problem.linearise(problem.initial_theta(seed=0)))
        if what.transition or what.contexts:
            raise InvalidOption(f"M-SoBiRL (SoBiRL Alg. 2) is for a fixed kernel and one context; {problem!r} differs")

    def _open(self, problem: Any, draws: Draws) -> Run:
        return _MSoBiRLRun(self, problem, draws)


class _MSoBiRLRun(Run):
    def __init__(self, estimator: MSoBiRL, problem: ConfigurableMDP, draws: Draws) -> None:
        self.estimator, self.problem, self.draws = estimator, problem, draws
        self.state: list[tuple[Array, Array]] = []

    def estimate(self, thetas: Array, lane_theta: Array | None = None) -> Estimates:
        """See `Run.estimate`."""
        self.refuse_temperature(self.problem)
        lanes = np.arange(len(thetas)) if lane_theta is None else lane_theta
        if not self.state:
            first = self.problem.contexts(thetas[0]).models[0]
            w = self.draws.normal("w", first.n_states)
            self.state = [(np.zeros((first.n_states, first.n_actions)), w[i]) for i in range(lanes.size)]
        out = np.empty((lanes.size, thetas.shape[1]))
        for i, row in enumerate(lanes):
            out[i], self.state[i] = self._one(thetas[row], *self.state[i])
        return Estimates(out, np.zeros(lanes.size, int))

    def _one(self, theta: Array, q: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        e, lin = self.estimator, self.problem.linearise(theta)
        model: TabularModel = lin.model.models[0]
        gamma, tau, kernel = model.follower_discount, model.temperature, model.follower_kernel
        for _ in range(e.inner_sweeps):
            new = model.follower_reward + gamma * kernel.expect(soften(q, tau)[0])
            change = np.abs(new - q).max()
            q = new
            if change <= 1e-6 and e.adjoint_steps == 1:
                break
        _, policy = soften(q, tau)
        objective = self.problem.objective
        assert isinstance(objective, PolicyObjective)
        direct, in_policy = objective.gradients(theta, policy)
        load = policy * in_policy
        b = load.sum(axis=1) - gamma * kernel.accumulate(load)
        system = np.eye(model.n_states) - gamma * _dense(kernel.under(policy))
        for _ in range(e.adjoint_steps):
            # A = (I − γP_π)'; one gradient step on ½‖Aw − b‖².
            w = w - e.eta * (system @ (system.T @ w - b))
        # φ(x, V) = τ log Σ_a exp((r + γPV)/τ): ∇_x φ = Σ_a π ∇r.
        on_reward = (load - policy * w[:, None]) / tau
        sign = {"on": 1.0, "stopped": 0.0, "wrong-sign": -1.0}[e.lower_level]
        zero = model.arrays().map(np.zeros_like)
        cotangent = replace(zero, follower_reward=sign * on_reward)
        gradient = direct + lin.pullback(ContextualArrays((cotangent,), np.zeros(1)))
        if self.problem.regulariser is not None:
            gradient = gradient + self.problem.regulariser.gradient_at(theta)
        return gradient, (q, w)


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)
