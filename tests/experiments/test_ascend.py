"""One run of a method: what its rows hold, that they are the same however they are computed, and that they are right."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad import problems
from boltzgrad.errors import BoltzgradError, InvalidOption, UnknownName
from boltzgrad.experiments import ascent as module
from boltzgrad.experiments import catalogue, encoding
from boltzgrad.experiments import optimisers as rules
from boltzgrad.experiments.ascent import SEEDS_TOGETHER, ascend, groups_of
from boltzgrad.experiments.metrics import toy_game
from boltzgrad.experiments.runner import run
from boltzgrad.experiments.task import Task
from experiments_toys import open_store

EXACT = {"method": "exact"}
GAME = {
    "problem": "toy-game",
    "options": {"bonus": 1},
    "estimator": EXACT,
    "optimiser": {"name": "adam", "rate": 0.1},
    "iterations": 7,
    "log_every": 3,
    "start": 0.5,
    "seeds": [0, 1],
}
SAMPLED = {"method": "bc-hg", "baseline": True, "sampling": {"episodes": 2, "horizon": 20}}
LOGGED = ("iteration", "objective", "cosine", "norm", "exact_norm", "steps")


def text(rows):
    return encoding.dumps(rows)


@pytest.mark.parametrize("metric", [None, "toy-game"])
@pytest.mark.parametrize("estimator", [EXACT, SAMPLED], ids=["exact", "sampled"])
def test_rows_have_what_is_documented(metric, estimator):
    rows = ascend({**GAME, "metric": metric, "estimator": estimator})
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        extra = {"metric", "metric_last"} if metric else set()
        assert set(row) == {*LOGGED, "seed", "total_steps", "rejected", "end", "last", "best", "theta"} | extra
        assert row["iteration"] == [0, 3, 6]
        for name in LOGGED[1:]:
            assert row[name].shape == (3,)
            assert np.isfinite(row[name]).all() or name == "cosine"
        np.testing.assert_array_equal(np.isnan(row["cosine"]), row["norm"] == 0.0)  # a batch without any reward
        assert row["theta"].shape == (6,)
        last = bg.hypergradient(problems.load("toy-game", bonus=1), row["theta"]).value
        np.testing.assert_allclose(row["last"], last, rtol=1e-9)
        assert row["end"] == row["objective"][-1]  # a tenth of three log points: the last
        assert row["best"] == max([*row["objective"], row["last"]])
        assert row["rejected"] == 0
        if metric:
            assert row["metric"].shape == (3, 3)
            assert row["metric_last"] != list(row["metric"][-1])
    assert rows[0]["objective"][0] != rows[1]["objective"][0]  # control: seeds start elsewhere


@pytest.mark.parametrize(
    ("iterations", "every", "expected"),
    [(7, 3, [0, 3, 6]), (8, 3, [0, 3, 6, 7]), (1, 1, [0]), (2, 10, [0, 1]), (4, 1, [0, 1, 2, 3])],
)
def test_log_points(iterations, every, expected):
    (row,) = ascend({**GAME, "iterations": iterations, "log_every": every, "seeds": [0]})
    assert row["iteration"] == expected
    (finer,) = ascend({**GAME, "iterations": iterations, "log_every": 1, "seeds": [0]})
    np.testing.assert_array_equal(finer["theta"], row["theta"])  # looking changes nothing
    np.testing.assert_allclose(finer["objective"][expected], row["objective"], rtol=1e-11)  # warm starts differ
    if len(expected) < iterations:  # control
        assert not np.allclose(finer["objective"][: len(expected)], row["objective"], rtol=1e-11)


def test_end_is_the_mean_over_the_last_tenth():
    (row,) = ascend({**GAME, "iterations": 25, "log_every": 1, "seeds": [0]})
    assert row["end"] == row["objective"][-2:].mean() != row["objective"][-1]


def test_steps_are_those_made_before_the_log_point():
    (row,) = ascend({**GAME, "estimator": SAMPLED, "log_every": 1, "seeds": [0]})
    assert row["steps"][0] == 0
    assert (np.diff(row["steps"]) > 0).all()
    assert row["total_steps"] > row["steps"][-1]
    fixed = {"method": "naive", "sampling": {"episodes": 3, "horizon": 7}}  # the toy game has no end: 21 steps a batch
    (row,) = ascend({**GAME, "estimator": fixed, "log_every": 2, "seeds": [0]})
    assert [*row["steps"], row["total_steps"]] == [0, 42, 84, 126, 147]
    (exact,) = ascend({**GAME, "seeds": [0]})
    assert exact["total_steps"] == 0  # control


@pytest.mark.parametrize(
    ("problem", "options", "rate"),
    [("toy-game", {"bonus": 1}, 0.02), ("thermal-control", {}, 0.1), ("synthetic-hard", {}, 0.2)],
)
def test_the_exact_gradient_improves_j_and_has_cosine_one(problem, options, rate):
    descend = problem == "synthetic-hard"
    arguments = {
        **GAME,
        "problem": problem,
        "options": options,
        "optimiser": {"name": "ascent", "rate": rate, "descend": descend},
    }
    for row in ascend(arguments):
        sign = -1.0 if descend else 1.0
        assert (np.diff(sign * np.append(row["objective"], row["last"])) > 0).all()
        np.testing.assert_allclose(row["cosine"], 1.0, atol=1e-12)
        np.testing.assert_allclose(row["norm"], row["exact_norm"], rtol=1e-9)
    worse = ascend({**arguments, "optimiser": {"name": "ascent", "rate": rate, "descend": not descend}})
    assert all(sign * row["last"] < sign * row["objective"][0] for row in worse)  # control


def test_the_cosine_of_a_wrong_gradient_is_low():
    arguments = {**GAME, "problem": "synthetic-hard", "options": {}, "start": 1.0}
    method = {"method": "m-sobirl", "inner_sweeps": 200, "adjoint_steps": 400}
    arguments["optimiser"] = {"name": "ascent", "rate": 0.01, "descend": True}
    cosines = {
        level: np.mean([r["cosine"] for r in ascend({**arguments, "estimator": {**method, "lower_level": level}})])
        for level in ("on", "stopped", "wrong-sign")
    }
    assert cosines["on"] > 1 - 1e-6
    assert cosines["wrong-sign"] < -0.5
    assert abs(cosines["stopped"]) < 0.8


@pytest.mark.parametrize("estimator", [EXACT, SAMPLED, {**SAMPLED, "critic": "sarsa"}], ids=["exact", "mc", "sarsa"])
def test_seeds_together_or_alone_give_the_same_rows(estimator):
    arguments = {**GAME, "estimator": estimator, "metric": "toy-game", "seeds": [4, 1, 7]}
    together = ascend(arguments)
    alone = [row for seed in arguments["seeds"] for row in ascend({**arguments, "seeds": [seed]})]
    assert text(together) == text(alone)
    assert text(ascend({**arguments, "seeds": [4, 1, 8]})) != text(alone)  # control


@pytest.mark.parametrize("problem", ["thermal-control", "lqr-game", "four-rooms", "synthetic-hard"])
def test_seeds_together_or_alone_on_every_family(problem):
    method = {
        "thermal-control": {"method": "bc-hg", "sampling": {"episodes": 2, "horizon": 5}},
        "lqr-game": {"method": "game-bc-hg", "sampling": {"episodes": 2}},
        "four-rooms": {"method": "hpgd", "sampling": {"episodes": 1, "horizon": 40}},
        "synthetic-hard": {"method": "m-sobirl"},
    }[problem]
    arguments = {**GAME, "problem": problem, "options": {}, "estimator": method, "iterations": 3, "log_every": 1}
    arguments |= {"start": 0.1, "seeds": [0, 1]}
    together = ascend(arguments)
    assert text(together) == text([r for seed in (0, 1) for r in ascend({**arguments, "seeds": [seed]})])
    assert not np.array_equal(together[0]["theta"], together[1]["theta"])  # control


def test_a_seed_has_the_same_start_under_every_method():
    starts = {
        str(m): ascend({**GAME, "estimator": m, "iterations": 1, "optimiser": {"name": "ascent", "rate": 1e-300}})
        for m in (EXACT, SAMPLED)
    }
    first, second = starts.values()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a["theta"], b["theta"])
    assert not np.array_equal(first[0]["theta"], first[1]["theta"])  # control


def test_the_judge_is_another_problem_than_the_one_that_is_sampled():
    arguments = {
        **GAME,
        "problem": "four-rooms",
        "options": {"kernel": "as-published", "temperature": 0.005},
        "judge": {"kernel": "matrix"},
        "iterations": 2,
        "log_every": 1,
        "start": 0.01,
        "seeds": [0],
        "optimiser": {"name": "ascent", "rate": 0.5},
    }
    (judged,), (own,) = ascend(arguments), ascend({**arguments, "judge": {}})
    np.testing.assert_array_equal(judged["theta"], own["theta"])  # the steps are the same
    matrix = problems.load("four-rooms", kernel="matrix", temperature=0.005)
    found = bg.hypergradient(matrix, judged["theta"])
    np.testing.assert_allclose(judged["last"], found.value, rtol=1e-9)
    assert abs(judged["last"] - own["last"]) > 1e-3  # control: its own world's J is another
    assert judged["cosine"][0] < 1 - 1e-6
    np.testing.assert_allclose(own["cosine"], 1.0, atol=1e-12)


def lqr_from(gains, **more):
    """A run of `lqr-game` that starts at these gains."""

    class Fixed(module.Stream):
        def split(self, *names):
            return self

        def generator(self):
            class Numbers:
                @staticmethod
                def standard_normal(dim):
                    return np.array(gains)

            return Numbers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Stream", Fixed)
        return ascend(
            {**GAME, "problem": "lqr-game", "options": {}, "start": 1.0, "seeds": [0], "log_every": 1, **more}
        )


def test_the_metric_is_the_judges_too():
    arguments = {**GAME, "options": {"bonus": 1, "as_published": True}, "judge": {"as_published": False}}
    (row,) = ascend({**arguments, "metric": "toy-game", "seeds": [0]})
    right, sampled = (problems.load("toy-game", bonus=1, as_published=p) for p in (False, True))
    np.testing.assert_allclose(row["metric_last"], toy_game(right, row["theta"]), rtol=1e-12)
    with pytest.raises(
        InvalidOption, match="plans otherwise than it acts"
    ):  # control: the sampled one has no such metric
        toy_game(sampled, row["theta"])


def test_a_linear_quadratic_game_that_has_no_answer_is_not_stepped_to():
    """A + CK = [[.1 k₁, 1 + .1 k₂], [0, 0]]: at k₂ = −10 the mode .1 k₁ is out of reach, and √γ_F .1|k₁| ≥ 1 has no answer.

    The step goes along the first gain: from −10 (no further than 1/√.95 = 1.026) to beyond −10.26.
    """
    problem = problems.load("lqr-game")
    inside, outside = np.array([-10.0, -10.0]), np.array([-10.3, -10.0])
    bg.hypergradient(problem, inside)  # has an answer
    with pytest.raises(BoltzgradError):
        bg.hypergradient(problem, outside)

    class Towards(rules.Ascent):
        def step(self, theta, gradient, i, total, memory):
            return theta + (outside - inside), memory

    class Back(rules.Ascent):
        def step(self, theta, gradient, i, total, memory):
            return theta - (outside - inside), memory

    for rule, rejected, end in [(Towards, 3, inside), (Back, 0, inside - 3 * (outside - inside))]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "optimiser", lambda specification, rule=rule: rule())
            (row,) = lqr_from(inside, iterations=3)
        assert row["rejected"] == rejected
        np.testing.assert_allclose(row["theta"], end, rtol=1e-14)
        assert np.isfinite(row["objective"]).all()


@pytest.mark.parametrize("name", ["toy-game", "lqr-game"])
def test_two_processes_find_the_same_rows(tmp_path, name):
    tasks = catalogue.get(name).tasks("smoke")[:3]
    found = []
    for workers in (1, 2):
        with open_store(tmp_path / str(workers)) as store:
            found.append(text(run(tasks, store, workers=workers)))
    assert found[0] == found[1]
    with open_store(tmp_path / "other") as store:
        other = [Task(t.key, t.function, {**t.arguments, "seeds": [0, 2]}) for t in tasks]
        assert text(run(other, store)) != found[0]  # control


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


def test_seeds_come_in_groups_of_a_fixed_size():
    for count in (1, SEEDS_TOGETHER, SEEDS_TOGETHER + 1, 20):
        groups = groups_of(count)
        assert [seed for group in groups for seed in group] == list(range(count))
        assert {len(group) for group in groups[:-1]} <= {SEEDS_TOGETHER}
        assert 0 < len(groups[-1]) <= SEEDS_TOGETHER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "toy-gam"}, "unknown metric 'toy-gam'; did you mean 'toy-game'"),
        ({"problem": "toy-gama"}, "did you mean 'toy-game'"),
        ({"options": {"bonuss": 1}}, "did you mean 'bonus'"),
        ({"estimator": {"method": "exactly"}}, "did you mean 'exact'"),
        ({"optimiser": {"name": "adams"}}, "did you mean 'adam'"),
        ({"judge": {"kernl": "x"}}, "unknown option"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(UnknownName, match=message):
        ascend({**GAME, **change})
