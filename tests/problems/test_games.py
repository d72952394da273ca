"""Markov games: what the toy game is, and what bad input gets."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import errors

GOOD = {
    "transition": np.full((2, 3, 2, 2), 0.5),
    "initial": [0.5, 0.5],
    "follower_reward": np.zeros((2, 3, 2)),
    "leader_reward": np.zeros((2, 3, 2)),
    "follower_discount": 0.9,
    "leader_discount": 0.9,
    "temperature": 0.1,
}


def test_rules_of_the_toy_game():
    """BC-HG C.3, as listed in the table of the experiments: state, both actions, next state, both rewards."""
    game = bg.problems.load("toy-game", bonus=2)
    p = game.joint.transition.reshape(3, 2, 3, 3)
    r_f, r_l = game.joint.follower_reward.reshape(3, 2, 3), game.joint.leader_reward.reshape(3, 2, 3)
    s, a, b = 0, 1, 2
    assert p[s, :, a, a].tolist() == [1, 1]
    assert r_f[s, 0].tolist() == [0, 1, 1]
    assert r_l[s, 1].tolist() == [0, 1, 0]
    assert p[a, 0, b, b] == 1
    assert r_f[a, 0, b] == 2
    assert r_f[a, 1].tolist() == [-1, -1, -1]
    assert p[a, 1, :, s].tolist() == [1, 1, 1]
    assert p[b, 0, s, s] == 1
    assert r_l.sum() == 2
    np.testing.assert_array_equal(p.sum(axis=3), 1.0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"transition": np.full((2, 3, 2), 0.5)},
            errors.InvalidModel,
            r"transition has shape \(2, 3, 2\), expected \(2, 3, 2, 2\)",
        ),
        (
            {"leader_reward": np.zeros((2, 3))},
            errors.InvalidModel,
            r"leader_reward has shape \(2, 3\), expected 3 axes",
        ),
        (
            {"leader_reward": np.zeros((2, 3, 1))},
            errors.InvalidModel,
            r"leader_reward has shape \(2, 3, 1\), follower_reward",
        ),
        ({"transition": np.full((2, 3, 2, 2), 0.6)}, errors.InvalidModel, r"transition\[0, 0, 0\] sums to 1.2"),
        (
            {"transition": np.where(np.arange(24).reshape(2, 3, 2, 2) == 22, -1.0, 0.5)},
            errors.InvalidModel,
            r"transition\[1, 2, 1, 0\] is -1",
        ),
        ({"policy": lambda theta: theta}, errors.InvalidOption, "expected LeaderPolicy"),
        ({"temperature": 0}, errors.InvalidModel, "temperature is 0"),
        ({"observes": False, "as_published": True}, errors.InvalidOption, "as_published"),
    ],
)
def test_bad_games(change, error, message):
    with pytest.raises(error, match=message):
        bg.MarkovGame(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda theta: np.full((2, 2), 0.5), r"the leader's policy has shape \(2, 2\), expected \(2, 3\)"),
        (lambda theta: np.full((2, 3), 0.5), r"the leader's policy\[0\] sums to 1.5"),
        (lambda theta: np.array([[1.5, -0.5, 0.0]] * 2), r"the leader's policy\[0, 1\] is -0.5"),
    ],
)
def test_bad_policies(function, message):
    game = bg.MarkovGame(**GOOD, policy=bg.LeaderPolicy(function, 2))
    with pytest.raises(errors.InvalidModel, match=message):
        bg.hypergradient(game, np.zeros(2))


def test_bad_theta_and_options():
    game = bg.problems.load("toy-game")
    with pytest.raises(errors.InvalidTheta, match=r"theta has shape \(3,\), expected \(6,\)"):
        bg.verify(game, np.zeros(3))
    with pytest.raises(errors.InvalidOption, match="bonus is 3; expected 1 or 2"):
        bg.problems.load("toy-game", bonus=3)
    with pytest.raises(errors.InvalidOption, match="no MDP has it"):
        bg.problems.load("toy-game", as_published=True).as_configurable_mdp()


def test_softmax_table_derivatives(rng):
    table = bg.problems.softmax_table(3, 2)
    theta, u, c = rng.standard_normal(6), rng.standard_normal(6), rng.standard_normal((3, 2))
    stepped = np.imag(table.function(theta + 1e-30j * u)) / 1e-30
    np.testing.assert_allclose(table.pushforward(theta, u), stepped, rtol=1e-13)
    assert np.isclose(table.pullback(theta, c) @ u, (c * stepped).sum())
