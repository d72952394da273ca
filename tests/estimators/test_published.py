"""The published Four-Rooms gradients, reproduced from the authors' own batches.  Source: EXPERIMENTS 5; BC-HG Alg. 2, 8–10."""

import numpy as np
import pytest

from boltzgrad.estimators import BCHG, HPGD, NaivePGD, Sampling, SoBiRL
from boltzgrad.estimators.hpgd import published_oracle
from boltzgrad.estimators.tabular.critics import MonteCarlo, Sarsa, along
from estimators.published import DATA, episodes, worlds

EXACT = 1e-12
PUBLISHED = {"sampling": Sampling(episodes=1, steps=100, time_limit=200), "as_published": True}


def sarsa(e, method):
    critic = Sarsa(learning_rate=0.5, as_published=True)
    shuffle = DATA[f"{method}_B100_G_shuf"].astype(int)
    order = (shuffle[:, 0] * e.rollout.state.shape[1] + shuffle[:, 1])[None]
    return critic.sweep(e, DATA["Q0"][None], order)


def values(e, method, critic):
    if critic == "sarsa":
        q = sarsa(e, method)
        return along(e, q, (e.worlds.policy * q).sum(axis=2))
    return MonteCarlo().fit(e, None, None)[0]


METHODS = {
    "bchg": (BCHG(**PUBLISHED), "sarsa"),
    "hpgd_sarsa": (HPGD(critic="sarsa", **PUBLISHED), "sarsa"),
    "hpgd": (HPGD(critic="monte-carlo", **PUBLISHED), "monte-carlo"),
    "sobirl": (SoBiRL(**PUBLISHED), "monte-carlo"),
    "baseline": (NaivePGD(**PUBLISHED), "monte-carlo"),
}


def estimate(method, **options):
    e = episodes(worlds(), method, **options)
    estimator, critic = METHODS[method]
    estimator.combine(e, values(e, method, critic))
    return e.gradients()[0]


@pytest.mark.parametrize("method", METHODS)
def test_the_published_gradient(method):
    published = DATA[f"{method}_B100_G_grad"]
    assert np.abs(published).max() > 1e-3
    assert np.abs(estimate(method) - published).max() <= EXACT


def test_the_published_oracle():
    w = worlds()
    e, oracle = episodes(w, "hpgd_oracle"), episodes(w, "hpgd_oracle", "o")
    published_oracle(e, oracle)
    published = DATA["hpgd_oracle_B100_G_grad"]
    assert np.abs(e.gradients()[0] - published).max() <= EXACT
    assert np.abs(DATA["hpgd_oracle_B100_G_br"]).max() > 1e-3  # the guiding term is there


@pytest.mark.parametrize("method", ["bchg", "hpgd_sarsa"])
def test_the_published_sarsa_table(method):
    e = episodes(worlds(), method)
    table = sarsa(e, method)[0]
    assert np.abs(table - DATA[f"{method}_B100_Q_new"]).max() <= EXACT
    assert np.abs(table - DATA["Q0"]).max() > 0.1


@pytest.mark.parametrize("method", ["bchg", "hpgd_sarsa", "hpgd"])
def test_correct_forms_differ_from_the_published_ones(method):
    """The control: with finished episodes, cuts and averages put right the same batch gives another gradient."""
    e = episodes(worlds(), method)
    estimator, critic = METHODS[method]
    correct = type(estimator)(critic=estimator.critic, sampling=estimator.sampling)
    correct.combine(e, values(e, method, critic))
    assert np.abs(e.gradients()[0] - DATA[f"{method}_B100_G_grad"]).max() > 1e-3


def test_the_guiding_and_direct_terms_one_by_one():
    e = episodes(worlds(), "bchg")
    e.published_direct(values(e, "bchg", "sarsa"))
    assert np.abs(e.gradients()[0] - DATA["bchg_B100_G_ulrg"]).max() <= EXACT
    guiding = estimate("bchg") - DATA["bchg_B100_G_ulrg"]
    assert np.abs(guiding - DATA["bchg_B100_G_br"]).max() <= EXACT
