"""What is no gradient is refused, each for its own reason."""

import autograd
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.testing import check_hypergradient
from boltzgrad.testing.candidate import as_gradient


@pytest.fixture(scope="module")
def case():
    problem = bg.problems.load("random-lqr")
    theta = problem.initial_theta(seed=0)
    return problem, theta, bg.hypergradient(problem, theta).gradient


REFUSED = {
    "nothing": (lambda g: None, "is None; .* is a `return` missing"),
    "a table": (lambda g: g.reshape(2, 3), r"has shape \(2, 3\), expected \(6,\).*ravel it"),
    "one short": (lambda g: g[:-1], r"has shape \(5,\), expected \(6,\)"),
    "a Jacobian": (lambda g: np.ones((6, 4)), "is it a Jacobian"),
    "a value": (lambda g: 3.5, "is it the value J"),
    "complex": (lambda g: g * 1j, "complex128 values, expected real numbers; of a complex step"),
    "integers": (lambda g: np.ones(6, int), "int64 values, expected float64 or float32"),
    "half precision": (lambda g: g.astype(np.float16), "float16 values"),
    "booleans": (lambda g: g > 0, "bool values"),
    "text": (lambda g: "hello", "values, expected float64"),
    "objects": (lambda g: [object()] * 6, "holds no numbers"),
    "a ragged list": (lambda g: [[1.0], [1.0, 2.0]], "cannot be read as an array: ValueError"),
    "a dict": (lambda g: {"a": g}, "is a dict; expected one flat array"),
    "a NaN": (lambda g: np.where(np.arange(6) == 4, np.nan, g), r"\[4\] is nan; every entry must be finite"),
    "infinities": (lambda g: np.full(6, np.inf), r"\[0\] is inf \(6 of 6 entries"),
    "a masked array": (lambda g: np.ma.array(g, mask=True), "is a masked array; expected every entry"),
    "a sparse matrix": (lambda g: __import__("scipy.sparse").sparse.csr_array(g[None]), "is a csr_array"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("as_function", [False, True])
def test_no_gradient(case, name, as_function):
    problem, theta, exact = case
    make, message = REFUSED[name]
    candidate = (lambda t: make(exact)) if as_function else make(exact)
    with pytest.raises(bg.errors.InvalidCandidate, match=message) as caught:
        check_hypergradient(candidate, problem, theta)
    assert str(caught.value).startswith("your function's gradient" if as_function else "the candidate")


PAIRS = {
    "value and gradient": (
        lambda g: (3.5, g),
        r"a pair; expected the gradient alone: is it value_and_grad\? use .*\[1\]$",
    ),
    "a list of both": (lambda g: [np.array(3.5), g], r"a pair; .*is it value_and_grad\? use .*\[1\]$"),
    "gradient and aux": (lambda g: (g, {"steps": 3}), r"a pair; expected the gradient alone: use .*\[0\]$"),
    "in a tuple": (lambda g: (g,), r"an array in a tuple; expected the gradient alone: use .*\[0\]$"),
    "of two arguments": (lambda g: (g, 2.0 * g), "a pair; expected the gradient alone$"),
    "of pieces": (lambda g: (g[:2], g[2:3], g[3:]), "3 things; expected the gradient alone$"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_gradient_with_something_beside_it(case, name):
    problem, theta, exact = case
    make, message = PAIRS[name]
    with pytest.raises(bg.errors.InvalidCandidate, match=f"^your function returned {message}"):
        check_hypergradient(lambda t: make(exact), problem, theta)
    with pytest.raises(bg.errors.InvalidCandidate, match=f"^the candidate is {message}"):
        check_hypergradient(make(exact), problem, theta)


def test_value_and_grad_itself(case):
    problem, theta, exact = case
    both = autograd.value_and_grad(lambda t: np.dot(exact, t))
    with pytest.raises(bg.errors.InvalidCandidate, match=r"returned a pair; .* use lambda theta: f\(theta\)\[1\]"):
        check_hypergradient(both, problem, theta)
    assert check_hypergradient(lambda t: both(t)[1], problem, theta).ok


def test_a_pair_where_theta_is_one_number():
    with pytest.raises(bg.errors.InvalidCandidate, match=r"a pair; .*value_and_grad\? use .*\[1\]"):
        as_gradient((np.array([2.0]), np.array([3.0])), 1, "it")


class Net:
    """What a torch.nn.Module is to this library: callable, with parameters, and no problem."""

    def __call__(self, theta):
        return theta


@pytest.mark.parametrize("problem", [Net(), Net, None, 3, "four-rooms", lambda theta: theta])
def test_what_is_no_problem_is_refused_everywhere(case, problem):
    _, theta, exact = case
    for ask in (
        lambda: check_hypergradient(exact, problem, theta),
        lambda: bg.testing.assert_hypergradient(exact, problem, theta),
        lambda: bg.testing.assert_follower({"V": exact}, problem, theta),
        lambda: bg.hypergradient(problem, theta),
        lambda: bg.verify(problem, theta),
    ):
        with pytest.raises(
            bg.errors.InvalidOption, match=r"problem is a \w+; expected one of ConfigurableMDP, MarkovGame"
        ):
            ask()


def test_a_theta_in_pieces(case):
    problem, theta, exact = case
    with pytest.raises(
        bg.errors.InvalidTheta, match=r"theta is a dict; expected a flat array of shape \(6,\): .*ravel_pytree"
    ):
        check_hypergradient(exact, problem, {"w": theta[:2], "b": theta[2:]})


def test_each_refusal_has_a_message_of_its_own(case):
    _, _, exact = case
    seen = set()
    for make, _ in REFUSED.values():
        with pytest.raises(bg.errors.InvalidCandidate) as caught:
            as_gradient(make(exact), 6, "it")
        seen.add(str(caught.value))
    assert len(seen) == len(REFUSED)


def test_what_is_accepted(case):
    problem, theta, exact = case
    for candidate in (
        exact,
        exact.astype(">f8"),
        exact.tolist(),
        exact.astype(np.longdouble),
        lambda t: exact,
        lambda t: tuple(exact),
    ):
        assert check_hypergradient(candidate, problem, theta).ok


def test_a_function_that_changes_theta(case):
    problem, theta, exact = case
    before = theta.copy()

    def function(t):
        t[3] += 1.0
        return exact

    with pytest.raises(bg.errors.InvalidCandidate, match=r"changed the theta .* theta\[3\] was .* \(1 of 6 entries"):
        check_hypergradient(function, problem, theta)
    assert np.array_equal(theta, before)


def test_a_function_of_chance_is_pointed_to_the_statistical_check(case):
    problem, theta, exact = case
    rng = np.random.default_rng(0)
    with pytest.raises(bg.errors.NotDeterministic, match=r"two gradients for one theta.*assert_unbiased"):
        check_hypergradient(lambda t: exact + 0.1 * rng.standard_normal(6), problem, theta)
    # Sums in another order differ by rounding: no reason to complain.
    assert check_hypergradient(lambda t: exact * (1.0 + 1e-15 * rng.standard_normal(6)), problem, theta).ok


def test_what_the_function_raises_passes_through(case):
    problem, theta, _ = case
    with pytest.raises(ZeroDivisionError):
        check_hypergradient(lambda t: 1 / 0, problem, theta)


def test_a_class_is_no_candidate(case):
    problem, theta, _ = case
    with pytest.raises(bg.errors.InvalidCandidate, match="is the class dict"):
        check_hypergradient(dict, problem, theta)


def test_under_autograd(case):
    problem, theta, exact = case

    def inside(t):
        check_hypergradient(exact * t[0], problem, theta)
        return t[0]

    with pytest.raises(bg.errors.InvalidCandidate, match="traced by autograd"):
        autograd.grad(inside)(theta)

    def inside_theta(t):
        check_hypergradient(exact, problem, t)
        return t[0]

    with pytest.raises(bg.errors.InvalidTheta, match="theta is being traced by autograd"):
        autograd.grad(inside_theta)(theta)
