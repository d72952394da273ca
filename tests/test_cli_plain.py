"""A terminal without Greek, and output that goes into a file."""

import os
import subprocess
import sys

import pytest


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "boltzgrad.cli", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(("arguments", "words"), [
    (("verify", "synthetic-hard", "--routes", "implicit"), ["||grad J||", "10 states x 5 actions", "AGREEMENT"]),
    (("list",), ["four-rooms"]),
    (("verify", "no-such-name"), ["unknown problem"]),
])  # fmt: skip
def test_ascii(arguments, words):
    found = run(*arguments, PYTHONIOENCODING="ascii")
    said = (found.stdout + found.stderr).decode("ascii")  # nothing else is in it
    assert "?" not in said.replace("'?", "")  # “did you mean 'x'?” is a question
    for word in words:
        assert word in said


@pytest.mark.slow
def test_a_ledger_in_a_file_says_how_far_it_is():
    found = run("ledger", "--topic", "lqr")
    assert found.returncode == 0
    assert "… 10 of" in found.stderr.decode()
    assert "…" not in found.stdout.decode().splitlines()[0]
