"""Derivatives in threads: the same bits as one after another, where a model differentiates inside of itself, too."""

import sys
from concurrent.futures import ThreadPoolExecutor

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, tracer

import boltzgrad as bg
from boltzgrad.core.traces import NumberedTraces
from boltzgrad.findings.of_software import beside_another, slope_of_a_slope
from boltzgrad.zoo.garnet import garnet


def numbers(stack):
    """(outer, inner) of one thread's traces, another's having been opened before them and closed between them."""
    other, outer, inner = (stack.new_trace() for _ in range(3))
    other.__enter__()
    first = outer.__enter__()
    other.__exit__(None, None, None)
    second = inner.__enter__()
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    return first, second


def test_an_inner_trace_has_a_larger_number_than_the_one_around_it():
    first, second = numbers(NumberedTraces())
    assert second > first
    first, second = numbers(tracer.TraceStack())  # the control: autograd's own confuses the two
    assert second == first
    assert isinstance(tracer.trace_stack, NumberedTraces)


@pytest.fixture
def impatient():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_leave_derivatives_within_derivatives_alone(monkeypatch):
    assert beside_another() == slope_of_a_slope()
    monkeypatch.setattr(tracer, "trace_stack", tracer.TraceStack())
    assert abs(beside_another() - slope_of_a_slope()) > 0.1  # the control: a wrong slope with autograd's own numbers


def test_threads_find_the_hypergradients_that_one_finds(impatient):
    problem = garnet(n_states=6)

    def build(t):
        return problem.build(t + grad(lambda u: 0.1 * anp.sum(u**3))(t))

    nested = bg.ConfigurableMDP(build, dim=problem.dim)
    thetas = np.random.default_rng(0).normal(size=(24, problem.dim))
    alone = [bg.hypergradient(nested, t).gradient for t in thetas]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda t: bg.hypergradient(nested, t).gradient, thetas))
    np.testing.assert_array_equal(together, alone)
