"""What every family is made from: arrays, problems, records of results, and what a family is."""

from boltzgrad.core.traces import number_the_traces

number_the_traces()
