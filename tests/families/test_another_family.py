"""A family from outside, in one file: registered, it has everything that the library's own have."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import boltzgrad as bg
from boltzgrad.cli import main
from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import meaning
from boltzgrad.core.hypergradient import EPS, Hypergradient
from boltzgrad.core.linearise import Linearised, traced_jvp, traced_vjp
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.route import Route, RouteResult, always
from boltzgrad.families import registry
from boltzgrad.families.content import described
from boltzgrad.families.drawing.scalars import quarters
from boltzgrad.families.family import Answer, Content, Entry, Family
from boltzgrad.families.mistake import WrongFormula, mutants_of
from boltzgrad.families.remade import Line
from boltzgrad.testing import assert_follower, assert_hypergradient, bundles, check_hypergradient
from boltzgrad.testing import strategies as bst
from boltzgrad.verify.mutants import everything
from boltzgrad.verify.tolerances import Verdict
from boltzgrad.witnesses.differences import Evaluator, difference_routes


@dataclasses.dataclass(frozen=True, eq=False)
class Payoffs:
    """What each of A arms pays either player."""

    follower: np.ndarray = meaning("the follower's payoff of each arm", "arm")
    leader: np.ndarray = meaning("the leader's payoff of each arm", "arm")

    def parts(self):
        return self.follower, self.leader


class Bandit(ParametricProblem):
    """One choice among A arms: π ∝ exp(r_F(θ)/τ), J = Σ π r_L(θ)."""

    def __init__(self, payoffs, *, dim, temperature, name="bandit"):
        super().__init__(dim=dim, name=name)
        self.payoffs, self.temperature = payoffs, temperature

    def linearise(self, theta):
        values, back = traced_vjp(self.payoffs, theta)
        push = traced_jvp(self.payoffs, theta)
        return Linearised(
            Payoffs(*map(np.asarray, values)), lambda c: back(c.parts()), lambda u: Payoffs(*push(u)), self.dim
        )


def boltzmann(r, tau):
    e = np.exp((r - r.real.max()) / tau)
    return e / e.sum()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BanditHypergradient(Hypergradient):
    """∇J = Σ π ∇r_L + Cov_π(∇r_F, r_L)/τ."""

    policy: np.ndarray
    cotangent: Payoffs
    linearised: Linearised

    @property
    def size(self):
        return f"{self.policy.size} arms"

    @property
    def solution(self):
        return "closed form"

    def _coordinate_bounds(self, among):
        return np.full(len(among), np.inf)  # nobody has proved one

    def _coordinate_estimates(self):
        steps = 1.0 + np.abs(self.linearised.model.follower).max() / self.problem.temperature
        return 8.0 * EPS * steps * self._term_sizes()

    def _term_sizes(self):
        """Of r_L and J apart: they cancel in the Benefit."""
        size = self.policy * (np.abs(self.linearised.model.leader) + abs(self.value)) / self.problem.temperature
        return self.array_map.root_sum_squares((size, self.policy))

    def _value_scale(self):
        return float(self.policy @ np.abs(self.linearised.model.leader))

    def _remaining_steps(self):
        return 1.0

    def _array_map(self):
        at, problem = self.linearised, self.problem
        return ArrayMap(
            theta=self.theta, names=("follower", "leader"), values=at.model.parts(),
            scales=(problem.temperature, float(np.abs(at.model.leader).max()) or 1.0),
            evaluate=lambda t: tuple(map(np.asarray, problem.payoffs(t))),
            pull=lambda parts: at.pullback(Payoffs(*parts)), push=lambda u: at.pushforward(u).parts(),
            again=lambda t: solve(problem, t).array_map,
        )  # fmt: skip


def solve(problem, theta, *, warm_start=None, tolerance=None):
    theta = problem.check_theta(theta)
    at = problem.linearise(theta)
    policy = boltzmann(at.model.follower, problem.temperature)
    value = float(policy @ at.model.leader)
    cotangent = Payoffs(policy * (at.model.leader - value) / problem.temperature, policy)
    return BanditHypergradient(value, at.pullback(cotangent), theta, problem, policy, cotangent, at)


class Sampled(Evaluator):
    def __init__(self, problem):
        self.problem = problem

    def __call__(self, theta):
        follower, leader = map(np.asarray, self.problem.payoffs(theta))
        return complex(boltzmann(follower, self.problem.temperature) @ leader)

    def units(self, theta):
        return solve(self.problem, theta).units


def jacobian(problem, theta):
    """∇π by the quotient rule, an arm at a time."""
    at = problem.linearise(theta)
    weights = np.exp(at.model.follower / problem.temperature - np.max(at.model.follower) / problem.temperature)
    gradient = np.zeros(problem.dim)
    for j, column in enumerate(at.columns()):
        slope = weights * column.follower / problem.temperature
        policy = slope / weights.sum() - weights * slope.sum() / weights.sum() ** 2
        gradient[j] = policy @ at.model.leader + weights @ column.leader / weights.sum()
    return RouteResult(float(weights @ at.model.leader / weights.sum()), gradient, 0.0)


class Formula(WrongFormula):
    mistake = "none"

    def gradient(self):
        at, tau = self.problem.linearise(self.theta), self.problem.temperature
        policy = boltzmann(at.model.follower, tau)
        return at.pullback(Payoffs(policy * self.benefit(policy, at.model.leader) / tau, policy))

    def benefit(self, policy, leader):
        return leader - policy @ leader


class Uncentred(Formula):
    mistake = "r_L for the Benefit"

    def benefit(self, policy, leader):
        return leader


class Stopped(Formula):
    mistake = "the follower's answer is not differentiated"

    def benefit(self, policy, leader):
        return 0.0 * leader


def content(reference):
    model = reference.linearised.model
    entries = described(model, "model") | described(reference.cotangent, "cotangent", model)
    entries["follower/policy"] = Entry(reference.policy, "π(a)", "arm")
    columns = ({f"model/{k}": x for k, x in vars(c).items()} for c in reference.linearised.columns())
    return Content(entries, {"temperature": reference.problem.temperature}, columns)


def remade(theta, constants, array, name):
    line = Line(theta, array)
    return Bandit(
        lambda t: (line.at(t, "follower"), line.at(t, "leader")), dim=theta.size, temperature=constants["temperature"]
    )


def answer(problem, theta, context):
    return Answer({"policy": solve(problem, theta).policy}, {"policy": 4.0 * EPS}, 1.0)


@st.composite
def bandits(draw):
    arms, dim = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    F, L = draw(quarters((arms, dim))), draw(quarters((arms, dim)))
    base = draw(quarters((arms,)))
    return Bandit(
        lambda t: (anp.dot(F, t), base + anp.dot(L, t)), dim=dim, temperature=draw(st.sampled_from((0.5, 1.0)))
    )


BANDITS = Family(
    "bandit", Bandit, solve,
    (Route("quotient rule", "∇π an arm at a time", jacobian, always), *difference_routes(Sampled, "closed form")),
    describe=lambda problem: {"size": "a few arms"},
    mistakes=SimpleNamespace(Formula=Formula, MUTANTS=mutants_of(Formula)),
    factors=lambda reference: {"τ": reference.problem.temperature, "1/τ": 1.0 / reference.problem.temperature},
    answer=answer, draw=bandits, content=content, remade=remade, formulas="    π(a) ∝ exp(r_F(a)/τ),   J = Σ π r_L",
)  # fmt: skip


def example():
    """For the command line: `--problem somebodys:example`."""
    rows = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 0.25], [0.5, 0.0, -0.75], [-0.25, 1.0, 1.0]])
    return Bandit(lambda t: (anp.dot(rows, t), anp.sin(anp.dot(rows[::-1], t))), dim=3, temperature=0.5)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_families", list(registry.families()))
    registry.register(BANDITS)


THETA = np.array([0.3, -0.7, 1.1])


def test_it_is_nobodys_before():
    registry._families.remove(BANDITS)
    with pytest.raises(bg.errors.InvalidOption, match="expected one of ConfigurableMDP, MarkovGame, LinearQuadratic"):
        bg.hypergradient(example(), THETA)


def test_a_name_is_taken_once():
    with pytest.raises(bg.errors.InvalidOption, match="'bandit' already"):
        registry.register(BANDITS)


def test_its_witnesses_agree_and_a_wrong_reference_is_found(monkeypatch):
    report = bg.verify(example(), THETA)
    report.raise_if_disagree()
    assert {r.route for r in report.agreeing} == {"quotient rule", "complex-step", "differences"}
    assert json.loads(report.to_json())["ok"]
    assert "4 arms" in report.to_html()
    wrong = lambda *a, **k: dataclasses.replace(solve(*a, **k), gradient=1.001 * solve(*a, **k).gradient)  # noqa: E731
    registry._families[-1] = dataclasses.replace(BANDITS, reference=wrong)
    assert not bg.verify(example(), THETA).ok


def test_its_mistakes_are_named():
    problem = example()
    assert {m.name for m in mutants_of(Formula)} <= {m.name for m in everything()}
    assert_hypergradient(solve(problem, THETA).gradient, problem, THETA)
    for wrong in (Uncentred, Stopped):
        check = check_hypergradient(wrong(problem, THETA).gradient(), problem, THETA)
        assert check.verdict == Verdict.DISAGREES
        assert wrong.mistake in str(check)
    assert "τ × ∇J" in str(
        check_hypergradient(0.5 * solve(problem, THETA).gradient, problem, THETA)
    ) or "½ × ∇J" in str(check_hypergradient(0.5 * solve(problem, THETA).gradient, problem, THETA))


def test_its_follower_is_held_against_the_exact_one():
    problem, right = example(), solve(example(), THETA).policy
    assert_follower({"policy": right}, problem, THETA)
    with pytest.raises(AssertionError, match="not the follower's answer"):
        assert_follower({"policy": right[::-1]}, problem, THETA)


@given(st.data())
def test_its_random_problems_are_among_all(data):
    problem, theta = data.draw(bst.problems_at(bandits()))
    (row,) = [row for row in bg.verify(problem, theta, routes=["quotient rule"]).rows if row.route != "adjoint"]
    assert row.verdict in (Verdict.AGREES, Verdict.ZERO), row
    assert BANDITS.draw in [family.draw for family in registry.families()]


def test_its_bundle_is_written_read_and_judged(tmp_path):
    problem, gradient = example(), solve(example(), THETA).gradient
    folder = bundles.export(problem, THETA, tmp_path / "bandit")
    assert "J = Σ π r_L" in (folder / "README.md").read_text(encoding="utf-8")
    assert bundles.check(folder, gradient).ok
    assert not bundles.check(folder, Stopped(problem, THETA).gradient()).ok


def test_the_command_line_takes_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "somebodys", sys.modules[__name__])
    assert main(["verify", "--problem", "somebodys:example"]) == 0
    assert "quotient rule" in capsys.readouterr().out
