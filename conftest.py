"""What holds for tests/ and for the examples in src/: nothing optional breaks the collection; how many examples are drawn."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from boltzgrad.errors import MissingExtra

# `make test` takes a sample of the random examples; `make check` and CI set HYPOTHESIS_PROFILE=thorough.  Both draw the same
# ones every time, so that a change is judged by what it changes; `make explore` draws others, and its finds become examples.
settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=100, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


# They import JAX and PyTorch, which stay in the process of tests/frameworks.
ADAPTERS = [Path(__file__).parent / "src/boltzgrad/testing" / name for name in ("jax.py", "torch.py")]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Adapters are collected where they are named: in the process of tests/frameworks, which the Makefile starts."""
    named = {(config.invocation_params.dir / name.partition("::")[0]).resolve() for name in config.args}
    return True if collection_path in ADAPTERS and collection_path not in named else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that says that its extra is missing is skipped, with what it says as the reason; where everything has to be
    there (CI: BOLTZGRAD_ALL_TESTS) that stays an error.
    """
    report = yield
    found = getattr(report, "call", None) and report.call.excinfo
    missing = found and next((e for e in causes(found.value) if isinstance(e, MissingExtra)), None)
    if missing and not os.environ.get("BOLTZGRAD_ALL_TESTS"):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {missing}")
        del report.call  # nothing to debug
    return report


def causes(error: BaseException | None) -> Generator[BaseException, None, None]:
    """An error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__
