"""Every application as a small experiment: a few steps along the exact gradient leave the leader better off."""

import pytest

import boltzgrad as bg
from boltzgrad.experiments.ascent import ascend

LOSSES = ("rlhf", "rlhf-kl")  # J is to be small: θ goes down
APPLICATIONS = (
    *LOSSES,
    "irl",
    "reward-shaping",
    "contract-design",
    "navigation",
    "tax-design",
    "principal-agent",
    "meta-rl",
    "mechanism-design",
)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_few_steps_help(name):
    descend = name in LOSSES
    (row,) = ascend(
        {
            "problem": name,
            "options": {},
            "estimator": {"method": "exact"},
            "optimiser": {"name": "adam", "rate": 0.02, "descend": descend},
            "iterations": 5,
            "log_every": 1,
            "start": 0.3,
            "seeds": [0],
        }
    )
    assert (row["last"] < row["objective"][0]) if descend else (row["last"] > row["objective"][0])
    assert row["last"] == pytest.approx(bg.hypergradient(bg.problems.load(name), row["theta"]).value, rel=1e-9)
    assert row["cosine"].min() > 1.0 - 1e-9
