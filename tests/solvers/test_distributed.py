"""A hypergradient by rows: what each process builds, and, where PETSc is there, what several work out together."""

import json
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.core.row_block import Alone, RowCotangent, share
from boltzgrad.errors import InvalidOption, InvalidTheta, MissingExtra, UnknownName
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.families.tabular.model import TabularArrays
from boltzgrad.solvers.distributed import Processes
from boltzgrad.verify.distributed import DistributedReport, Held
from boltzgrad.zoo.rows import by_rows
from tests_helpers import examples, optional_program

PYTHON = Path(__file__).parents[2] / ".venv-petsc" / "bin" / "python"
SMALL = {"grid-world": {"size": 12}, "garnet": {"n_states": 90}}


class InThreads:
    """Processes played by threads: what they sum, they wait for one another with."""

    def __init__(self, size):
        self.size, self._barrier, self._held = size, threading.Barrier(size), [None] * size

    def run(self, work):
        out = [None] * self.size

        def one(rank):
            out[rank] = work(_Rank(self, rank))

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        return out

    def all(self, rank, x):
        self._held[rank] = x
        self._barrier.wait(60)
        out = list(self._held)
        self._barrier.wait(60)
        return out


class _Rank:
    def __init__(self, together, rank):
        self.together, self.rank, self.size = together, rank, together.size

    def sum(self, x):
        return np.sum(self.together.all(self.rank, np.asarray(x)), axis=0)

    def max(self, x):
        return max(self.together.all(self.rank, x))


@settings(max_examples=examples(25), deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.integers(1, 4), st.integers(0, 10**6))
def test_the_rows_are_those_of_the_whole_problem(name, size, seed):
    rows, whole = by_rows(name, **SMALL[name], seed=seed), bg.problems.load(name, **SMALL[name], seed=seed)
    theta = whole.initial_theta(seed=seed)
    assert np.array_equal(theta, rows.initial_theta(seed))
    model = whole.model(theta)
    bounds = [share(rows.n_states, _Rank(InThreads(size), rank)) for rank in range(size)]
    assert [a for a, _ in bounds[1:]] == [b for _, b in bounds[:-1]]
    assert (bounds[0][0], bounds[-1][1]) == (0, rows.n_states)
    blocks = InThreads(size).run(lambda t: rows.block(theta, *share(rows.n_states, t), t))
    for part in ("follower_reward", "leader_reward"):
        assert np.array_equal(np.concatenate([getattr(b, part) for b in blocks]), getattr(model, part))
    np.testing.assert_allclose(np.concatenate([b.initial for b in blocks]), model.initial, rtol=1e-14)
    dense = np.zeros((rows.n_states * rows.n_actions, rows.n_states))
    successors, probabilities = (
        np.concatenate([getattr(b, x) for b in blocks]) for x in ("successors", "probabilities")
    )
    np.add.at(dense, (np.arange(len(dense))[:, None], successors), probabilities)
    np.testing.assert_allclose(dense, model.kernel.flat.toarray(), rtol=1e-14)


@settings(max_examples=examples(25), deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.integers(1, 4), st.integers(0, 10**6))
def test_cotangents_pulled_back_by_rows_are_the_whole_ones(name, size, seed):
    rows, whole = by_rows(name, **SMALL[name]), bg.problems.load(name, **SMALL[name])
    theta, rng = whole.initial_theta(seed=seed), np.random.default_rng(seed)
    S, A = rows.n_states, rows.n_actions
    k = rows.block(theta, 0, S, Alone()).successors.shape[1]
    parts = rng.standard_normal((S * A, k)), rng.standard_normal(S), *rng.standard_normal((2, S, A))

    def mine(t):
        first, last = share(S, t)
        kernel, *rest = parts
        cotangent = RowCotangent(kernel[first * A : last * A], *(x[first:last] for x in rest))
        return rows.pull_back(theta, first, last, cotangent, t)

    found = InThreads(size).run(mine)
    kernel, initial, follower, leader = parts
    exact = whole.linearise(theta).pullback(
        ContextualArrays((TabularArrays(kernel.ravel(), initial, follower, leader),), np.zeros(1))
    )
    for each in found:  # the same on every process
        np.testing.assert_allclose(each, exact, rtol=1e-11, atol=1e-12 * np.abs(exact).max())
    # The control: without the sum over processes a share is not the whole.
    if size > 1:
        first, last = share(S, _Rank(InThreads(size), 0))
        alone = rows.pull_back(
            theta,
            first,
            last,
            RowCotangent(kernel[: last * A], initial[:last], follower[:last], leader[:last]),
            Alone(),
        )
        assert np.abs(alone - exact).max() > 1e-3 * np.abs(exact).max()


def test_refusals():
    with pytest.raises(UnknownName, match="four-rooms"):
        by_rows("four-rooms")
    with pytest.raises(InvalidOption, match="speed"):
        by_rows("grid-world", speed=3)
    with pytest.raises(InvalidTheta, match="64 finite numbers"):
        by_rows("grid-world").block(np.zeros(3), 0, 10, Alone())


def test_without_petsc_it_is_said_what_is_missing():
    try:
        import petsc4py  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"petsc4py and mpi4py.*numpy<2"):
            Processes()
    else:
        pytest.skip("petsc4py is there")


def test_nothing_compared_is_no_agreement():
    near, far = Held("one process", 1e-12, 1e-10), Held("differences of J", 1e-3, 1e-6)
    assert DistributedReport("x", None, (near,)).ok
    assert not DistributedReport("x", None, ()).ok
    assert not DistributedReport("x", None, (near, far)).ok
    assert not Held("one process", float("nan"), 1e-10).ok


# With PETSc: processes of the system's Python (`make petsc`)


def together(count, *command):
    """What `command` of the environment with PETSc prints in `count` processes; its exit status."""
    program = optional_program("mpiexec")
    if not PYTHON.exists():
        optional_program("an environment with PETSc (`make petsc`)")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    env |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",  # other tests run beside
    }
    done = subprocess.run(
        [program, "-n", str(count), str(PYTHON), *command], env=env, capture_output=True, text=True, timeout=900
    )
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grid-world", {"size": 40}),
        ("grid-world", {"size": 25, "follower_discount": 0.95, "leader_discount": 0.9, "temperature": 0.01}),
        ("garnet", {"n_states": 400, "branching": 3, "ending": 0.9}),
    ],
)
def test_several_processes_find_what_one_does(count, name, options):
    choice = [text for key, value in options.items() for text in ("--set", f"{key}={value}")]
    out, err, status = together(
        count, "-m", "boltzgrad.cli", "verify", name, *choice, "--theta", "3", "--distributed", "--json"
    )
    assert status == 0, err
    record = json.loads(out)
    problem = bg.problems.load(name, **options)
    exact = bg.hypergradient(problem, problem.initial_theta(seed=3))
    assert record["processes"] == count
    assert record["ok"]
    assert [held["against"] for held in record["held"]] == ["differences of J", "one process"]
    assert abs(record["value"] - exact.value) <= 1e-10 * abs(exact.value)
    off = np.abs(np.array(record["gradient"]) - exact.gradient).max()
    assert off <= 1e-10 * np.abs(exact.gradient).max()


def test_long_chains_are_no_false_alarm():
    discounts = ["--set", "follower_discount=0.9999", "--set", "leader_discount=0.9999"]
    out, err, status = together(
        2, "-m", "boltzgrad.cli", "verify", "grid-world", "--set", "size=50", *discounts, "--distributed"
    )
    assert status == 0, err + out
    assert out.strip().endswith("AGREEMENT")


SCRIPT = """
import sys
import numpy as np
import boltzgrad as bg
from boltzgrad.errors import NotConverged
from boltzgrad.solvers import distributed
from boltzgrad.solvers.distributed import chain
from boltzgrad.verify.distributed import verify_distributed
from boltzgrad.zoo.rows import by_rows

processes = distributed.Processes()
rows = by_rows("grid-world", size=20)
theta = rows.initial_theta(1)
right = lambda: bg.problems.load("grid-world", size=20)
out = {}
found = distributed.hypergradient(rows, theta, processes)
out["V"] = processes.joined(found.follower_value).tolist()
out["bound"] = found.value_bound
out["right"] = verify_distributed(rows, theta, processes, right).ok
out["another problem"] = [h.ok for h in verify_distributed(
    rows, theta, processes, lambda: bg.problems.load("grid-world", size=20, temperature=0.06)).held]
whole = chain.System.solve_transposed
chain.System.solve_transposed = lambda self, b: whole(self, 1.001 * b)
out["a wrong adjoint"] = [h.ok for h in verify_distributed(rows, theta, processes, right).held]
chain.System.solve_transposed = whole
chain._REFINED = 0
try:
    distributed.hypergradient(rows, theta, processes)
except NotConverged as error:
    out["refusal"] = str(error)
if processes.rank == 0:
    import json
    print(json.dumps(out))
"""


def test_a_bound_that_holds_and_mistakes_that_show():
    out, err, status = together(2, "-c", SCRIPT)
    assert status == 0, err
    found = json.loads(out)
    problem = bg.problems.load("grid-world", size=20)
    exact = bg.hypergradient(problem, problem.initial_theta(seed=1)).follower
    off = np.abs(np.array(found["V"]) - exact.value).max()
    assert off <= found["bound"] + 1e-12  # what is known of the other V
    assert 0.0 < found["bound"] < 1e-9
    assert found["right"]
    assert found["another problem"] == [True, False]  # J's own differences agree, the other problem's gradient does not
    assert found["a wrong adjoint"] == [False, False]
    assert "left a residual" in found["refusal"]


@pytest.mark.slow
def test_many_states_over_two_processes():
    out, err, status = together(2, "-m", "boltzgrad.cli", "verify", "grid-world", "--set", "size=400", "--distributed")
    assert status == 0, err
    assert "160000 states over 2 processes" in out
    assert out.strip().endswith("AGREEMENT")
