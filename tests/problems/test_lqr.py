"""LQ problems: bad input gets a named error that shows the offending entry or eigenvalue."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import errors
from boltzgrad.problems import Bump

GOOD = {
    "A": np.array([[0.9, 0.2], [0.0, 0.8]]),
    "B": np.array([[0.0], [1.0]]),
    "W": 0.1 * np.eye(2),
    "Q": np.eye(2),
    "R": np.eye(1),
    "mean": np.zeros(2),
    "covariance": np.eye(2),
    "follower_discount": 0.9,
    "leader_discount": 0.9,
    "temperature": 0.1,
}


def problem(**change):
    return bg.LinearQuadratic(lambda theta: bg.LQModel(**{**GOOD, **change}), dim=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": np.eye(3)}, r"A has shape \(3, 3\), expected \(2, 2\)"),
        ({"A": np.ones(4)}, r"A has shape \(4,\), expected 2 axes"),
        ({"A": np.array([[0.9, np.nan], [0.0, 0.8]])}, r"A\[0, 1\] is nan"),
        ({"Q": np.array([[1.0, 0.5], [0.0, 1.0]])}, r"Q is not symmetric: Q\[0, 1\] is 0.5, Q\[1, 0\] is 0"),
        ({"Q": np.diag([1.0, -0.5])}, "Q is not positive semidefinite: its smallest eigenvalue is -0.5"),
        ({"R": np.zeros((1, 1))}, "R is not positive definite: its smallest eigenvalue is 0"),
        ({"R": -np.eye(1)}, "R is not positive definite: its smallest eigenvalue is -1"),
        ({"W": np.diag([0.1, -0.1])}, "W is not positive semidefinite"),
        (
            {"covariance": np.diag([-1.0, 1.0])},
            "covariance is not positive semidefinite: its smallest eigenvalue is -1",
        ),
        ({"mean": np.zeros(3)}, r"mean has shape \(3,\), expected \(2,\)"),
        (
            {"W": 1e-10 * np.array([[1.0, 0.9], [0.1, 1.0]])},
            r"W is not symmetric: W\[0, 1\] is 9e-11, W\[1, 0\] is 1e-11",
        ),
        ({"W": 1e-12 * np.diag([1.0, -0.5])}, "W is not positive semidefinite: its smallest eigenvalue is -5e-13"),
        ({"W": np.diag([1.0, -1e-30])}, r"W is not positive semidefinite: W\[1, 1\] is -1e-30"),
        (
            {"W": np.array([[1.0, 1.5e-9], [1.5e-9, 1e-18]])},
            r"W is not positive semidefinite: W\[0, 0\] is 1, W\[1, 1\] is 1e-18, W\[0, 1\] is 1.5e-09; divided by "
            "the roots of its diagonal it has the eigenvalue -0.5",
        ),
        ({"covariance": np.array([[0.0, 1e-9], [1e-9, 1.0]])}, "covariance is not positive semidefinite"),
        ({"leader_Q": np.array([[0.0, 1e-9], [2e-9, 1.0]])}, r"leader_Q is not symmetric: leader_Q\[0, 1\] is 1e-09"),
        ({"Q": None}, r"Q is None; expected the follower's \(n, n\) cost of the state"),
        ({"mean": None}, r"mean is None; expected the \(n,\) mean of the first state"),
        ({"temperature": None}, "temperature is None; expected a positive number"),
        ({"R": np.eye(2)}, r"R has shape \(2, 2\), expected \(1, 1\)"),
        ({"leader_Q": np.eye(3)}, r"leader_Q has shape \(3, 3\), expected \(2, 2\)"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
        ({"leader_discount": 1.0}, r"leader_discount is 1.0; expected a number in \[0, 1\), or 1 with a horizon"),
        ({"follower_discount": 1.1}, r"follower_discount is 1.1; expected a number in \[0, 1\]"),
        ({"horizon": 0}, "horizon is 0; expected None or a positive number of steps"),
        ({"bump": 3.0}, "bump is a float, expected a Bump"),
        ({"bump": Bump(np.array([np.nan, 0.0]), np.eye(2))}, r"the bump's target\[0\] is nan"),
        ({"bump": Bump(np.zeros(3), np.eye(2))}, r"the bump's target has shape \(3,\)"),
        ({"bump": Bump(np.zeros(2), np.diag([1.0, 0.0]))}, "the bump's precision is not positive definite"),
        (
            {"A": np.diag([1.2, 0.5])},
            r"\(√γA, √γB\) is not stabilisable: the mode with eigenvalue 1.2.* cannot be reached through B",
        ),
        (
            {"A": np.diag([1.2, 0.5]), "follower_discount": 0.5, "leader_Q": np.eye(2)},
            r"eigenvalue 1.2 and √γ_L \|λ\| = 1.138",
        ),
    ],
)
def test_bad_problems(change, message):
    with pytest.raises(errors.InvalidModel, match=message) as caught:
        bg.hypergradient(problem(**change), [0.0])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["temperature", "follower_discount", "leader_discount"])
def test_what_may_not_depend_on_theta_yet(name):
    """Once `temperature is <autograd.numpy.numpy_boxes.ArrayBox …>`."""
    build = lambda theta: bg.LQModel(**{**GOOD, name: 0.5 * theta[0]})  # noqa: E731
    with pytest.raises(
        errors.InvalidModel, match=f"^{name} depends on theta, which is not supported yet: give a number$"
    ):
        bg.hypergradient(bg.LinearQuadratic(build, dim=1), [1.0])


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_covariances_are_judged_by_their_own_entries(unit):
    """What a product G G' rounds is no asymmetry and no negative variance, in any units; one part in a thousand is."""
    G = np.random.default_rng(0).standard_normal((3, 2))
    D = np.array([1.0, unit, 1.0 / unit])
    W = (D[:, None] * G) @ (D[:, None] * G).T
    base = {
        **GOOD,
        "A": 0.5 * np.eye(3),
        "B": np.ones((3, 1)),
        "Q": np.eye(3),
        "mean": np.zeros(3),
        "covariance": np.eye(3),
    }
    bg.LQModel(**{**base, "W": W})
    for i, j in ((0, 1), (1, 2)):
        off = W.copy()
        off[i, j] += 1e-3 * np.sqrt(W[i, i] * W[j, j])
        with pytest.raises(errors.InvalidModel, match="W is not symmetric"):
            bg.LQModel(**{**base, "W": off})
    less = W.copy()
    less[1, 1] *= 0.9
    with pytest.raises(errors.InvalidModel, match="W is not positive semidefinite"):
        bg.LQModel(**{**base, "W": less})


def test_a_finite_horizon_leader_may_watch_an_unstable_world():
    reference = bg.hypergradient(
        problem(A=np.diag([1.2, 0.5]), follower_discount=0.5, leader_Q=np.eye(2), horizon=10), [0.0]
    )
    assert np.isfinite(reference.value)


def test_a_mode_that_costs_nothing():
    with pytest.raises(
        errors.InvalidModel, match=r"not detectable: the mode with eigenvalue 1.2 .* costs the follower nothing"
    ):
        bg.hypergradient(problem(A=np.array([[0.5, 0.0], [0.0, 1.2]]), Q=np.diag([1.0, 0.0])), [0.0])


def test_games_check_their_shapes():
    with pytest.raises(errors.InvalidModel, match=r"C has shape \(1, 2\), expected \(2, k\)"):
        bg.LinearQuadraticGame(
            np.eye(2), np.ones((2, 1)), np.ones((1, 2)), np.eye(2), np.eye(1), np.zeros(2), np.eye(2), spread=0.1,
            follower_discount=0.9, leader_discount=0.9, temperature=0.1,
        )  # fmt: skip


def test_build_must_return_an_lq_model():
    with pytest.raises(errors.InvalidModel, match="build returned a ndarray, expected an LQModel"):
        bg.hypergradient(bg.LinearQuadratic(lambda theta: theta, dim=1), [0.0])


def test_the_papers_building():
    """EXPERIMENTS 1: A at all levels 0 and 1; the leader's quadratic form is the population variance."""
    building = bg.problems.load("thermal-control")
    closed, opened = (building.model(np.full(8, x)) for x in (-40.0, 40.0))
    np.testing.assert_allclose(closed.A, np.diag([1.04, 1.03, 1.06, 1.05]), atol=1e-12)
    np.testing.assert_allclose(opened.A.sum(axis=1), [0.95 + 0.05, 1.0, 1.0, 1.0], atol=1e-12)
    x = np.array([1.0, -2.0, 0.5, 3.0])
    assert x @ closed.leader_Q @ x == pytest.approx(x.var())
