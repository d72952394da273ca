"""Reports: what they say as text, JSON and HTML, when all is well and when it is not."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.errors import GradientMismatch
from boltzgrad.families.tabular.contexts import ContextualArrays
from boltzgrad.verify import agreement


@pytest.fixture(scope="module")
def report():
    problem = bg.problems.load("synthetic-hard")
    return bg.verify(problem, problem.initial_theta(seed=0))


def with_routes(monkeypatch, *routes):
    monkeypatch.setattr(agreement, "select", lambda problem, names: routes)
    problem = bg.problems.load("synthetic-hard")
    return bg.verify(problem, problem.initial_theta(seed=0))


def route(name="odd", result=None, skip=always, independent=True):
    return Route(name, "a made-up route", result or (lambda p, t: None), skip, independent)


def of_reference(change=lambda g: g, **options):
    def run(problem, theta):
        ref = bg.hypergradient(problem, theta)
        return RouteResult(ref.value, change(ref.gradient.copy()), options.pop("error_estimate", 0.0), **options)

    return run


def test_text(report):
    text = str(report)
    lines = text.splitlines()
    assert lines[0] == "synthetic-hard: 10 states × 5 actions, d = 100"
    assert lines[1].startswith("follower: Newton")
    assert [line.split()[0] for line in lines[3:4] + lines[5:16]] == [
        "route", "adjoint", "covariance", "hpgd", "implicit", "penalty", "hessian", "unrolled", "unrolled-implicit", "conic",
        "complex-step", "differences",
    ]  # fmt: skip
    assert lines[-1].startswith("AGREEMENT to ")
    assert "10 agree" in lines[-1]
    report.raise_if_disagree()


def test_json(report):
    data = json.loads(report.to_json())
    assert data["ok"] is True
    assert data["problem"] == "synthetic-hard"
    np.testing.assert_array_equal(data["gradient"], report.reference.gradient)
    rows = {r["route"]: r for r in data["rows"]}
    assert rows["covariance"]["verdict"] == "agrees"
    assert rows["differences"]["gradient"] is None
    assert len(rows["differences"]["slopes"]) == 6
    assert rows["conic"]["difference"] < rows["conic"]["allowed"]


class _Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.outside = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in {"meta", "line", "rect", "br"}:
            self.open.append(tag)
        self.outside += [v for k, v in attrs if k in {"src", "href"}]

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"rect", "line"}:
            assert self.open.pop() == tag


def test_html_is_one_well_formed_self_contained_page(report):
    page = report.to_html()
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.outside == []
    assert "script" not in checker.tags
    assert page.count("<rect") == 11 * 11 + 16  # every pair of routes, and the sixteen largest entries
    assert "complex-step" in page


def test_html_escapes_what_users_wrote():
    problem = bg.problems.load("synthetic-hard")
    problem.name = "<b>mine</b>"
    page = bg.verify(problem, problem.initial_theta(), routes=["implicit"]).to_html()
    assert "<b>mine" not in page
    assert "&lt;b&gt;mine" in page


def test_a_wrong_route_is_named_with_coordinate_size_and_allowance(monkeypatch):
    def spoiled(g):
        g[17] += 1e-3
        return g

    report = with_routes(monkeypatch, route("good", of_reference()), route("odd", of_reference(spoiled)))
    assert not report.ok
    assert "DISAGREEMENT: odd disagrees" in str(report)
    with pytest.raises(
        GradientMismatch, match=r"coordinate 17: odd .* difference 0.001, allowed .*With the reference: good"
    ):
        report.raise_if_disagree()
    assert json.loads(report.to_json())["rows"][2]["at"] == "coordinate 17"


def test_a_wrong_value_is_named(monkeypatch):
    def run(problem, theta):
        ref = bg.hypergradient(problem, theta)
        return RouteResult(ref.value + 1.0, ref.gradient, 0.0)

    with pytest.raises(GradientMismatch, match=r"The values differ: J = 4\.\d+ against 3\.\d+"):
        with_routes(monkeypatch, route("odd", run)).raise_if_disagree()


def test_nan_is_never_agreement(monkeypatch):
    report = with_routes(monkeypatch, route("odd", of_reference(lambda g: g * np.nan)))
    assert not report.ok
    assert report.rows[1].verdict == "disagrees"


def test_too_coarse_a_witness_cannot_tell(monkeypatch):
    report = with_routes(monkeypatch, route("coarse", of_reference(error_estimate=1.0)))
    assert report.rows[1].verdict == "cannot tell"
    assert not report.ok
    assert "CANNOT TELL" in report.summary()
    with pytest.raises(GradientMismatch, match=r"no witness could confirm the reference. coarse: cannot tell"):
        report.raise_if_disagree()


def test_skipped_and_failed_witnesses_are_rows_with_reasons(monkeypatch):
    def fail(problem, theta):
        raise bg.errors.NotConverged("it did not converge")

    skipping = route("shy", skip=lambda p, t: "too large")
    report = with_routes(monkeypatch, skipping, route("broken", fail), route("good", of_reference()))
    assert [str(r.verdict) for r in report.rows[1:]] == ["skipped", "failed", "agrees"]
    assert "skipped — too large" in str(report)
    assert "failed — it did not converge" in str(report)
    assert "worst |Δ|" in str(report)
    assert report.ok


@pytest.mark.parametrize(
    ("error", "verdict", "note"),
    [
        (KeyError("follower"), "failed", "KeyError: 'follower'"),
        (IndexError("list index out of range"), "failed", "IndexError: list index out of range"),
        (np.linalg.LinAlgError("Singular matrix"), "failed", "LinAlgError: Singular matrix"),
        (MemoryError(), "failed", "MemoryError: "),
        (AssertionError(), "failed", "AssertionError: "),
        (StopIteration(), "failed", "StopIteration: "),
        (bg.errors.Unfinished("not at rest after 10 sweeps"), "unfinished", "not at rest after 10 sweeps"),
        (bg.errors.NotSmooth("J has a kink"), "not smooth", "J has a kink"),
        (bg.errors.NotDifferentiable("no complex theta"), "skipped", "no complex theta"),
        (bg.errors.NotConverged("it did not converge"), "failed", "it did not converge"),
    ],
)
@pytest.mark.parametrize("place", ["run", "skip"])
def test_whatever_a_witness_breaks_with_is_a_row(monkeypatch, error, verdict, note, place):
    """And the others are run all the same."""

    def broken(problem, theta):
        raise error

    odd = route("odd", broken) if place == "run" else route("odd", skip=broken)
    report = with_routes(monkeypatch, odd, route("good", of_reference()))
    assert (str(report.rows[1].verdict), report.rows[1].note) == (verdict, note)
    assert report.rows[1].gradient is None
    assert report.rows[2].verdict == "agrees"
    assert report.ok == (verdict != "not smooth")
    assert verdict in str(report)
    assert json.loads(report.to_json())["rows"][1]["verdict"] == verdict
    assert "odd" in report.to_html()


def test_an_interrupt_is_no_row(monkeypatch):
    def interrupted(problem, theta):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_routes(monkeypatch, route("odd", interrupted))


def test_an_unfinished_witness_speaks_neither_for_nor_against(monkeypatch):
    def tired(problem, theta):
        raise bg.errors.Unfinished("not at rest")

    report = with_routes(monkeypatch, route("tired", tired))
    assert not report.ok
    assert not report.against
    with pytest.raises(
        GradientMismatch, match=r"no witness could confirm the reference\. tired: unfinished \(not at rest\)"
    ):
        report.raise_if_disagree()


def test_a_gradient_of_nothing_is_not_confirmed():
    """At θ = 0 nothing that the leader does matters on this problem."""
    problem = bg.problems.load("synthetic")
    report = bg.verify(problem, np.zeros(problem.dim), routes=["covariance", "implicit"])
    assert not report.ok
    assert [str(r.verdict) for r in report.rows] == ["reference", "zero to rounding", "zero to rounding"]
    assert str(report).splitlines()[-1].startswith("ZERO TO ROUNDING")
    data = json.loads(report.to_json())
    assert data["ok"] is False
    assert data["rows"][1]["complaint"] is None


def test_a_wrong_model_is_said_first_and_no_witness_is_run(monkeypatch):
    right = bg.problems.load("synthetic-hard")
    wrong = bg.ConfigurableMDP(
        right.build,
        dim=right.dim,
        pullback=lambda theta, g: 1.001 * right.linearise(theta).pullback(ContextualArrays((g,), np.ones(1))),
        pushforward=lambda theta, v: right.linearise(theta).pushforward(v).models[0],
        name="mine",
    )
    ran = []
    routes = (route("good", lambda p, t: ran.append(t)),)
    monkeypatch.setattr(agreement, "select", lambda problem, names: routes)
    report = bg.verify(wrong, right.initial_theta(seed=0))
    assert not ran
    assert not report.ok
    assert report.model.kind == "transpose"
    assert "(1.001 times it)" in str(report.model)
    assert [str(r.verdict) for r in report.rows] == ["reference", "skipped"]
    assert report.summary().startswith("MODEL'S DERIVATIVE IS WRONG: ")
    assert f"Model: {report.model}." in str(report)
    data = json.loads(report.to_json())
    assert (data["ok"], data["model"]["ok"], data["model"]["kind"]) == (False, False, "transpose")
    with pytest.raises(GradientMismatch, match=r"^mine: .* d = 100: model's derivative is wrong: the pull-back of "):
        report.raise_if_disagree()


def test_a_route_that_is_not_independent_confirms_nothing(monkeypatch):
    report = with_routes(monkeypatch, route("cousin", of_reference(), independent=False))
    assert report.rows[1].verdict == "agrees"
    assert not report.ok


def test_a_witness_cannot_spoil_theta(monkeypatch):
    def greedy(problem, theta):
        result = of_reference()(problem, theta)
        theta += 1.0
        return result

    report = with_routes(monkeypatch, route("greedy", greedy), route("good", of_reference()))
    assert report.ok


def test_progress_is_told(monkeypatch):
    events = []
    problem = bg.problems.load("synthetic")
    bg.verify(problem, np.zeros(100), routes=["hpgd"], progress=lambda event, name: events.append((event, name)))
    assert events == [("start", "adjoint"), ("end", "adjoint"), ("start", "hpgd"), ("end", "hpgd")]
