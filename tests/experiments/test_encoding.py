"""What is written is valid JSON, and comes back as it was."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boltzgrad.errors import InvalidOption
from boltzgrad.experiments import encoding

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAMES = st.text().filter(lambda name: name != encoding.TAG)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=20)


def forbidden(name):
    raise AssertionError(f"{name} is no JSON")


def same(a, b):
    """Equal in type and bits, except that any NaN equals any other."""
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


@given(VALUES)
def test_round_trip(value):
    text = encoding.dumps(value)
    assert same(encoding.loads(text), value)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    json.loads(text, parse_constant=forbidden)


def test_the_comparison_can_fail():
    assert not same(0.0, -0.0)
    assert not same([1], [1.0])
    with pytest.raises(AssertionError, match="NaN is no JSON"):
        json.loads(json.dumps([math.nan]), parse_constant=forbidden)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.int32(-3), -3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan], [np.inf, 0.0]]), [[1.0, math.nan], [math.inf, 0.0]]),
        (np.array(2), 2),
        ((1, (2.5, "x")), [1, [2.5, "x"]]),
        (np.array([np.float16(0.5)]).tolist(), [0.5]),
    ],
)
def test_numpy_becomes_plain(value, plain):
    assert same(encoding.plain(value), plain)
    assert same(encoding.loads(encoding.dumps(value)), plain)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2, 3}]}, r"value\['a'\]\[1\] is a set"),
        ({"a": 1j}, r"value\['a'\] is a complex"),
        ({3: 1}, "has the key 3; expected text"),
        ({"$float": "nan"}, r"has the key '\$float'"),
        (np.array([1j]), "ndarray of complex128"),
        (np.array([None]), "ndarray of object"),
        (np.longdouble(1), "longdouble"),
    ],
)
def test_what_json_cannot_hold_is_refused(value, message):
    with pytest.raises(InvalidOption, match=message):
        encoding.dumps(value)
