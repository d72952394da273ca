"""Linear-quadratic problems in other units are the same problems: gradients, errors, verdicts and refusals go along."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.errors import InvalidModel
from boltzgrad.families.registry import witnesses
from boltzgrad.problems import Bump, LQArrays
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing.strategies import linear_quadratics

# Powers of ten that the units of states, inputs, costs, the leader's rewards and θ change by.
RANGES = {"states": 9, "inputs": 11, "costs": 30, "rewards": 30, "theta": 9}


class Rescaled(bg.LinearQuadratic):
    """x' = Dx, u' = Eu, the follower's costs times c, the leader's rewards times r, θ' = θ/t."""

    def __init__(self, problem, states, inputs, costs, rewards, theta):
        D, E, c, r, self.t = (10.0 ** np.asarray(x, float) for x in (states, inputs, costs, rewards, theta))

        def by(x, rows, columns):
            return x * rows[:, None] * columns

        def build(unit_theta):
            m = problem.build(unit_theta * self.t)
            arrays = LQArrays(
                A=by(m.A, D, 1 / D), B=by(m.B, D, 1 / E), W=by(m.W, D, D), Q=by(m.Q, 1 / D, 1 / D) * c,
                R=by(m.R, 1 / E, 1 / E) * c, mean=m.mean * D, covariance=by(m.covariance, D, D),
                leader_Q=by(m.leader_Q, 1 / D, 1 / D) * r, leader_R=by(m.leader_R, 1 / E, 1 / E) * r,
                leader_constant=m.leader_constant * r, shift=None if m.shift is None else by(m.shift, E, 1 / D),
            )  # fmt: skip
            b = m.bump
            bump = None if b is None else Bump(b.target * D, by(b.precision, 1 / D, 1 / D), b.height * float(r))
            return bg.LQModel(
                **dict(arrays.named()), bump=bump, follower_discount=m.follower_discount, leader_discount=m.leader_discount,
                temperature=m.temperature * float(c), horizon=m.horizon, observed=m.observed,
            )  # fmt: skip

        super().__init__(build, dim=problem.dim)
        self.of_gradient, self.of_value = r * self.t, float(r)


@st.composite
def scalings(draw, problem):
    """Exponents for a problem's states, inputs, costs, rewards and θ."""
    model = problem.model(np.zeros(problem.dim))
    counts = {"states": model.n_states, "inputs": model.n_inputs, "costs": None, "rewards": None, "theta": problem.dim}
    out = {}
    for name, k in counts.items():
        one = st.integers(-RANGES[name], RANGES[name])
        out[name] = draw(one) if k is None else np.array(draw(st.lists(one, min_size=k, max_size=k)))
    return out


@st.composite
def cases(draw):
    problem = draw(linear_quadratics(discount=0.9))
    theta = np.array(draw(st.lists(st.integers(-4, 4), min_size=problem.dim, max_size=problem.dim))) / 4.0
    return problem, theta, draw(scalings(problem))


QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@QUICK
@given(cases())
def test_gradients_and_errors_scale_along(case):
    problem, theta, exponents = case
    other = Rescaled(problem, **exponents)
    one, two = bg.hypergradient(problem, theta), bg.hypergradient(other, theta / other.t)
    assert abs(two.value / other.of_value - one.value) <= 1e-12 * one.value_scale + 1e-300
    estimate, again = one.coordinate_estimates, two.coordinate_estimates / other.of_gradient
    off = np.abs(two.gradient / other.of_gradient - one.gradient)
    allowed = 1e-9 * np.abs(one.gradient)
    assert np.all(off <= np.maximum(allowed, 64 * np.maximum(estimate, again)))
    np.testing.assert_allclose(
        two.term_sizes / other.of_gradient, one.term_sizes, rtol=1e-6, atol=64 * one.rounding.max()
    )
    assert two.value_scale / other.of_value == pytest.approx(one.value_scale, rel=1e-9, abs=1e-300)
    assert 0.1 <= two.remaining_steps / one.remaining_steps <= 10.0
    assert np.all((two.units * other.t / one.units > 0.05) & (two.units * other.t / one.units < 20.0))
    # Random roundings may happen to leave an entry alone: what its terms round off is a floor that moves along as well.
    floor = one.rounding
    assert np.all(again <= 10.0 * np.maximum(estimate, floor))
    assert np.all(estimate <= 10.0 * np.maximum(again, floor))
    if one.model.horizon is not None or one.model.bump is None:
        bounds, others = one.coordinate_bounds, two.coordinate_bounds / other.of_gradient
        finite = np.isfinite(bounds) & (bounds < np.abs(one.gradient) + floor)  # a vacuous bound has no scale
        assert np.all(others[finite] <= 10.0 * bounds[finite] + floor[finite])
        assert np.all(bounds[finite] <= 10.0 * others[finite] + floor[finite])


@pytest.mark.parametrize("options", [{}, {"observed": True, "horizon": 5}, {"n": 4, "m": 1}])
@pytest.mark.parametrize("seed", [0, 1])
def test_verdicts_are_the_same_in_any_units(options, seed):
    problem = bg.problems.load("random-lqr", **options)
    theta, rng = problem.initial_theta(seed=1), np.random.default_rng(seed)
    model = problem.model(theta)
    sizes = {"states": model.n_states, "inputs": model.n_inputs, "costs": None, "rewards": None, "theta": problem.dim}
    other = Rescaled(problem, **{name: rng.integers(-RANGES[name], RANGES[name] + 1, k) for name, k in sizes.items()})
    here, there = bg.verify(problem, theta), bg.verify(other, theta / other.t)
    assert here.ok
    assert there.ok
    assert [r.verdict for r in here.rows] == [r.verdict for r in there.rows]
    # And of a wrong one: every mistake that is seen in one unit is seen in the other.
    for factor in (2.0, -1.0, 0.0, 1.001):
        for at, t, reference in ((problem, theta, here.reference), (other, theta / other.t, there.reference)):
            check = check_hypergradient(lambda _, g=factor * reference.gradient: g, at, t)
            assert not check.ok
            assert check.verdict == "disagrees"


@pytest.mark.parametrize("exponent", [-9, -6, 6, 9])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": np.diag([1.2, 0.5])}, "cannot be reached through B"),
        (
            {"A": np.array([[1.2, 0.0, 0.0], [0.0, 1.2, 0.0], [0.0, 0.0, 0.5]]), "B": np.array([[1.0], [1.0], [0.0]])},
            "not stabil",
        ),
        ({"A": np.array([[0.5, 0.0], [0.0, 1.2]]), "Q": np.diag([1.0, 0.0])}, "costs the follower nothing"),
        ({"Q": np.array([[1.0, 0.5], [0.4, 1.0]])}, "Q is not symmetric"),
        ({"W": np.array([[1.0, 1.1], [1.1, 1.0]])}, "W is not positive semidefinite"),
        ({"R": np.zeros((1, 1))}, "R is not positive definite"),
        (
            {"A": np.diag([1.2, 0.5]), "follower_discount": 0.5, "leader_Q": np.eye(2)},
            "leader's discounted value is infinite",
        ),
    ],
)
def test_refusals_are_the_same_in_any_units(change, message, exponent):
    n = len(change.get("A", np.eye(2)))
    good = {"A": np.array([[0.9, 0.2], [0.0, 0.8]]), "B": np.array([[0.0], [1.0]]), "W": 0.1 * np.eye(n), "Q": np.eye(n),
            "R": np.eye(1), "mean": np.zeros(n), "covariance": np.eye(n), "follower_discount": 0.9,
            "leader_discount": 0.9, "temperature": 0.1}  # fmt: skip
    k = {**good, **change}
    D = 10.0 ** (exponent * np.arange(n) / max(1, n - 1))
    c, e = 10.0 ** (3 * exponent), 10.0**exponent

    def by(x, rows, columns):
        return x * rows[:, None] * columns

    k.update(A=by(k["A"], D, 1 / D), B=k["B"] * D[:, None] * e, W=by(k["W"], D, D), Q=by(k["Q"], 1 / D, 1 / D) * c)
    k.update(R=k["R"] * e**2 * c, covariance=by(k["covariance"], D, D), temperature=0.1 * c)
    k.update(leader_Q=by(k.get("leader_Q", np.zeros((n, n))), 1 / D, 1 / D))
    with pytest.raises(InvalidModel, match=message):
        bg.hypergradient(bg.LinearQuadratic(lambda theta: bg.LQModel(**k), dim=1), [0.0])


def sample(*, costs=1.0, inputs=1.0, states=1.0, leader=1.0):
    """An unstable plant; θ scales A, B and Q.  `inputs` is how strong they are: another problem, where R stays."""
    A, B = np.array([[1.2, 0.3], [0.1, 0.5]]), np.array([[0.0], [1.0]])

    def build(theta):
        return bg.LQModel(A * theta[0], states * inputs * B * theta[1], states**2 * 0.1 * np.eye(2),
                          costs / states**2 * np.eye(2) * theta[2], costs * np.eye(1), states * np.array([1.0, 2.0]),
                          states**2 * np.eye(2), leader_Q=leader / states**2 * np.eye(2), leader_R=leader * np.eye(1),
                          follower_discount=0.95, leader_discount=0.9, temperature=0.1 * costs)  # fmt: skip

    return bg.LinearQuadratic(build, dim=3)


@pytest.mark.parametrize(
    "change", [{"costs": 1e-10}, {"costs": 1e30}, {"states": 1e-6}, {"states": 1e9}, {"leader": 1e30}]
)
def test_what_was_refused_for_its_units(change):
    """Costs × 1e-10 were "not detectable", states × 1e-6 refused, costs × 1e30 too much for SciPy."""
    plain, other = bg.hypergradient(sample(), np.ones(3)), bg.hypergradient(sample(**change), np.ones(3))
    assert other.gradient == pytest.approx(change.get("leader", 1.0) * plain.gradient, rel=1e-12)
    assert other.coordinate_estimates == pytest.approx(change.get("leader", 1.0) * plain.coordinate_estimates, rel=9.0)
    assert bg.verify(sample(**change), np.ones(3)).ok


@pytest.mark.parametrize("inputs", [1e-11, 1e-6, 1e6, 1e11])
def test_inputs_of_any_strength(inputs):
    """B × 1e±11 with the same R "could not be reached"; every witness comes to the same answer."""
    report = bg.verify(sample(inputs=inputs), np.ones(3))
    assert report.ok
    assert {"covariance", "implicit", "unrolled-implicit", "complex-step"} <= {r.route for r in report.agreeing}


@pytest.mark.parametrize("leader_discount", [0.85, 0.9])
def test_every_exact_witness_in_any_units(leader_discount):
    """To 1e-11 in natural steps, from raw arrays whose entries differ by up to eighteen orders of magnitude."""
    problem = bg.problems.load("random-lqr", n=4, m=2, leader_discount=leader_discount)
    other = Rescaled(
        problem, states=[-9, 9, 3, -5], inputs=[11, -11], costs=30, rewards=-30, theta=[-9, 9, 0, 4, -4, 7]
    )
    theta = problem.initial_theta(seed=1)
    reference = bg.hypergradient(problem, theta)
    for route in witnesses(other):
        if route.name not in ("conic", "differences") and not route.skip(other, theta / other.t):
            found = route.run(other, theta / other.t).gradient / other.of_gradient
            assert (
                np.abs((found - reference.gradient) * reference.units).max()
                <= 1e-11 * np.abs(reference.gradient * reference.units).max()
            ), route.name
