"""Fixtures that hand out the helpers of `tests_helpers.py`."""

import os

# One thread a process: the matrices are small, and parallel test workers would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from tests_helpers import random_model, smooth_problem


@pytest.fixture
def rng():
    return np.random.default_rng(12345)


@pytest.fixture(scope="session")
def make_model():
    return random_model


@pytest.fixture(scope="session")
def make_problem():
    return smooth_problem
