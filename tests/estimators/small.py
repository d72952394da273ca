"""Small problems that the tests of estimators share: 3 states, 2 actions, everything (or one thing) depends on θ."""

import autograd.numpy as anp
import numpy as np

import boltzgrad as bg

DISCOUNTS = {"follower_discount": 0.6, "leader_discount": 0.7}
CONSTANTS = {**DISCOUNTS, "temperature": 0.3}


def softmax(x):
    e = anp.exp(x)
    return e / anp.sum(e, axis=-1, keepdims=True)


def moving(*, contexts=1, own=False, fade=0.0, seed=1, S=3, A=2, **options):
    """Rewards, kernel, start (and the probabilities of contexts) depend on θ (4,); `fade` cuts rows, by θ as well."""
    rng = np.random.default_rng(seed)
    follower, leader = rng.standard_normal((2, contexts, S, A, 4))
    bases = 0.5 * rng.standard_normal((2, contexts, S, A))
    tilt, other = rng.standard_normal((2, S, A, S, 4))
    push, mix, ebb = rng.standard_normal((S, 4)), rng.standard_normal((contexts, 4)), rng.standard_normal((S, A, 1, 4))

    def build(theta):
        stays = 1.0 - fade / (1.0 + anp.exp(anp.dot(ebb, theta)))

        def one(c):
            return bg.TabularModel(
                softmax(anp.dot(tilt, theta)) * stays,
                softmax(anp.dot(push, theta)),
                bases[0, c] + anp.dot(follower[c], theta),
                bases[1, c] + anp.sin(anp.dot(leader[c], theta)),
                softmax(anp.dot(other, theta)) if own else None,
                **{**CONSTANTS, **options},
            )

        if contexts == 1:
            return one(0)
        return bg.ContextualModel([one(c) for c in range(contexts)], softmax(anp.dot(mix, theta)))

    return bg.ConfigurableMDP(build, dim=4, initial_scale=0.5, name="moving")


def shaped(*, ending=0.0, start=False, own=False, seed=2, **options):
    """θ (5,) shifts the rewards only, and the start if asked to; `ending` cuts rows, `own` gives the follower a kernel."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(3), size=(2, 3, 2))
    p = p * (1.0 - ending * rng.uniform(size=(3, 2, 1)))
    follower, leader = rng.standard_normal((2, 3, 2, 5))
    push, bias = rng.standard_normal((3, 5)), 0.5 * rng.standard_normal((3, 2))

    def build(theta):
        return bg.TabularModel(
            p,
            softmax(anp.dot(push, theta)) if start else np.array([0.5, 0.3, 0.2]),
            anp.dot(follower, theta),
            anp.sin(anp.dot(leader, theta)) + bias,
            q if own else None,
            **{**CONSTANTS, **options},
        )

    return bg.ConfigurableMDP(build, dim=5, initial_scale=0.5, name="shaped")


def game(**options):
    """A Markov game with 2 × 2 actions in 3 states; θ (6,) is the leader's table."""
    sizes = {"n_states": 3, "n_leader_actions": 2, "n_follower_actions": 2, "branching": 2}
    return bg.problems.load("random-game", **{**sizes, **CONSTANTS, **options})


def lqr(**options):
    """Two states, one input, every matrix depends on θ (3,)."""
    sizes = {"n": 2, "m": 1, "n_parameters": 3, "seed": 3, "temperature": 0.5, **DISCOUNTS}
    return bg.problems.load("random-lqr", **{**sizes, **options})
