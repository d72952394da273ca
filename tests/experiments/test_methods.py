"""Every method of an experiment can be written as JSON and made from it; what is wrong in it is named."""

import json

import pytest

from boltzgrad import problems
from boltzgrad.errors import InvalidOption, UnknownName
from boltzgrad.estimators import Sampling, Stream
from boltzgrad.experiments import catalogue
from boltzgrad.experiments.methods import CRITICS, FOLLOWERS, METHODS, estimator
from boltzgrad.experiments.problems import load

SAMPLING = {"episodes": 3}  # the horizon is the method's own in some
WITH_SAMPLING = {name for name, kind in METHODS.items() if "sampling" in kind.__dataclass_fields__}
# A problem that each method takes, where it is not the toy game.
PROBLEMS = {
    "hpgd": "four-rooms",
    "hpgd-oracle": "four-rooms",
    "drlhf": "rlhf",
    "m-sobirl": "synthetic-hard",
    "trajectory-sobirl": "rlhf",
    "pbrl": "rlhf",
    "parl": "rlhf",
    "two-timescale": "rlhf",
    "randomised-stopping": "rlhf",
    "sobirl": "four-rooms",
    "stoc-sobirl": "four-rooms",
    "amd": "four-rooms-two-goals",
    "zero-order": "four-rooms-two-goals",
    "game-bc-hg": "lqr-game",
    "game-naive": "lqr-game",
}


def specification(name):
    out = {"method": name}
    if name in WITH_SAMPLING:
        out["sampling"] = SAMPLING
    if name == "plug-in":
        out["follower"] = {"name": "soft-value-iteration", "sweeps": 3}
    if name == "noisy-exact":
        out["like"] = {"method": "bc-hg", "sampling": SAMPLING}
    return out


@pytest.mark.parametrize("name", METHODS)
def test_made_from_json(name):
    spec = specification(name)
    made = estimator(json.loads(json.dumps(spec)))
    assert type(made) is METHODS[name]
    assert spec == specification(name)  # not changed by making it
    if name in WITH_SAMPLING:
        assert made.sampling == Sampling(**SAMPLING)
        assert estimator({"method": name}).sampling != made.sampling  # control: it is not the default
    made.check(problems.load(PROBLEMS.get(name, "toy-game")))


@pytest.mark.parametrize("name", [n for n, kind in METHODS.items() if "as_published" in kind.__dataclass_fields__])
def test_options_arrive(name):
    assert estimator({"method": name, "as_published": True}).as_published
    assert not estimator({"method": name}).as_published


@pytest.mark.parametrize("name", CRITICS)
def test_critics_are_made_with_their_options(name):
    option = {"sarsa": {"learning_rate": 0.25}, "network": {"updates": 7}}.get(name, {})
    made = estimator({"method": "bc-hg", "critic": {"name": name, **option}}).critic
    assert type(made) is CRITICS[name]
    for key, value in option.items():
        assert getattr(made, key) == value
        assert getattr(CRITICS[name](), key) != value  # control


@pytest.mark.parametrize("name", FOLLOWERS)
def test_followers_are_made_with_their_options(name):
    (option,) = [f for f in FOLLOWERS[name].__dataclass_fields__ if f in ("sweeps", "steps", "trajectories", "samples")]
    learner = {"name": name, option: 7}
    made = estimator({"method": "plug-in", "follower": learner, "first": {**learner, option: 9}, "warm": True})
    assert type(made.follower) is type(made.first) is FOLLOWERS[name]
    assert (getattr(made.follower, option), getattr(made.first, option)) == (7, 9)
    assert learner == {"name": name, option: 7}


def test_the_one_that_is_imitated_is_made_too():
    made = estimator({"method": "noisy-exact", "like": {"method": "naive", "sampling": SAMPLING}})
    assert type(made.like) is METHODS["naive"]
    assert made.like.sampling.episodes == 3


@pytest.mark.parametrize("experiment", catalogue.names())
def test_every_curve_has_a_method_that_takes_its_problem(experiment):
    for preset in ("smoke", "paper"):
        for curve in catalogue.get(experiment).curves(preset):
            made = estimator(json.loads(json.dumps(curve.arguments["estimator"])))
            made.check(load(curve.arguments["problem"], **curve.arguments["options"]))


def test_a_method_refuses_what_is_not_its_kind_of_problem():
    with pytest.raises(InvalidOption):
        estimator({"method": "m-sobirl"}).open(problems.load("toy-game"), [Stream(0)])
    with pytest.raises(InvalidOption):
        estimator({"method": "game-bc-hg"}).open(problems.load("toy-game"), [Stream(0)])


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ({"method": "bchg"}, UnknownName, "unknown method 'bchg'; did you mean 'bc-hg'"),
        ({}, UnknownName, "unknown method None. Known: amd"),
        ({"method": "bc-hg", "basline": True}, UnknownName, "option of 'bc-hg': 'basline'; did you mean 'baseline'"),
        ({"method": "exact", "label": "x"}, UnknownName, "option of 'exact': 'label'"),
        ({"method": "bc-hg", "sampling": {"epsiodes": 3}}, UnknownName, "option of 'sampling': 'epsiodes'.*'episodes'"),
        ({"method": "bc-hg", "sampling": {"episodes": 0}}, InvalidOption, "episodes is 0; expected a positive"),
        ({"method": "bc-hg", "critic": {"name": "sarse"}}, UnknownName, "unknown critic 'sarse'; did you mean 'sarsa'"),
        ({"method": "bc-hg", "critic": {"name": "sarsa", "rate": 1}}, UnknownName, "option of 'sarsa': 'rate'"),
        ({"method": "bc-hg", "critic": {}}, UnknownName, "unknown critic None"),
        ({"method": "plug-in", "follower": {"name": "sweeps"}}, UnknownName, "unknown follower 'sweeps'"),
        ({"method": "plug-in"}, InvalidOption, "'plug-in' lacks its option 'follower'"),
        ({"method": "noisy-exact"}, InvalidOption, "'noisy-exact' lacks its option 'like'"),
        ({"method": "noisy-exact", "like": {"method": "best"}}, UnknownName, "unknown method 'best'"),
    ],
)
def test_what_is_wrong_is_named(spec, kind, message):
    with pytest.raises(kind, match=message):
        estimator(spec)


def test_a_critic_of_the_other_family_is_refused_before_the_first_sample():
    made = estimator({"method": "bc-hg", "critic": {"name": "network"}})
    made.check(problems.load("thermal-control"))
    with pytest.raises(InvalidOption, match="critic is Network"):
        made.check(problems.load("toy-game"))
    with pytest.raises(UnknownName, match="did you mean 'sarsa'"):
        estimator({"method": "bc-hg", "critic": "sarse"}).check(problems.load("toy-game"))
