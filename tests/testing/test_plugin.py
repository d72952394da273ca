"""The pytest plugin from outside: what its users write, and the text that they read."""

import re

import pytest

import boltzgrad.testing.zoo_cases  # noqa: F401 - what pytest imports within a test it forgets afterwards
from tests_helpers import optional

MINE = """
import numpy as np
import pytest
import boltzgrad as bg


def exact(problem, theta):
    return bg.hypergradient(problem, theta).gradient
"""
RIGHT = (
    MINE
    + """
@pytest.mark.hypergradient_zoo(family="lqr")
def test_mine(assert_hypergradient, problem, theta):
    assert_hypergradient(lambda t: exact(problem, t), problem, theta)
"""
)


def run(pytester, *arguments, source=None, here=False):
    """Pytest as a user's, in a process of its own unless `here`, where nothing is computed; warnings are errors there, too."""
    if source is not None:
        pytester.makepyfile(test_mine=source)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    start = pytester.runpytest_inprocess if here else pytester.runpytest_subprocess
    return start("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def test_the_marker_runs_a_test_on_every_suitable_problem(pytester):
    result = run(pytester, "-v", source=RIGHT)
    result.assert_outcomes(passed=6)
    for name in ("thermal-control", "lqr-game", "random-lqr"):
        for seed in (0, 1):
            result.stdout.fnmatch_lines(f"*test_mine?{name}-seed{seed}? PASSED*")


@pytest.mark.slow
def test_the_whole_zoo(pytester):
    result = run(pytester, "-q", source=RIGHT.replace('family="lqr"', ""))
    result.assert_outcomes(passed=50)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('names="random-lqr", thetas=3', {"random-lqr-seed0", "random-lqr-seed1", "random-lqr-seed2"}),
        ('family=("game", "lqr"), exclude=["lqr-game", "toy-game"], thetas=1',
         {"random-game-seed0", "thermal-control-seed0", "random-lqr-seed0"}),
        ("where=lambda p: p.dim == 2, thetas=1", {"lqr-game-seed0", "navigation-seed0"}),
    ],
)  # fmt: skip
def test_which_problems(pytester, arguments, expected):
    result = run(pytester, "--collect-only", "-q", source=RIGHT.replace('family="lqr"', arguments), here=True)
    assert set(re.findall(r"test_mine\[(.*?)\]", result.stdout.str())) == expected


def test_seeds(pytester):
    first = run(pytester, "--collect-only", "-q", "--boltzgrad-seed=7", source=RIGHT, here=True)
    assert set(re.findall(r"seed\d+", first.stdout.str())) == {"seed7", "seed8"}
    seen = (
        MINE
        + """
@pytest.mark.hypergradient_zoo(names="random-lqr", thetas=1)
def test_mine(problem, theta):
    assert np.array_equal(theta, problem.initial_theta(seed=7))
"""
    )
    run(pytester, "--boltzgrad-seed=7", source=seen).assert_outcomes(passed=1)
    run(pytester, "--boltzgrad-seed=8", source=seen).assert_outcomes(failed=1)


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_bad_seeds(pytester, seed):
    result = run(pytester, f"--boltzgrad-seed={seed}", source=RIGHT, here=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--boltzgrad-seed {seed}: expected a whole number" in result.stderr.str()


def test_thorough(pytester):
    result = run(
        pytester, "--collect-only", "-q", "--boltzgrad-thorough", source=RIGHT.replace('family="lqr"', ""), here=True
    )
    found = set(re.findall(r"test_mine\[(.*?)\]", result.stdout.str()))
    assert {"random-lqr-observed=True-seed3", "four-rooms-temperature=0.003-seed0"} <= found
    assert len(found) > 80
    # Every reference is confirmed first: a witness that disagrees stops the test although the candidate agrees.
    spoilt = (
        RIGHT
        + """
@pytest.fixture(autouse=True)
def spoilt(monkeypatch):
    from boltzgrad.core.route import Route, RouteResult
    from boltzgrad.core.route import always
    from boltzgrad.testing import second_opinions
    wrong = Route("spoilt", "", lambda p, t: RouteResult(0.0, np.ones(p.dim), 0.0), always)
    monkeypatch.setattr(second_opinions, "select", lambda problem, names: (wrong,))
"""
    ).replace('family="lqr"', 'names="random-lqr", thetas=1')
    run(pytester, source=spoilt).assert_outcomes(passed=1)
    failing = run(pytester, "--boltzgrad-thorough", "-k", "random-lqr-seed0", source=spoilt)
    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines("*GradientMismatch: *coordinate * spoilt *")


def test_what_a_failing_test_prints(pytester):
    result = run(
        pytester,
        source=MINE
        + """
from boltzgrad.families.tabular import mistakes as tabular

@pytest.mark.hypergradient_zoo(names="garnet", thetas=1)
def test_mine(assert_hypergradient, problem, theta):
    def my_gradient(t):
        return tabular.LeadersDiscountInGradQ(problem, t).gradient()
    problem = bg.problems.load("garnet", leader_discount=0.9)
    assert_hypergradient(my_gradient, problem, theta)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert_hypergradient(my_gradient, problem, theta)",
            "E       boltzgrad.errors.GradientMismatch: garnet: 100 states × 4 actions, d = 64",
            "E       coordinate *: yours *, reference * ± *; difference *, allowed *",
            "E       allowed: 16 × the rounding of both sides in this entry, and half of float64's digits of its terms, but "
            "at most an eighth of itself, together *",
            "E       how far: * of 64 coordinates are off*",
            "E       other routes:",
            "E         covariance *; from the reference *, from yours * of ‖∇J‖_∞",
            "E       * independent routes agree with the reference, none with yours: the difference is yours",
            "E       looks like: ‘γ_L used in ∇Q_F’ (it matches yours to the last digit)",
        ]
    )
    # None of the library's own lines stand between the user's call and the message.
    assert "site-packages" not in result.stdout.str()
    assert not re.search(r"testing/\w+\.py:\d+", result.stdout.str())


def test_arrays_followers_and_estimators(pytester):
    source = (
        MINE
        + """
@pytest.fixture
def case():
    problem = bg.problems.load("synthetic-hard")
    return problem, problem.initial_theta(seed=0)

def test_array(assert_hypergradient, case):
    check = assert_hypergradient(exact(*case), *case)
    assert check.ok

def test_follower(assert_follower, case):
    follower = bg.hypergradient(*case).follower
    assert_follower({"V": follower.value, "Q": follower.q, "policy": follower.policy}, *case)

def test_wrong_follower(assert_follower, case):
    assert_follower({"V": bg.hypergradient(*case).follower.value + 1.0}, *case)

def test_unbiased(assert_unbiased, case):
    g = exact(*case)
    assert_unbiased(lambda p, t, rng: g + 0.01 * rng.standard_normal(g.size), *case)

def test_biased(assert_unbiased, case):
    g = exact(*case)
    assert_unbiased(lambda p, t, rng: 1.5 * g + 0.01 * rng.standard_normal(g.size), *case)
"""
    )
    result = run(pytester, "-v", source=source)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*test_wrong_follower FAILED*",
            "*test_biased FAILED*",
            "E*FollowerMismatch: synthetic-hard: not the follower's answer",
            "E*BiasedEstimator: synthetic-hard: *biased by 50 %*",
        ]
    )


@pytest.mark.parametrize(
    ("marker", "signature", "message"),
    [
        ("family='tabluar'", "problem, theta", "unknown family 'tabluar'; did you mean 'tabular'"),
        ("names=['garnett']", "problem, theta", "unknown problem 'garnett'; did you mean 'garnet'"),
        ("famly='lqr'", "problem, theta", "unknown argument of hypergradient_zoo: 'famly'; did you mean 'family'"),
        ("thetas=0", "problem, theta", "thetas=0: expected how many for each problem, 1 or more"),
        ("where=3", "problem, theta", "where=3: expected a function problem -> bool"),
        ("'lqr'", "problem, theta", "hypergradient_zoo takes keywords only, got ('lqr',)"),
        ("names=5", "problem, theta", "names=5: expected a name, or a list of names"),
        ("", "", "a test marked hypergradient_zoo takes an argument `problem` (and `theta`)"),
        ("where=lambda p: False", "problem, theta", "no problem of the zoo fits this hypergradient_zoo marker"),
    ],
)
def test_markers_that_ask_for_nothing(pytester, marker, signature, message):
    result = run(
        pytester,
        source=f"import pytest\n@pytest.mark.hypergradient_zoo({marker})\ndef test_mine({signature}): pass\n",
        here=True,
    )
    assert result.ret != 0
    assert f"test_mine.py::test_mine: {message}" in result.stdout.str()
    assert "zoo_cases.py" not in result.stdout.str()


def test_without_theta_a_problem_is_run_once(pytester):
    result = run(
        pytester,
        "-v",
        source="""
import pytest

@pytest.mark.hypergradient_zoo(family="game")
def test_mine(problem):
    assert problem.dim
""",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines("*test_mine?toy-game? PASSED*")


def test_no_test_sees_another_ones_theta(pytester):
    result = run(
        pytester,
        source=MINE
        + """
@pytest.mark.hypergradient_zoo(names="random-lqr", thetas=1)
@pytest.mark.parametrize("k", [0, 1])
def test_mine(problem, theta, k):
    assert np.array_equal(theta, problem.initial_theta(seed=0))
    theta += 1.0

@pytest.mark.hypergradient_zoo(names="random-lqr", thetas=1)
def test_other(problem, theta):
    assert np.array_equal(theta, problem.initial_theta(seed=0))
""",
    )
    result.assert_outcomes(passed=3)


def test_beside_fixtures_of_the_same_names(pytester):
    """A project's own `problem` and `theta` stay what they are where there is no marker."""
    pytester.makeconftest(
        """
import pytest

@pytest.fixture
def problem():
    return "mine"

@pytest.fixture
def theta():
    return 1
"""
    )
    source = RIGHT.replace('family="lqr"', 'names="random-lqr"')
    source += "\n\ndef test_own(problem, theta):\n    assert problem == 'mine' and theta == 1\n"
    run(pytester, source=source).assert_outcomes(passed=3)


def test_on_a_class_and_a_module(pytester):
    source = (
        MINE
        + """
pytestmark = pytest.mark.hypergradient_zoo(names="random-lqr", thetas=1)

class TestMine:
    def test_one(self, assert_hypergradient, problem, theta):
        assert_hypergradient(exact(problem, theta), problem, theta)

    @pytest.mark.hypergradient_zoo(names="lqr-game", thetas=2)
    def test_two(self, problem, theta):
        assert problem.name == "lqr-game"
"""
    )
    run(pytester, source=source).assert_outcomes(passed=3)


@pytest.mark.slow
def test_with_xdist(pytester):
    optional("xdist")
    result = run(pytester, "-n", "2", "--boltzgrad-seed=3", source=RIGHT)
    result.assert_outcomes(passed=6)


def test_beside_hypothesis(pytester):
    result = run(
        pytester,
        source=MINE
        + """
from hypothesis import given, settings
from boltzgrad.testing import assert_hypergradient, check_hypergradient, strategies as bst

@settings(max_examples=5, deadline=None, database=None)
@given(bst.problems_at())
def test_mine(case):
    problem, theta = case
    check = check_hypergradient(lambda t: exact(problem, t), problem, theta)
    assert check.verdict in ("agrees", "zero to rounding"), str(check)

@settings(max_examples=5, deadline=None, database=None)
@given(bst.problems_at())
def test_that_asserts(case):
    problem, theta = case  # the first one drawn is the smallest, where nothing that the leader does matters
    assert_hypergradient(lambda t: exact(problem, t), problem, theta)
""",
    )
    result.assert_outcomes(passed=2)


def test_switched_off(pytester):
    """Without the plugin nothing of it is left, and unmarked tests run as ever."""
    result = run(pytester, "-p", "no:boltzgrad", source="def test_plain(): assert True\n")
    result.assert_outcomes(passed=1)
    result = run(pytester, "-p", "no:boltzgrad", source=RIGHT)
    assert result.ret != 0
    result.stdout.fnmatch_lines("*hypergradient_zoo*")
    result = run(pytester, "-p", "no:boltzgrad", "--boltzgrad-thorough", source="def test_plain(): assert True\n")
    assert "unrecognized arguments: --boltzgrad-thorough" in result.stderr.str()


def test_it_is_announced(pytester):
    pytester.makepyfile(test_mine="def test_plain(): pass")
    assert "hypergradient_zoo(family=None" in run(pytester, "--markers", here=True).stdout.str()
    help_ = run(pytester, "--help", here=True).stdout.str()
    assert "--boltzgrad-seed=N" in help_
    assert "--boltzgrad-thorough" in help_
    fixtures = run(pytester, "--fixtures", here=True).stdout.str()
    for name in ("assert_hypergradient", "assert_follower", "assert_unbiased"):
        assert name in fixtures


def test_nothing_heavy_is_loaded_where_it_is_not_used(pytester):
    """The control beside it: a marked test does load NumPy."""
    seen = """
def test_mine():
    import sys
    heavy = {"numpy", "scipy", "autograd", "sympy", "hypothesis", "jax", "torch"} & set(sys.modules)
    assert {"boltzgrad.testing.plugin"} <= set(sys.modules)
    assert not heavy, heavy
"""
    result = run(pytester, "-p", "no:hypothesispytest", source=seen)
    result.assert_outcomes(passed=1)
    marked = seen + "\nimport pytest\n@pytest.mark.hypergradient_zoo(family='lqr')\ndef test_other(problem): pass\n"
    result = run(pytester, "-p", "no:hypothesispytest", source=marked)
    result.assert_outcomes(passed=3, failed=1)


def test_a_test_case_of_unittest_is_no_place_for_the_marker(pytester):
    """It would run once, without a problem, and pass."""
    result = run(
        pytester,
        source=MINE
        + """
import unittest

class TestMine(unittest.TestCase):
    @pytest.mark.hypergradient_zoo(family="lqr")
    def test_mine(self):
        assert True
""",
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "TestMine::test_mine: hypergradient_zoo hands `problem` and `theta` to functions" in result.stderr.str()
