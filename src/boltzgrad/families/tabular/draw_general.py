"""Configurable MDPs of every kind that a table has a word for."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st

from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.drawing.probabilities import KINDS, Kind, distributions, kernels
from boltzgrad.families.drawing.scalars import a_strategy, discounts, quarters, temperatures
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_ENDING = 0.25  # the chance that a step is the last, where nothing is discounted


@st.composite
def general_mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    max_dim: int = 3,
    temperature: st.SearchStrategy[float] | float | None = None,
) -> ConfigurableMDP:
    """Tables with references, masks, temperatures (one, or one for each state) and discounts that may move, γ_F = 1 where
    episodes end, kernels of the follower's own, and leaders who regularise, have a reference of their own, or count steps.
    """
    S, A, d = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions)), draw(st.integers(1, max_dim))

    def yes() -> bool:
        return draw(st.booleans())

    undiscounted = yes()
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "ending")
    rest = 1.0 - _ENDING if undiscounted else 1.0
    ends = [rest * draw(kernels(S, A, kinds)) for _ in range(2)]
    own = rest * draw(kernels(S, A, kinds)) if yes() else None
    starts, weight = [draw(distributions(S)) for _ in range(2)], draw(quarters((d,), most=4))
    tables = [(draw(quarters((S, A))), draw(quarters((S, A, d), most=4))) for _ in range(2)]
    tables[0] = (tables[0][0] - 6.0 * undiscounted, tables[0][1])  # steps cost something: wandering does not pay
    logits = [(draw(quarters((S, A))), draw(quarters((S, A, d), most=2))) if yes() else None for _ in range(2)]
    mask = np.array(draw(st.lists(st.booleans(), min_size=S * A, max_size=S * A))).reshape(S, A) if yes() else None
    if mask is not None:
        mask[:, 0] = True
    tau = draw(
        a_strategy("temperature", temperature, temperatures(lowest=0.01, highest=1.0 if undiscounted else 1000.0))
    )
    each, warmer = (0.5 + np.arange(S) / S if yes() else 1.0), (draw(quarters((d,), most=1)) if yes() else None)
    gammas = [1.0 if undiscounted else draw(discounts(highest=0.999)), draw(discounts(highest=0.999))]
    falling = [draw(quarters((d,), most=2)) if yes() else None for _ in range(2)]
    price, steps = draw(st.sampled_from((0.0, 0.5))), draw(st.sampled_from((None, None, 1, 3)))

    def policy(table: tuple[Any, Any] | None, theta: Any, there: Any) -> Any:
        if table is None:
            return None
        weights = softmax(table[0] + anp.dot(table[1], theta) + (0.0 if there is None else np.where(there, 0.0, -1e3)))
        return weights if there is None else anp.where(there, weights, 0.0)

    def build(theta: Any) -> TabularModel:
        between = 1.0 / (1.0 + anp.exp(-anp.dot(weight, theta)))
        follower, leader = (base + anp.dot(slope, theta) for base, slope in tables)
        rates = [
            gamma if fall is None else gamma / (1.0 + 0.25 * anp.exp(anp.dot(fall, theta)))
            for gamma, fall in zip(gammas, falling, strict=True)
        ]
        return TabularModel(
            ends[0] + between * (ends[1] - ends[0]),
            starts[0] + between * (starts[1] - starts[0]),
            follower,
            leader,
            own,
            follower_discount=rates[0],
            leader_discount=rates[1],
            temperature=each * (tau if warmer is None else tau * anp.exp(anp.dot(warmer, theta))),
            reference=policy(logits[0], theta, mask),
            available=mask,
            leader_temperature=price,
            leader_reference=policy(logits[1], theta, None) if price else None,
            leader_horizon=steps,
        )

    return ConfigurableMDP(build, dim=d, name="drawn")
