"""Small random problems with a finite horizon."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from boltzgrad.core.kernel import SparseKernel, SparsePattern
from boltzgrad.core.objectives import PolicyObjective
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.drawing.probabilities import distributions, kernels
from boltzgrad.families.drawing.scalars import a_strategy, discounts, quarters, temperatures
from boltzgrad.families.horizon.model import FiniteHorizonModel
from boltzgrad.families.tabular.problem import ConfigurableMDP


@st.composite
def finite_horizon_mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 3,
    max_actions: int = 3,
    max_dim: int = 3,
    max_horizon: int = 5,
    temperature: st.SearchStrategy[float] | float | None = None,
    general: bool = True,
) -> ConfigurableMDP:
    """Finite-horizon problems in which everything may depend on θ: rewards (stationary or one a step), kernel (dense or CSR,
    the same at every step or not), start, terminal rewards, reference, temperature and discounts; with masks, kernels of the
    follower's own, a leader who regularises, and (unless `general` is False) objectives f(θ, π).
    """
    S, A, d = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions)), draw(st.integers(1, max_dim))
    H = draw(st.integers(1, max_horizon))

    def yes() -> bool:
        return draw(st.booleans())

    def pair() -> tuple[Any, Any]:
        shape = (H, S, A) if yes() else (S, A)
        return draw(quarters(shape)), draw(quarters((*shape, d), most=4))

    each, stored, weight = yes(), yes(), draw(quarters((d,), most=4))
    ends = [np.stack([draw(kernels(S, A)) for _ in range(H if each else 1)]) for _ in range(2)]
    held = (ends[0] > 0.0).any(axis=0) | (ends[1] > 0.0).any(axis=0)
    starts = [draw(distributions(S)) for _ in range(2)]
    own = draw(kernels(S, A)) if yes() else None
    rewards, terminals = [pair(), pair()], [(draw(quarters((S,))), draw(quarters((S, d), most=4))) for _ in range(2)]
    logits = pair() if yes() else None
    mask = np.array(draw(st.lists(st.booleans(), min_size=S * A, max_size=S * A))).reshape(S, A) if yes() else None
    if mask is not None:
        mask[:, 0] = True
    tau = draw(a_strategy("temperature", temperature, temperatures(lowest=0.01)))
    per_state = 0.5 + np.arange(S) if yes() else 1.0
    warmer = draw(quarters((d,), most=1)) if yes() else None
    gammas = [draw(st.just(1.0) | discounts()) for _ in range(2)]
    falling = draw(quarters((d,), most=2)) if yes() else None
    price = draw(st.sampled_from((0.0, 0.5)))

    def kernel(theta: Any) -> Any:
        between = 1.0 / (1.0 + anp.exp(-anp.dot(weight, theta)))
        values = ends[0] + between * (ends[1] - ends[0])
        if not stored:
            return values if each else values[0]
        counts, columns = held.reshape(S * A, S).sum(axis=1), np.nonzero(held)[2]
        pattern = SparsePattern(np.r_[0, np.cumsum(counts)], columns, n_states=S, n_actions=A)
        return SparseKernel(pattern, values[:, held] if each else values[0][held])

    def build(theta: Any) -> FiniteHorizonModel:
        between = 1.0 / (1.0 + anp.exp(-anp.dot(weight, theta)))
        follower, leader = (base + anp.dot(slope, theta) for base, slope in rewards)
        last = [base + anp.dot(slope, theta) for base, slope in terminals]
        reference = None
        if logits is not None:
            free = np.zeros((S, A)) if mask is None else np.where(mask, 0.0, -1e3)
            weights = softmax(logits[0] + anp.dot(logits[1], theta) + free)
            reference = weights if mask is None else anp.where(mask, weights, 0.0)
        gamma = gammas[0] if falling is None else gammas[0] / (1.0 + anp.exp(anp.dot(falling, theta)))
        return FiniteHorizonModel(
            kernel(theta),
            starts[0] + between * (starts[1] - starts[0]),
            follower,
            leader,
            own if own is None or not stored else sparse.csr_matrix(own.reshape(S * A, S)),
            horizon=H,
            follower_discount=gamma,
            leader_discount=gammas[1],
            temperature=per_state * (tau if warmer is None else tau * anp.exp(anp.dot(warmer, theta))),
            terminal_follower_reward=last[0],
            terminal_leader_reward=last[1],
            reference=reference,
            available=mask,
            leader_temperature=price,
        )

    objective: Any = "return"
    if general and yes():
        slope, bend = draw(quarters((H, S, A))), draw(quarters((H, S, A)))
        objective = PolicyObjective(
            lambda theta, pi: 0.5 * anp.sum(theta**2) + anp.sum(slope * pi) + 0.5 * anp.sum(bend * pi * pi)
        )
    return ConfigurableMDP(build, dim=d, objective=objective, name="drawn")
