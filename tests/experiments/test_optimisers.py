"""Every step rule climbs, does what its formula says, and moves each lane as if it were alone."""

import numpy as np
import pytest
from scipy.optimize import minimize

from boltzgrad.errors import InvalidOption, UnknownName
from boltzgrad.experiments.optimisers import OPTIMISERS, Simplex, clipped, optimiser, project

TARGET = np.array([0.3, -0.7, 0.4])  # sums to zero, so that softmax(θ) has it as log σ up to a constant
RULES = [
    {"name": "ascent", "rate": 0.1},
    {"name": "ascent", "rate": 0.1, "clip": None},
    {"name": "adam", "rate": 0.05, "decay": True},
    {"name": "normalised", "rate": 0.1, "half_life": 20.0},
    {"name": "simplex", "rate": 0.1, "start_temperature": None},
    {"name": "simplex", "rate": 0.1, "start_temperature": None, "average": 0.5},
]


def softmax(theta):
    e = np.exp(theta - theta.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def slope(theta):
    """∇ of −½‖θ − target‖², or of −½‖σ − σ*‖² in θ: `climb` says which."""
    return TARGET - theta


def slope_on_simplex(theta):
    s = softmax(theta)
    g = softmax(TARGET) - s
    return s * (g - (s * g).sum(axis=-1, keepdims=True))


def climb(rule, gradient, theta, steps=400):
    rule = optimiser(rule) if isinstance(rule, dict) else rule
    memory = rule.start(theta)
    for i in range(steps):
        theta, memory = rule.step(theta, gradient(theta), i, steps, memory)
    return theta


def test_every_rule_is_tried():
    assert {rule["name"] for rule in RULES} == set(OPTIMISERS)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_it_climbs_to_the_maximum(rule):
    start = np.array([[1.5, -1.0, -0.5], [0.0, 2.0, -2.0]])
    if rule["name"] == "simplex":
        distance, gradient = lambda x: np.abs(softmax(x) - softmax(TARGET)).max(), slope_on_simplex
    else:
        distance, gradient = lambda x: np.abs(x - TARGET).max(), slope
    assert distance(start) > 0.2
    assert distance(climb(rule, gradient, start)) < 0.02
    assert distance(climb(rule, lambda x: -gradient(x), start)) > 0.2  # control: downhill


@pytest.mark.parametrize("name", ["ascent", "adam"])
def test_descend_goes_the_other_way(name):
    rule = {"name": name, "rate": 0.1}
    theta = np.array([[1.5, -1.0, -0.5]])
    up, down = (climb({**rule, "descend": d}, lambda x: np.sin(x), theta, 5) for d in (False, True))
    against = climb(rule, lambda x: -np.sin(x), theta, 5)
    np.testing.assert_array_equal(down, against)
    assert not np.array_equal(up, down)  # control


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_lanes_do_not_see_each_other(rule):
    thetas = np.random.default_rng(0).standard_normal((4, 3))
    together = climb(rule, slope_on_simplex, thetas, 7)
    alone = np.concatenate([climb(rule, slope_on_simplex, t[None], 7) for t in thetas])
    np.testing.assert_array_equal(together, alone)
    moved = thetas.copy()
    moved[0, 0] += 1e-3
    assert not np.array_equal(climb(rule, slope_on_simplex, moved, 7)[0], together[0])  # control: its own θ matters


def test_clipping_by_groups():
    g = np.array([[3.0, 4.0, 0.3, 0.4], [0.0, 0.0, 6.0, 8.0]])
    np.testing.assert_allclose(clipped(g, 1.0, (2, 2)), [[0.6, 0.8, 0.3, 0.4], [0.0, 0.0, 0.6, 0.8]], rtol=1e-15)
    whole = clipped(g, 1.0)
    np.testing.assert_allclose(whole, g / np.linalg.norm(g, axis=1, keepdims=True), rtol=1e-15)
    assert not np.allclose(whole, clipped(g, 1.0, (2, 2)))  # control
    np.testing.assert_array_equal(clipped(g, None), g)
    np.testing.assert_array_equal(clipped(g, 100.0), g)  # what is short enough is not touched
    rule = optimiser({"name": "ascent", "rate": 0.5, "groups": [2, 2]})
    np.testing.assert_allclose(rule.step(np.zeros_like(g), g, 0, 1, None)[0], 0.5 * clipped(g, 1.0, (2, 2)))
    with pytest.raises(InvalidOption, match="groups have 3 coordinates together; the gradient has 4"):
        clipped(g, 1.0, (2, 1))


@pytest.mark.parametrize("decay", [False, True])
def test_adam_by_its_formulas(decay):
    """Kingma & Ba, Algorithm 1, in the order of the end of its section 2, so that ε is not bias-corrected."""
    rule, total = optimiser({"name": "adam", "rate": 0.3, "decay": decay}), 10
    theta, memory = np.zeros((1, 2)), rule.start(np.zeros((1, 2)))
    m = v = mine = np.zeros(2)
    unscaled = np.zeros(2)
    for i in range(total):
        g = np.array([np.sin(i + 1.0), 1e-3 * np.cos(i)])
        theta, memory = rule.step(theta, g[None], i, total, memory)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        t = i + 1
        eta = 0.3 * (1.0 if not decay or t <= total / 2 else 2 * (1 - i / total))
        step = np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        mine, unscaled = mine + eta * step, unscaled + 0.3 * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(theta[0], mine, rtol=1e-13)
    assert np.abs(theta[0] - unscaled).max() > 1e-2  # control: without the bias correction


def test_normalised_is_blind_to_size():
    rule = optimiser({"name": "normalised", "rate": 0.2, "half_life": 50.0})
    g = np.array([[3.0, 4.0], [3e-9, 4e-9], [0.0, 0.0]])
    moved, _ = rule.step(np.zeros((3, 2)), g, 25, 100, None)
    np.testing.assert_allclose(moved, 0.2 / (1 + 25 / 50) * np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]), rtol=1e-14)
    plain, _ = optimiser({"name": "ascent", "rate": 0.2}).step(np.zeros((3, 2)), g, 25, 100, None)
    assert np.abs(plain[1]).max() < 1e-8  # control: the plain step is not


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_the_projection_is_the_nearest_point(dim):
    for x in np.random.default_rng(dim).standard_normal((6, dim)) * 2:
        p = project(x[None])[0]
        assert p.min() >= 0.0
        assert abs(p.sum() - 1.0) < 1e-14
        found = minimize(
            lambda y, x=x: 0.5 * ((y - x) ** 2).sum(),
            np.full(dim, 1 / dim),
            jac=lambda y, x=x: y - x,
            bounds=[(0, 1)] * dim,
            constraints={"type": "eq", "fun": lambda y: y.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(p, found.x, atol=1e-6)
        # The variational inequality that characterises it: (x − p)·(y − p) ≤ 0 at every corner y.
        assert ((x - p) @ (np.eye(dim) - p).T).max() < 1e-13
        other = np.maximum(x, 0) + 1e-3
        other /= other.sum()  # control: clipped and rescaled, it is another point, and farther away
        assert ((x - other) @ (np.eye(dim) - other).T).max() > 1e-9
        assert np.linalg.norm(x - other) > np.linalg.norm(x - p)


def test_it_stays_on_the_simplex_and_leaves_a_corner():
    corner = np.log(np.array([[1 - 2e-6, 1e-6, 1e-6]]))
    away = np.log(np.array([[0.2, 0.3, 0.5]]))

    def towards(theta):  # J = c·σ with the best corner the third
        s, c = softmax(theta), np.array([0.0, 0.2, 1.0])
        return s * (c - (s * c).sum(axis=-1, keepdims=True))

    rule = optimiser({"name": "simplex", "rate": 0.5, "start_temperature": None})
    for start in (corner, away):
        theta, memory = start, rule.start(start)
        for i in range(20):
            theta, memory = rule.step(theta, towards(theta), i, 20, memory)
            sigma = np.exp(theta)
            assert abs(sigma.sum() - 1.0) < 1e-12
            assert sigma.min() >= rule.floor * (1 - 1e-9)
        assert sigma[0, 2] > 1 - 3e-6
    first, _ = rule.step(corner, towards(corner), 0, 100, rule.start(corner))
    assert np.exp(first)[0, 2] > 0.2  # one step of length η = .5 in σ
    plain = climb({"name": "ascent", "rate": 0.5}, towards, corner, 20)
    assert softmax(plain)[0, 2] < 1e-4  # control: ∂J/∂θ vanishes there


def test_the_temperature_falls_geometrically_to_the_problems_own():
    rule, total = Simplex(start_temperature=0.01, share=0.5), 100
    falling = [rule.temperature(i, total, 0.001) for i in range(total)]
    assert falling[0] == 0.01
    np.testing.assert_allclose(falling[25], np.sqrt(0.01 * 0.001), rtol=1e-14)
    np.testing.assert_allclose(falling[50:], 0.001, rtol=1e-14)
    np.testing.assert_allclose(np.diff(np.log(falling[:51])), np.log(0.1) / 50, rtol=1e-10)
    assert Simplex(start_temperature=None).temperature(0, total, 0.001) is None
    assert Simplex(start_temperature=0.01).temperature(0, total, 0.02) is None  # never heated beyond the problem's own
    assert optimiser({"name": "adam"}).temperature(0, total, 0.001) is None


def test_the_simplex_rate_falls_after_its_share():
    """From η at `share` linearly to η/100 at the end: the length of a step along a fixed slope."""
    rule, theta = Simplex(rate=0.01, share=0.5, start_temperature=None), np.log(np.array([[0.4, 0.3, 0.3]]))
    g = np.array([[1.0, -0.5, -0.5]]) * 10 * np.exp(theta)

    def length(i):
        return np.linalg.norm(np.exp(rule.step(theta, g, i, 100, rule.start(theta))[0]) - np.exp(theta))

    for i, expected in [(0, 0.01), (49, 0.01), (75, 0.005), (99, 0.0002)]:
        np.testing.assert_allclose(length(i), expected, rtol=0.01)  # the floor of 1e-6 shifts σ by as much


def test_a_constant_in_the_slope_moves_nothing():
    """On the simplex only differences of slopes count, also where the slope is clipped."""
    rule, theta = Simplex(start_temperature=None), np.log(np.array([[0.5, 0.3, 0.2]]))
    slope = np.array([[3.0, -1.0, 0.5]])
    steps = [
        rule.step(theta, (slope + shift) * np.exp(theta), 0, 100, rule.start(theta))[0] for shift in (0.0, 7.0, -7.0)
    ]
    np.testing.assert_allclose(steps[1:], [steps[0]] * 2, rtol=1e-12)
    turned = rule.step(theta, -slope * np.exp(theta), 0, 100, rule.start(theta))[0]
    assert not np.allclose(turned, steps[0])  # control


def test_slopes_are_averaged():
    """With weight w, memory after slopes s₁, s₂ is w(1 − w)s₁ + w s₂."""
    rule, theta = Simplex(average=0.25, start_temperature=None), np.log(np.full((1, 3), 1 / 3))
    slopes = np.array([[1.0, 0.0, -1.0], [-2.0, 1.0, 1.0]])
    memory = rule.start(theta)
    for i, s in enumerate(slopes):
        _, memory = rule.step(theta, (s / 3)[None], i, 100, memory)
    np.testing.assert_allclose(memory[0], 0.25 * 0.75 * slopes[0] + 0.25 * slopes[1], rtol=1e-13)
    _, last = Simplex(average=1.0).step(theta, (slopes[1] / 3)[None], 1, 100, memory)
    np.testing.assert_allclose(last[0], slopes[1], rtol=1e-13)  # control: no average


@pytest.mark.parametrize(
    ("specification", "kind", "message"),
    [
        ({"name": "adams"}, UnknownName, "unknown optimiser 'adams'; did you mean 'adam'"),
        ({}, UnknownName, "unknown optimiser None"),
        ({"name": "adam", "rates": 0.1}, UnknownName, "option of 'adam': 'rates'; did you mean 'rate'"),
        ({"name": "ascent", "decay": True}, UnknownName, "option of 'ascent': 'decay'"),
        ({"name": "normalised", "descend": True}, UnknownName, "option of 'normalised': 'descend'"),
        ({"name": "adam", "rate": 0.0}, InvalidOption, r"rate is 0\.0; expected a positive number"),
        ({"name": "adam", "rate": float("nan")}, InvalidOption, "rate is nan"),
        ({"name": "adam", "rate": "fast"}, InvalidOption, "rate is 'fast'"),
        ({"name": "adam", "rate": True}, InvalidOption, "rate is True"),
        ({"name": "ascent", "clip": -1.0}, InvalidOption, r"clip is -1\.0; expected a positive number, or None"),
        ({"name": "ascent", "groups": [4, 0]}, InvalidOption, r"groups is \[4, 0\]"),
        ({"name": "ascent", "descend": "no"}, InvalidOption, "descend is 'no'; expected true or false"),
        ({"name": "normalised", "half_life": 0}, InvalidOption, "half_life is 0"),
        ({"name": "simplex", "share": 1.0}, InvalidOption, r"share is 1\.0; expected a number in \(0, 1\)"),
        ({"name": "simplex", "average": 1.5}, InvalidOption, r"average is 1\.5; expected a number in \(0, 1\]"),
        ({"name": "simplex", "floor": 0.0}, InvalidOption, r"floor is 0\.0"),
    ],
)
def test_what_is_wrong_is_named(specification, kind, message):
    with pytest.raises(kind, match=message):
        optimiser(specification)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_defaults_are_good_and_the_specification_is_not_changed(name):
    specification = {"name": name}
    assert optimiser(specification).name == name
    assert specification == {"name": name}
