"""Estimators from JSON: what an experiment's configuration says, turned into the estimator it means."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from boltzgrad.errors import InvalidOption, unknown
from boltzgrad.estimators import (
    AMD,
    BCHG,
    DRLHF,
    HPGD,
    PARL,
    PBRL,
    BiAC,
    Estimator,
    ExactGradient,
    HPGDOracle,
    LQGameBCHG,
    LQGameNaivePGD,
    MSoBiRL,
    NaivePGD,
    NoisyExact,
    PlugInGradient,
    RandomisedStopping,
    Sampling,
    SoBiRL,
    StocSoBiRL,
    TrajectorySoBiRL,
    TwoTimescale,
    ZeroOrder,
)
from boltzgrad.estimators.gaussian.critics import LeastSquaresTD as GaussianTD
from boltzgrad.estimators.gaussian.critics import Network
from boltzgrad.estimators.tabular.critics import LeastSquaresTD, Sarsa
from boltzgrad.followers import (
    FittedGain,
    FromSamples,
    NaturalPolicyGradient,
    RiccatiSweeps,
    SoftQLearning,
    SoftValueIteration,
)

METHODS: dict[str, type[Estimator]] = {
    "exact": ExactGradient,
    "noisy-exact": NoisyExact,
    "bc-hg": BCHG,
    "hpgd": HPGD,
    "hpgd-oracle": HPGDOracle,
    "sobirl": SoBiRL,
    "naive": NaivePGD,
    "zero-order": ZeroOrder,
    "amd": AMD,
    "bi-ac": BiAC,
    "plug-in": PlugInGradient,
    "m-sobirl": MSoBiRL,
    "stoc-sobirl": StocSoBiRL,
    "drlhf": DRLHF,
    "trajectory-sobirl": TrajectorySoBiRL,
    "pbrl": PBRL,
    "parl": PARL,
    "two-timescale": TwoTimescale,
    "randomised-stopping": RandomisedStopping,
    "game-bc-hg": LQGameBCHG,
    "game-naive": LQGameNaivePGD,
}
CRITICS = {"sarsa": Sarsa, "tabular-td": LeastSquaresTD, "td": GaussianTD, "network": Network}
FOLLOWERS = {
    "soft-value-iteration": SoftValueIteration,
    "natural-policy-gradient": NaturalPolicyGradient,
    "soft-q-learning": SoftQLearning,
    "from-samples": FromSamples,
    "riccati-sweeps": RiccatiSweeps,
    "fitted-gain": FittedGain,
}


def estimator(specification: dict[str, Any]) -> Estimator:
    """The estimator that {"method": name, options} describes.

    `sampling` is a dictionary of `Sampling`'s options, `critic` a name or {"name": …, options}, `follower` and `first`
    learners in the same way, `like` (of "noisy-exact") another such description.  Raises: UnknownName, InvalidOption.

    >>> estimator({"method": "zero-order", "radius": 0.5}).radius
    0.5
    """
    options = dict(specification)
    name = options.pop("method", None)
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    if isinstance(options.get("sampling"), dict):
        options["sampling"] = _made("sampling", Sampling, options["sampling"])
    for part, kinds in (("critic", CRITICS), ("follower", FOLLOWERS), ("first", FOLLOWERS)):
        if isinstance(options.get(part), dict):
            own = dict(options[part])
            kind = own.pop("name", None)
            if kind not in kinds:
                raise unknown(part, kind, kinds)
            own = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
            options[part] = _made(kind, kinds[kind], own)
    if isinstance(options.get("like"), dict):
        options["like"] = estimator(options["like"])
    made: Estimator = _made(name, METHODS[name], options)
    return made


def _made(name: str, kind: type[Any], options: dict[str, Any]) -> Any:
    """A record from its options.  Raises: UnknownName for an option it has not, InvalidOption for one it lacks."""
    known = {f.name: f for f in fields(kind) if f.init}
    for option in options:
        if option not in known:
            raise unknown(f"option of {name!r}:", option, known)
    for option, f in known.items():
        if option not in options and f.default is MISSING and f.default_factory is MISSING:
            raise InvalidOption(f"{name!r} lacks its option {option!r}")
    return kind(**options)
