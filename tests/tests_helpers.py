"""Random models and small problems that several test files use."""

import importlib
import importlib.util
import os
import shutil
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import settings

import boltzgrad as bg
from boltzgrad.core.checks import untraced


def random_model(rng, S=5, A=3, *, ending=0.0, own=False, sparse=False, **options):
    """A dense random model; `ending` cuts rows, `own` gives the follower a kernel of its own.

    A row that ends at all ends with a hundredth of `ending`, so that no draw, however rare, looks like float32 rounding.
    """

    def kernel():
        p = rng.dirichlet(np.ones(S), size=(S, A)) * (1.0 - ending * rng.uniform(0.01, 1.0, size=(S, A, 1)))
        return bg.problems.SparseKernel.from_scipy(_csr(p), A) if sparse else p

    options = {"follower_discount": 0.9, "leader_discount": 0.85, "temperature": 0.2, **options}
    return bg.TabularModel(
        kernel(),
        rng.dirichlet(np.ones(S)),
        rng.uniform(size=(S, A)),
        rng.uniform(size=(S, A)),
        kernel() if own else None,
        **options,
    )


def _csr(p):
    from scipy import sparse

    return sparse.csr_array(p.reshape(-1, p.shape[-1]))


def smooth_problem(seed=0, S=4, A=3, d=5, *, own=False, contexts=1, objective="return", regulariser=None, **options):
    """Everything depends on θ: rewards, kernel(s), start and context probabilities; autograd only."""
    rng = np.random.default_rng(seed)
    options = {"follower_discount": 0.9, "leader_discount": 0.8, "temperature": 0.3, **options}
    logit, tilt = rng.standard_normal((contexts, S, A, S)), rng.standard_normal((contexts, S, A, S, d))
    other, lean = rng.standard_normal((S, A, S)), rng.standard_normal((S, A, S, d))
    start, push = rng.standard_normal(S), rng.standard_normal((S, d))
    follower, leader = rng.standard_normal((2, S, A, d))
    mix = rng.standard_normal((contexts, d))

    def softmax(x):
        e = anp.exp(x - np.max(np.real(untraced(x)), axis=-1, keepdims=True))
        return e / anp.sum(e, axis=-1, keepdims=True)

    def build(theta):
        def one(c):
            return bg.TabularModel(
                softmax(logit[c] + anp.dot(tilt[c], theta)),
                softmax(start + anp.dot(push, theta)),
                anp.exp(0.3 * anp.dot(follower, theta)),
                anp.exp(0.3 * anp.dot(leader, theta)),
                softmax(other + anp.dot(lean, theta)) if own else None,
                **options,
            )

        if contexts == 1:
            return one(0)
        return bg.ContextualModel([one(c) for c in range(contexts)], softmax(anp.dot(mix, theta)))

    return bg.ConfigurableMDP(
        build, dim=d, objective=objective, regulariser=regulariser, initial_scale=0.3, name="smooth"
    )


def benchmark(name):
    """A script of `benchmarks/` as a module: what it measures and what a test holds the code to are one and the same."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slow(*case):
    """A case for `parametrize` that runs under `make check` and in CI only."""
    return pytest.param(*case, marks=pytest.mark.slow)


def sample(cases, *quick):
    """`cases` for `parametrize`, of which only those in `quick` run under `make test`."""
    assert set(quick) <= set(cases), "a case that does not exist"
    return [case if case in quick else slow(case) for case in cases]


def examples(many):
    """How many random examples to draw: `many` under `make check` and in CI, a share of them under `make test`."""
    return max(1, many * settings.default.max_examples // settings.get_profile("thorough").max_examples)


def optional(module):
    """An optional package; without it the test is skipped, but where everything has to be there (CI) it fails."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return _absent(f"{module} is not installed (`make frameworks` installs everything)")


def optional_program(*names):
    """The path of an optional program, under the first of its names that is there."""
    return next(filter(None, map(shutil.which, names)), None) or _absent(f"there is no program {' or '.join(names)}")


def _absent(reason):
    if os.environ.get("BOLTZGRAD_ALL_TESTS"):
        pytest.fail(f"{reason}, and BOLTZGRAD_ALL_TESTS asks for every test")
    pytest.skip(reason, allow_module_level=True)
