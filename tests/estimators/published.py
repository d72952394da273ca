"""The authors' Four-Rooms batches as rollouts (tests/data/four_rooms_published_batches.npz).

One batch of 100 steps a method, with θ, the gradient and its parts, at τ = .003, β = 5, SARSA rate .5, as dumped from the
authors' released code; facts only.
"""

from pathlib import Path

import numpy as np

from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.streams import Draws
from boltzgrad.estimators.tabular.episodes import TabularEpisodes
from boltzgrad.estimators.tabular.family import TabularFamily
from boltzgrad.estimators.tabular.rollouts import Rollout
from boltzgrad.problems import load
from boltzgrad.zoo.four_rooms import CELLS

DATA = np.load(Path(__file__).parents[1] / "data" / "four_rooms_published_batches.npz")
PROBLEM = load("four-rooms", kernel="as-published", temperature=0.003, penalty_weight=5.0)
GOAL = 7


def worlds():
    draws = Draws(np.random.default_rng(0), 1)
    return TabularFamily(PROBLEM).worlds(DATA["x_random"][None], np.zeros(1, int), draws, None)


def rollout(w, method, prefix=""):
    """The dumped steps: position before the step, action, done flag, counter after the step and its reset."""

    def key(name):
        return DATA[f"{method}_B100_G_{prefix}{name}"]

    index = {cell: k for k, cell in enumerate(CELLS)}
    state = np.array([[index[tuple(p)] for p in row] for row in key("pos").tolist()])
    done, counter = key("done"), key("t").astype(int)
    age = np.vstack([np.zeros((1, state.shape[1]), int), counter[:-1]])
    first = np.vstack([np.ones((1, state.shape[1]), bool), done[:-1]])
    last = done.copy()
    last[-1] = True
    ended = done & (state == GOAL)
    walkers = state.shape[1]
    return Rollout(
        state=state,
        action=key("act").astype(int),
        next_state=np.vstack([state[1:], state[-1:]]),
        slot=np.zeros_like(state),
        alive=np.ones_like(done),
        first=first,
        last=last,
        ended=ended,
        timed_out=done & ~ended,
        age=age,
        lane=np.zeros(walkers, int),
        world=np.zeros(walkers, int),
    )


def episodes(w, method, prefix="", **options):
    tour = rollout(w, method, prefix)
    sampling = Sampling(episodes=tour.state.shape[1], steps=len(tour.state), time_limit=200)
    return TabularEpisodes(w, tour, sampling, **{"as_published": True, **options})
