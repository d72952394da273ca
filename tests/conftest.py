"""Fixtures that hand out the helpers of `tests_helpers.py`."""

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
