"""Where the model's check was fooled, or fooled itself: the edge of where a model exists, θ = 0, waves, offsets, saturation."""

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.problems import TabularArrays
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.tolerances import Verdict

MOVE = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
GOAL, BASE = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.2, -0.1], [0.3, 0.5]])
THETA = np.array([0.3, -0.2, 0.1, 0.4])


def model(follower, leader=GOAL, move=MOVE, discounts=(0.9, 0.95), temperature=0.5):
    return bg.TabularModel(
        move, [1.0, 0.0], follower, leader,
        follower_discount=discounts[0], leader_discount=discounts[1], temperature=temperature,
    )  # fmt: skip


def plain(x):
    while hasattr(x, "_value"):
        x = x._value
    return x


def square(theta):
    return anp.reshape(theta, (2, 2))


def of(build, dim=4, **options):
    return bg.ConfigurableMDP(build, dim=dim, **options)


def own(problem, theta):
    """The verdict on the problem's own gradient, and of the witnesses."""
    reference = bg.hypergradient(problem, theta)
    return check_hypergradient(reference.gradient, problem, theta, reference=reference), bg.verify(problem, theta)


def on_the_edge(factor):
    """θ_0 is a probability, at 0; the derivative along θ_1 is `factor` times the right one."""

    def build(t):
        t = np.asarray(t, float)
        rows = np.stack([[[t[0], 1 - t[0]], [0.5, 0.5]], MOVE[1]])
        return model(BASE + np.array([[t[1], 0], [0, 0]]), move=rows)

    def push(t, u):
        move, reward = np.zeros((2, 2, 2)), np.zeros((2, 2))
        move[0, 0], reward[0, 0] = [u[0], -u[0]], factor * u[1]
        return TabularArrays(move, np.zeros(2), reward, np.zeros((2, 2)))

    def pull(t, c):
        row = np.asarray(c.transition).reshape(2, 2, 2)[0, 0]
        return np.array([row[0] - row[1], factor * np.asarray(c.follower_reward)[0, 0]])

    return of(build, 2, pullback=pull, pushforward=push)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_at_the_edge_each_coordinate_is_looked_at_alone_from_the_side_that_there_is(factor):
    check, report = own(on_the_edge(factor), np.array([0.0, 0.3]))
    assert report.ok == check.ok == (factor == 1.0)
    if factor != 1.0:
        assert (check.model.kind, check.model.coordinate) == ("derivative", 1)


@pytest.mark.parametrize("unit", [1.0, 1e6, 1e10, 1e12])
def test_a_coordinate_at_zero_whose_graph_is_cut_is_found_in_any_unit(unit):
    first, last = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    problem = of(lambda t: model(BASE + first * t[0] / unit + last * (np.array(plain(t[1]), float) / unit)), 2)
    check, report = own(problem, np.zeros(2))
    assert check.verdict == Verdict.MODEL
    assert check.model.coordinate == 1
    assert not report.ok


@pytest.mark.parametrize("share", [1.0, 0.009, 1e-4])
def test_a_cast_that_lets_complex_numbers_through_is_found_however_small_its_part(share):
    problem = of(lambda t: model(square(t) + share * np.real(plain(t)).reshape(2, 2)))
    assert own(problem, THETA)[0].verdict == Verdict.MODEL


def test_a_large_number_elsewhere_in_the_array_hides_no_cut():
    move = np.zeros((3, 2, 3))
    move[:2, :, :2], move[2, :, 2] = MOVE, 1.0
    far = np.array([[0.0, 0.0], [1.0, 1.0], [1e12, 1e12]])
    one = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])

    def build(t):
        follower = np.vstack([BASE, [[0.0, 0.0]]]) + one * t[0]
        return bg.TabularModel(
            move, [1.0, 0.0, 0.0], follower, far + one * np.real(plain(t[0])),
            follower_discount=0.9, leader_discount=0.95, temperature=0.5,
        )  # fmt: skip

    assert own(of(build, 1), np.array([0.3]))[0].verdict == Verdict.MODEL


def limited(theta):
    """A build's own error, of a kind that it chose itself."""
    if np.any(np.real(plain(theta)) < 0.0):
        raise ValueError("theta must be non-negative")


def test_a_build_that_raises_beyond_a_limit():
    def right(t):
        limited(t)
        return model(BASE + square(t))

    def cut(t):
        limited(t)
        return model(BASE + square(t) + 0.009 * np.real(plain(t)).reshape(2, 2))

    for theta in (np.array([0.0, 0.2, 0.1, 0.4]), np.array([0.001, 0.2, 0.1, 0.4])):
        check, report = own(of(right), theta)
        assert check.ok
        assert report.ok
        assert own(of(cut), theta)[0].verdict == Verdict.MODEL


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_a_theta_that_is_tiny_is_not_the_size_of_its_step(factor):
    none = np.zeros((2, 2))
    problem = of(
        lambda t: model(BASE + np.reshape(t, (2, 2))),
        pullback=lambda t, c: factor * np.asarray(c.follower_reward).ravel(),
        pushforward=lambda t, u: TabularArrays(np.zeros((2, 2, 2)), np.zeros(2), factor * u.reshape(2, 2), none),
    )
    assert own(problem, 1e-15 * THETA)[0].ok == (factor == 1.0)


def test_an_objective_has_the_natural_steps_of_theta():
    unit = 1e12
    wrong = bg.PolicyObjective(
        lambda t, pi: 5.0 + anp.sum(anp.sin(t / unit)) + pi[0, 0] ** 2,
        gradient=lambda t, pi: (2.0 * np.cos(t / unit) / unit, np.array([[2.0 * pi[0, 0], 0.0], [0.0, 0.0]])),
    )
    check, _ = own(of(lambda t: model(BASE + square(t / unit)), objective=wrong), np.zeros(4))
    assert (check.verdict, check.model.array) == (Verdict.MODEL, "objective")


def test_what_is_unknown_is_not_called_zero():
    """γ = 1 − 1e-9: ∇J is of the order 10⁸, and its rounding larger still."""
    problem = of(lambda t: model(BASE + square(t), discounts=(1 - 1e-9, 1 - 1e-9)))
    reference = bg.hypergradient(problem, THETA)
    for factor in (1.0, -1.0, 0.0):
        check = check_hypergradient(factor * reference.gradient, problem, THETA, reference=reference)
        assert check.verdict == Verdict.CANNOT_TELL
        with pytest.raises(bg.errors.GradientMismatch):
            check.raise_if_wrong()


def test_a_wave_beside_a_large_number_is_no_wrong_derivative():
    rng = np.random.default_rng(0)
    for _ in range(5):
        theta = rng.uniform(-2, 2, 4)
        assert own(of(lambda t: model(BASE, 1e5 * GOAL + anp.sin(square(t)))), theta)[0].ok
        beside = of(lambda t: model(BASE + square(t)), regulariser=lambda t: 1e6 + anp.sum(anp.sin(t)))
        assert own(beside, theta)[0].ok


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e11])
def test_a_theta_with_an_offset_is_known_to_its_rounding_only(offset):
    report = bg.verify(of(lambda t: model(BASE + square(t) - offset)), offset + THETA)
    assert report.ok, str(report)
    assert not report.against


@pytest.mark.parametrize("logits", [[30.0, -20.0, 10.0, 40.0], [30.0, 0.0, 30.0, 0.0], [100.0, 0.0, -100.0, 3.0]])
def test_a_saturated_kernel_is_no_kink_and_no_contradiction(logits):
    problem = of(lambda t: model(BASE, move=anp.stack([bg.softmax(square(t)), MOVE[1]])))
    report = bg.verify(problem, np.array(logits))
    assert report.ok, str(report)
    assert not report.against


def test_values_are_known_to_their_rounding_over_the_steps_that_remain():
    report = bg.verify(of(lambda t: model(BASE + square(t), discounts=(1 - 1e-12, 1 - 1e-12))), THETA)
    assert not report.against, str(report)


def test_the_rounding_of_a_regularisers_own_gradient_is_in_the_bound():
    """10⁹ (e^θ − 1 − θ) at 1e-5: autograd's e^θ − 1 is off by 1e-7."""
    problem = of(lambda t: model(BASE + 0.0 * t[0]), 1, regulariser=lambda t: 1e9 * (anp.exp(t[0]) - 1.0 - t[0]))
    found = bg.hypergradient(problem, [1e-5])
    assert abs(found.gradient[0] - 1e9 * np.expm1(1e-5)) <= found.error_bound
