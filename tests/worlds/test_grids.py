"""Continuous control on grids: what interpolation keeps, and how fast ∇J converges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad import worlds
from boltzgrad.worlds.grid import interpolated


@settings(max_examples=200)
@given(st.integers(1, 3), st.integers(0, 2**20))
def test_interpolation_keeps_the_mean(n, seed):
    """Of every linear function, exactly; weights are probabilities on the corners of the cell."""
    rng = np.random.default_rng(seed)
    axes = tuple(np.linspace(rng.normal(), 4.0 + rng.random(), rng.integers(2, 6)) for _ in range(n))
    points = np.stack([rng.uniform(x[0], x[-1], size=50) for x in axes], axis=1)
    points[0] = [x[-1] for x in axes]
    states, weights = interpolated(points, axes, (False,) * n)
    nodes = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)
    np.testing.assert_allclose((weights[:, :, None] * nodes[states]).sum(axis=1), points, atol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights.min() >= 0.0


def test_an_angle_wraps():
    states, weights = interpolated(np.array([[0.95]]), (np.linspace(0.0, 1.0, 10, endpoint=False),), (True,))
    assert dict(zip(states[0], weights[0], strict=True)) == pytest.approx({9: 0.5, 0: 0.5})


def drift(h, *, skew=0.0):
    """A particle that is pushed, with noise: θ in its reward's features and nothing else; smooth."""
    n = round(2.0 / h)
    world = worlds.discretise(
        lambda x, u: x + 0.2 * (u - np.sin(np.pi * x)) + skew * h,
        low=[-1.0], high=[1.0], shape=[n], periodic=[True], actions=[-1.0, 0.0, 1.0],
        noise=([0.25, 0.5, 0.25], [-0.21, 0.0, 0.21]), reward=lambda x, u, y: np.cos(np.pi * x[:, 0]) - 0.1 * u**2,
        discount=0.8,
    )  # fmt: skip
    features = np.stack([np.cos(np.pi * world.states[:, 0]), np.sin(2 * np.pi * world.states[:, 0])], axis=1)
    return world.design(
        reward=worlds.Features(features), temperature=0.3, leader_reward=np.sin(np.pi * world.states[:, 0])
    )


THETA = np.array([0.3, -0.4])


def test_refinement_measures_the_order_and_the_error():
    """Of a smooth problem: order two, and the estimate of what is left is right beside a grid ten times as fine."""
    found = worlds.refinement(drift, THETA, cells=[2 / 48, 2 / 96, 2 / 192, 2 / 384])
    assert found.steady
    assert 1.7 < found.order < 2.3
    fine = bg.hypergradient(drift(2 / 1536), THETA).gradient
    left = np.abs(found.gradients[-1] - fine)
    assert np.all(left <= 2.0 * found.error + 1e-12)
    assert np.all(found.error <= 4.0 * left.max())
    assert np.abs(found.extrapolated - fine).max() < 0.3 * left.max()
    assert "observed order" in str(found)
    three = worlds.refinement(drift, THETA, cells=[2 / 48, 2 / 96, 2 / 192])
    assert not three.steady
    assert "take a fourth grid" in str(three)
    np.testing.assert_array_equal(three.extrapolated, three.gradients[-1])


def test_a_step_that_is_off_by_a_cell_is_seen_in_the_order():
    """The control: a drift that is wrong by a fifth of a cell converges with order one only."""
    assert worlds.refinement(lambda h: drift(h, skew=0.2), THETA, cells=[2 / 48, 2 / 96, 2 / 192]).order < 1.4


def test_pendulum_and_car_are_confirmed():
    for world in (worlds.pendulum((11, 11)), worlds.mountain_car((9, 9))):
        features = np.stack([np.cos(world.states[:, 0]), world.states[:, 1]], axis=1)
        problem = world.design(reward=worlds.Features(features), temperature=0.5)
        report = bg.verify(problem, np.array([0.5, -0.3]), routes=["covariance", "implicit", "hpgd", "complex-step"])
        report.raise_if_disagree()
        assert len(report.agreeing) == 4


def test_what_leaves_the_box_is_on_its_edge_and_ends_pay():
    world = worlds.discretise(
        lambda x, u: x + u, low=[0.0], high=[1.0], shape=[5], actions=[-0.5, 0.5], discount=0.9,
        reward=lambda x, u, y: y[:, 0], terminal=lambda y: y[:, 0] >= 1.0, initial=[[0.1]],
    )  # fmt: skip
    assert world.transition[0, 0, 0] == 1.0
    assert np.all(world.outcomes.end[2:, 1] == 1.0)
    np.testing.assert_allclose(world.reward[2:, 1], 1.0)
    np.testing.assert_allclose(world.initial[:2], [0.6, 0.4])


GOOD = {
    "low": [0.0], "high": [1.0], "shape": [5], "actions": [-0.5, 0.5], "discount": 0.9, "reward": lambda x, u, y: y[:, 0],
}  # fmt: skip
BAD = [
    ({"high": [0.0]}, "low < high"),
    ({"shape": 5}, "are lists, with an entry for each dimension"),
    ({"noise": ([1.0], [np.inf])}, "all finite"),
    ({"initial": [[1.5]]}, "point 0 is .*dimension 0 runs from 0 to 1"),
    ({"initial": [[np.nan]]}, "finite numbers, at least one point"),
    ({"shape": [1]}, r"shape is \(1,\); expected at least 2 nodes"),
    ({"shape": [5, 5]}, "have 1, 1, 2, 1 entries; expected as many each"),
    ({"actions": []}, "actions has shape"),
    ({"reward": lambda x, u, y: y}, r"reward returned shape \(5, 1\), expected \(5,\)"),
    ({"reward": lambda x, u, y: np.log(y[:, 0] - 2.0)}, "reward returned nan at node 0"),
    ({"noise": ([0.5, 0.4], [[0.0], [0.1]])}, "noise's probabilities sum to 0.9"),
    ({"terminal": lambda y: True}, r"terminal returned shape \(\)"),
    ({"shape": [10**8]}, "are too many; take fewer nodes"),
]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("change", "words"), BAD)
def test_misuse_is_named(change, words):
    with pytest.raises(bg.errors.BoltzgradError, match=words):
        worlds.discretise(lambda x, u: x + u, **{**GOOD, **change})


def test_refinement_wants_three_grids_of_one_factor():
    for cells in ([0.1, 0.05], [0.1, 0.05, 0.04], [0.1, 0.2, 0.4]):
        with pytest.raises(bg.errors.InvalidOption, match="three or more, each the same factor"):
            worlds.refinement(drift, THETA, cells=cells)
