"""The compiled loops of estimators beside the plain ones: the same bits, and so the same runs."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.estimators import Stream, loops, traces
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular import critics, rollouts
from boltzgrad.estimators.tabular.critics import Sarsa
from boltzgrad.estimators.tabular.episodes import TabularEpisodes
from boltzgrad.estimators.tabular.worlds import TabularWorlds, as_tabular
from boltzgrad.experiments import catalogue
from boltzgrad.experiments.ascent import ascend
from tests_helpers import optional

optional("numba")

WORLDS = {
    "four-rooms": bg.problems.load("four-rooms", temperature=0.05),
    "unlike kernels": bg.problems.load("garnet", n_states=12),
    "two goals": bg.problems.load("four-rooms-two-goals", temperature=0.05),
    "a game": bg.problems.load("toy-game"),
}


def chosen(monkeypatch, fast):
    for module in (rollouts, critics, traces):
        monkeypatch.setattr(module, "available", lambda: fast)


def lanes(problem, count=3):
    tabular = as_tabular(problem)
    thetas = np.stack([tabular.initial_theta(seed=i) for i in range(count)])
    contexts = np.arange(count) % len(tabular.contexts(thetas[0]).models)
    return TabularWorlds(tabular, thetas, np.arange(count), contexts=contexts)


def walks(worlds, **options):
    draws = Draws([Stream(seed) for seed in range(worlds.lanes)], worlds.lanes)
    return rollouts.roll(worlds, options.pop("sampling", Sampling(episodes=4)), draws, **options)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(episodes=4),
        Sampling(episodes=4, horizon=90),
        Sampling(episodes=2, steps=150, time_limit=20),
        Sampling(episodes=3, horizon="geometric"),
    ],
    ids=["default", "horizon", "steps", "geometric"],
)
def test_walks_are_the_same(monkeypatch, name, sampling):
    worlds, found = lanes(WORLDS[name]), []
    for fast in (True, False):
        chosen(monkeypatch, fast)
        found.append(walks(worlds, sampling=sampling))
    for field, x in vars(found[0]).items():
        y = getattr(found[1], field)
        assert np.array_equal(x, y), field
        assert x.dtype == y.dtype, field


def test_walks_of_given_lengths_and_actions_are_the_same(monkeypatch):
    worlds, found, rng = lanes(WORLDS["unlike kernels"]), [], np.random.default_rng(0)
    options = {
        "start": rng.integers(0, worlds.S, (3, 5)),
        "first_action": rng.integers(0, worlds.A, (3, 5)),
        "lengths": rng.integers(1, 140, (3, 5)),
        "walkers": 5,
    }
    for fast in (True, False):
        chosen(monkeypatch, fast)
        found.append(walks(worlds, **options))
    assert all(np.array_equal(x, getattr(found[1], field)) for field, x in vars(found[0]).items())
    assert np.array_equal(
        found[0].alive.sum(axis=0), np.minimum(options["lengths"].ravel(), found[0].alive.sum(axis=0))
    )


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("name", ["four-rooms", "unlike kernels"])
def test_sarsa_tables_are_the_same(monkeypatch, name, as_published):
    worlds, found = lanes(WORLDS[name]), []
    sampling = Sampling(episodes=2, steps=120, time_limit=50)
    for fast in (True, False):
        chosen(monkeypatch, fast)
        episodes = TabularEpisodes(worlds, walks(worlds, sampling=sampling), sampling, as_published=True)
        rng = np.random.default_rng(1)
        order = np.argsort(rng.random((3, 240)), axis=1)
        table = rng.standard_normal((3, worlds.S, worlds.A))
        kept = table.copy()
        found.append(Sarsa(learning_rate=0.3, as_published=as_published).sweep(episodes, table, order))
        assert np.array_equal(table, kept)
    assert np.array_equal(*found)
    assert not np.array_equal(found[0], kept)


def test_sums_along_trajectories_are_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    x, cut = rng.standard_normal((70, 6)), rng.random((70, 6)) < 0.1
    for sum_of in (traces.trace, traces.returns):
        found = []
        for fast in (True, False):
            chosen(monkeypatch, fast)
            found.append(sum_of(x, 0.93, cut))
        assert np.array_equal(*found)
        assert not np.array_equal(found[0], sum_of(x, 0.9300001, cut))


def test_no_product_is_fused_with_its_sum():
    """(1 + 2⁻³⁰)(1 − 2⁻³⁰) rounds to 1, which makes a tie of the sum; exactly it is a little less."""
    tiny, odd = 2.0**-53, 1.0 + 2.0**-52
    out = np.empty((2, 1))
    loops.carried(np.array([[tiny * (1.0 + 2.0**-30)], [odd]]), 1.0 - 2.0**-30, np.zeros((2, 1), bool), out)
    assert out[1, 0] == odd + tiny != odd


@pytest.mark.parametrize("label", ["BC-HG", "HPGD (oracle)"])
def test_whole_runs_are_the_same(monkeypatch, label):
    (curve,) = [c for c in catalogue.get("four-rooms").curves("smoke") if c.label == label]
    rows = []
    for fast in (True, False):
        chosen(monkeypatch, fast)
        rows.append(ascend({**curve.arguments, "seeds": [0, 1], "iterations": 4}))
    assert [r["theta"].tolist() for r in rows[0]] == [r["theta"].tolist() for r in rows[1]]
