"""The pytest plugin: hooks and fixtures only.  Nothing heavy is imported before a test asks for it.

- fixture `assert_hypergradient(candidate, problem, theta)`, and `assert_follower`, `assert_unbiased`;
- `@pytest.mark.hypergradient_zoo(…)` runs a test that takes `problem` (and `theta`) on the problems of the zoo;
- `--boltzgrad-seed N`, `--boltzgrad-thorough`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_MARKER = (
    "hypergradient_zoo(family=None, names=None, exclude=(), where=None, thetas=None): run the test, which takes `problem` and "
    "`theta`, on every problem of boltzgrad's zoo that fits, at seeded thetas. family: 'tabular', 'game', 'lqr', or "
    "several; where: a function problem -> bool; thetas: how many for each problem."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--boltzgrad-seed` and `--boltzgrad-thorough`."""
    group = parser.getgroup("boltzgrad", "hypergradient checks")
    group.addoption(
        "--boltzgrad-seed",
        type=_seed,
        default=0,
        metavar="N",
        help="first seed of the thetas, and the seed of assert_unbiased (default: 0)",
    )
    group.addoption(
        "--boltzgrad-thorough",
        action="store_true",
        help="more thetas and harder variants of each problem, and every reference is first confirmed by all witnesses",
    )


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise pytest.UsageError(f"--boltzgrad-seed {text}: expected a whole number, 0 or more")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """The marker's description."""
    config.addinivalue_line("markers", _MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for every problem and θ that a `hypergradient_zoo` marker asks for."""
    marker = metafunc.definition.get_closest_marker("hypergradient_zoo")
    if marker is None:
        return
    from boltzgrad.testing.zoo_cases import cases, refused

    taken = [name for name in ("problem", "theta") if name in metafunc.fixturenames]
    thorough = bool(metafunc.config.getoption("boltzgrad_thorough"))
    seed = int(metafunc.config.getoption("boltzgrad_seed"))
    complaint = refused(marker.args, marker.kwargs, taken)
    found = [] if complaint else cases(**marker.kwargs, seed=seed, thorough=thorough)
    if complaint or not found:
        pytest.fail(
            f"{metafunc.definition.nodeid}: {complaint or 'no problem of the zoo fits this hypergradient_zoo marker'}",
            pytrace=False,
        )
    if "theta" not in taken:  # one test a problem is enough
        found = [case for case in found if case.seed == seed]
    values = [tuple(getattr(case, name) for name in taken) for case in found]
    ids = [case.label if "theta" in taken else case.title for case in found]
    metafunc.parametrize(taken, values, ids=ids)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test that carries the marker runs without a problem: methods of `unittest.TestCase` take no arguments."""
    for item in items:
        if item.get_closest_marker("hypergradient_zoo") is not None and not hasattr(item, "callspec"):
            raise pytest.UsageError(
                f"{item.nodeid}: hypergradient_zoo hands `problem` and `theta` to functions and to methods of plain classes; "
                "this is neither (a unittest.TestCase?)"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """A θ of its own for every test: with other parametrisations beside the marker, several share one array."""
    if "theta" in pyfuncitem.funcargs and pyfuncitem.get_closest_marker("hypergradient_zoo") is not None:
        shared: Any = pyfuncitem.funcargs["theta"]
        pyfuncitem.funcargs["theta"] = shared.copy()


@pytest.fixture
def assert_hypergradient(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`assert_hypergradient(candidate, problem, theta, tolerance=None)`: boltzgrad's check of a hypergradient.

    `candidate` is a gradient (d,) or a function theta -> gradient.  See `boltzgrad.testing.assert_hypergradient`.
    """
    from boltzgrad.testing import assert_hypergradient

    return _bound(assert_hypergradient, thorough=bool(request.config.getoption("boltzgrad_thorough")))


@pytest.fixture
def assert_follower() -> Callable[..., None]:
    """`assert_follower({"V": …, "Q": …, "policy": …}, problem, theta)`: boltzgrad's check of a follower's answer."""
    from boltzgrad.testing import assert_follower

    return _bound(assert_follower)


@pytest.fixture
def assert_unbiased(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`assert_unbiased(estimator, problem, theta)`: is a sample-based hypergradient unbiased?  Seed: --boltzgrad-seed."""
    from boltzgrad.testing import assert_unbiased

    return _bound(assert_unbiased, seed=int(request.config.getoption("boltzgrad_seed")))


def _bound(function: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """The function with other defaults, and no line of its own in tracebacks."""

    def check(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return function(*arguments, **{**defaults, **options})

    return check
