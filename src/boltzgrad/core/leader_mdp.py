r"""A leader with a world of its own: the follower's policy, worked out in one Markov decision process, is lived in another.

    f(π) = Σ_t γᵗ E[r(s,a) − τ log π(a|s)],    ∂f/∂π(s,a) = d(s) (r − τ log π + γ Σ p U)(s,a) up to a constant a state,

U its values under π, d its visits.  Source: SoBiRL (4), (24), with reward shaping: K, section 3.3.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from scipy import sparse

from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import check_probabilities, numeric_array, real_number
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.errors import InvalidModel

EPS = float(np.finfo(float).eps)


class LeaderMDP(PolicyObjective):
    r"""The return $f(\pi)$ of the follower's policy in a Markov decision process of the leader's own, with a proved bound.

    Shapes: `transition` (S, A, S), or SciPy sparse (S·A, S) (made dense); `reward` (S, A); `initial` (S,).  `discount` lies in
    [0, 1); `temperature` τ ≥ 0 is the weight of an entropy of the policy in the leader's eyes.  None of them depends on θ: what
    does, belongs into the model, as its `leader_reward` and `transition`.

    Raises: InvalidModel.

    >>> own = LeaderMDP(np.full((2, 2, 2), 0.5), [[0.0, 1.0], [0.0, 1.0]], [1.0, 0.0], discount=0.5)
    >>> float(own.value(np.zeros(1), np.array([[0.5, 0.5], [0.0, 1.0]])))
    1.25
    """

    def __init__(self, transition: Any, reward: Any, initial: Any, discount: float, temperature: float = 0.0) -> None:
        r = np.array(numeric_array("reward", reward, ndim=2, axes="(states, actions)"), float)
        S, A = r.shape
        p = numeric_array("transition", transition.toarray() if sparse.issparse(transition) else transition)
        for name, x in (("transition", p), ("reward", reward), ("initial", initial)):
            if np.iscomplexobj(x):
                raise InvalidModel(f"{name} is complex; expected real numbers")
        p = np.array(p.reshape(S, A, S) if p.shape == (S * A, S) else p, float)
        if p.shape != (S, A, S):
            raise InvalidModel(f"transition has shape {p.shape}, expected ({S}, {A}, {S}) as in the reward")
        check_probabilities("transition", p.reshape(S * A, S), np.arange(S * A + 1) * S, A, False)
        start = np.array(numeric_array("initial", initial, ndim=1, axes="(states,)"), float)
        if start.shape != (S,):
            raise InvalidModel(f"initial has shape {start.shape}, expected ({S},)")
        check_probabilities("initial", start[None, :], np.array([0, S]), 1, True)
        gamma, tau = real_number("discount", discount), real_number("temperature", temperature)
        if not 0.0 <= gamma < 1.0:
            raise InvalidModel(f"discount is {gamma!r}; it must lie in [0, 1)")
        if not 0.0 <= tau < np.inf:
            raise InvalidModel(f"temperature is {tau!r}; it must be at least 0 and finite")

        def function(theta: Any, policy: Any) -> Any:
            paid = r - tau * anp.log(anp.where(policy > 0.0, policy, 1.0)) if tau else r
            kernel = anp.einsum("sa,saz->sz", policy, p)
            return anp.dot(start, anp.linalg.solve(np.eye(S) - gamma * kernel, anp.sum(policy * paid, axis=1)))

        def solved(policy: Array) -> tuple[Array, Array, Array]:
            """(d, U, Q) under a policy."""
            paid = r - tau * np.log(np.where(policy > 0.0, policy, 1.0))
            rest = np.eye(S) - gamma * np.einsum("sa,saz->sz", policy, p)
            u = np.linalg.solve(rest, (policy * paid).sum(axis=1))
            return np.linalg.solve(rest.T, start), u, paid + gamma * p @ u

        def gradient(theta: Array, policy: Array) -> tuple[Array, Array]:
            d, _, q = solved(policy)
            # −τ π ∂log π/∂π = −τ is a constant a state: it belongs to the derivative, though no policy feels it.
            return np.zeros_like(theta), d[:, None] * (q - tau)

        def variation(theta: Array, policy: Array, error: Array) -> tuple[Array, Array]:
            """|δ(d Q)| ≤ d e_Q + e_d (|Q| + e_Q), with ‖(I − γP)⁻¹‖ ≤ 1/(1 − γ) for values and for visits."""
            d, u, q = solved(policy)
            low = np.maximum(policy - error, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                e_log = np.where(
                    (tau > 0.0) & (policy > 0.0), np.log(policy / low), 0.0
                )  # log π moves down the furthest
                e_paid = np.where(error == 0.0, 0.0, tau * e_log)
            steps = 1.0 / (1.0 - gamma)
            rounding = 8 * EPS * (S + A) * steps * (np.abs(r).max() + np.abs(q).max())
            left = (policy * np.abs(q - u[:, None])).sum(axis=1) * 8 * EPS * (S + A) + rounding
            e_u = steps * float(((error * np.abs(q - u[:, None]) + (policy + error) * e_paid).sum(axis=1) + left).max())
            e_d = steps * (float((d[:, None] * error).sum()) + 8 * EPS * (S + A) * float(np.abs(d).sum()))
            e_q = e_paid + gamma * e_u + rounding
            return np.zeros_like(theta), d[:, None] * e_q + e_d * (np.abs(q) + tau + e_q)

        super().__init__(function, gradient, variation)
        object.__setattr__(self, "made_of", (p, r, start, gamma, tau))

    def __reduce__(self) -> Any:
        """Pickled as what it was made of."""
        return LeaderMDP, self.made_of  # type: ignore[attr-defined]
