"""Every error and warning the library raises, and the words they are made of.

An error says what was asked, what was found, what was allowed, and what to try.  All of them are
`ValueError`s, so that a caller who catches `ValueError` around bad numbers catches these too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BoltzgradError(ValueError):
    """Anything boltzgrad refuses or could not do."""


class InvalidModel(BoltzgradError):
    """An entry of a model is not what it has to be (shape, sign, row sum, discount, temperature, …)."""


class InvalidWorld(BoltzgradError):
    """An environment or its tables are not a world: no table, an entry that is no probability, a state that is not there."""


class InvalidTheta(BoltzgradError):
    """The leader's decision has the wrong length, type or values."""


class InvalidOption(BoltzgradError):
    """An option has a value outside its range, or does not exist."""


class UnknownName(BoltzgradError):
    """A problem, route or option of that name does not exist."""


class NotDifferentiable(BoltzgradError):
    """A `build`, pull-back or objective cannot be differentiated, or returned no derivative."""


class NotSmooth(NotDifferentiable):
    """The leader's value has a kink or a jump at this θ, or is piecewise constant."""


class NotConverged(BoltzgradError, ArithmeticError):
    """A solve missed its tolerance: which one, by how much, and what to try."""


class Unfinished(NotConverged):
    """A witness stopped before its iterations had come to rest: it says nothing, for or against."""


class UnusableBatch(BoltzgradError):
    """A batch of samples holds nothing that an estimate could be made from."""


class MissingExtra(BoltzgradError, ImportError):
    """An optional package is needed and not installed."""


class GradientMismatch(BoltzgradError, AssertionError):
    """Two gradients that have to agree do not."""


class ResultsMismatch(BoltzgradError):
    """A folder holds results of another experiment, preset, configuration or version than asked for."""


class ResultsCorrupt(BoltzgradError):
    """A line of a results file cannot be read."""


class ResultsInUse(BoltzgradError):
    """Another process is writing to the same folder of results."""


class ResultsNotWritten(BoltzgradError, OSError):
    """Results could not be written: the disk is full, the folder is read-only, or the like."""


class TaskFailed(BoltzgradError, RuntimeError):
    """A task of an experiment raised an error: which task, and which error."""


class ClusterUnusable(BoltzgradError):
    """A dask cluster does not answer, has no workers, or its workers have another boltzgrad or none."""


class WorkersLost(BoltzgradError, RuntimeError):
    """Worker processes were killed, or a cluster went away, while tasks were running."""


class BiasedEstimator(BoltzgradError, AssertionError):
    """An estimator's mean is not the exact gradient, or too few batches were drawn to say that it is."""


class InvalidSamples(BoltzgradError):
    """What an estimator returned is no gradient: wrong shape or type, not finite, or the same numbers over again."""


class InvalidCandidate(BoltzgradError):
    """What was handed in to be checked is no gradient: wrong shape, type or device, not finite, still being traced."""


class NotDeterministic(InvalidCandidate):
    """A function that is to return a gradient returns another one when it is called again."""


class InvalidFollower(BoltzgradError):
    """A follower's policy or table Q that was handed in is none: wrong shape, not finite, not probabilities, zeros."""


class FollowerMismatch(BoltzgradError, AssertionError):
    """Somebody's V, Q or policy is not the follower's answer."""


class BundleUnusable(BoltzgradError):
    """A reference bundle has a file missing or altered, or was made by another version."""


class NoVerifications(BoltzgradError):
    """A folder that a report is to be made of does not exist, or holds no verification that can be read."""


class SuspiciousModel(UserWarning):
    """A model that is legal, and most likely not what its author meant."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownName:
    """The `UnknownName` for `name`, with the nearest known names as a suggestion."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    if near and len(names) > 30:
        return UnknownName(f"unknown {kind} {name!r}{hint}")
    return UnknownName(f"unknown {kind} {name!r}{hint or '.'} Known: {', '.join(names) or 'none'}")
