"""Autograd's derivatives in threads.

Autograd numbers its traces by their depth, which it counts in one place for all threads: two threads that differentiate at a
time are given one number, and a derivative within a derivative (of `build`, or the pull-back of a pull-back) then takes the
outer one's variable for its own. The result is a wrong gradient, without an error. Here a trace has a number that none had
before: still larger than those of the traces around it, which is all that autograd asks of it.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import autograd.tracer as tracer


class NumberedTraces:
    """Traces that never share a number, whichever thread opens them (`next` of a count is one step of the interpreter)."""

    def __init__(self, first: int = 0) -> None:
        self._numbers = itertools.count(first)

    @contextmanager
    def new_trace(self) -> Iterator[int]:
        """What `with` gives is the number."""
        yield next(self._numbers)


def number_the_traces() -> None:
    """Have autograd count by `NumberedTraces`, beyond every trace that is open."""
    if not isinstance(tracer.trace_stack, NumberedTraces):
        tracer.trace_stack = NumberedTraces(tracer.trace_stack.top + 1)
