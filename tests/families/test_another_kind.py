"""A kind of follower from outside, in one file: a model that says which table it is has everything that tables have."""

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.core.arrays import ArrayRecord, meaning
from boltzgrad.core.built import BuiltModel
from boltzgrad.core.checks import untraced
from boltzgrad.families.registry import witnesses
from boltzgrad.testing import assert_follower, bundles, check_hypergradient
from boltzgrad.verify.tolerances import Verdict


@dataclass(frozen=True, eq=False)
class Tolls(ArrayRecord):
    """What may depend on θ."""

    toll: Any = meaning("what a step along each edge costs", "state, action")
    temperature: Any = meaning("τ", "")


@dataclass(frozen=True, eq=False)
class Road(BuiltModel):
    """A driver on a graph: action a leads from s to target[s, a], costs 1 + toll, and −1 ends the trip; no discount.

    The leader collects the tolls.
    """

    target: np.ndarray
    toll: Any
    temperature: Any

    def arrays(self):
        return Tolls(
            self.toll, anp.asarray(self.temperature) if not hasattr(self.temperature, "_value") else self.temperature
        )

    def untraced(self):
        return Road(self.target, untraced(self.toll), untraced(self.temperature))

    def scales(self):
        return (1.0, 1.0)

    def plain(self):
        S, A = self.target.shape
        p = np.zeros((S, A, S))
        s, a = np.nonzero(self.target >= 0)
        p[s, a, self.target[s, a]] = 1.0
        return bg.TabularModel(
            p, np.eye(1, S)[0], -1.0 - self.toll, self.toll, follower_discount=1.0, leader_discount=1.0,
            temperature=self.temperature,
        )  # fmt: skip


TARGET = np.array([[1, 2], [3, 2], [3, 0], [-1, -1]])
THETA = np.array([0.3, -0.2, 0.5, 0.1])


def build(theta):
    return Road(TARGET, anp.reshape(anp.exp(anp.concatenate([theta, theta[::-1]])), (4, 2)), 0.3 + theta[0] ** 2)


def value(theta):
    """(J, V) by sweeps over the graph."""
    toll, tau = np.exp(np.concatenate([theta, theta[::-1]])).reshape(4, 2), 0.3 + theta[0] ** 2
    v, w = np.zeros(5), np.zeros(5)  # the last is the end of the trip
    for _ in range(500):
        q = -1.0 - toll + v[TARGET]
        v = np.append(q.max(axis=1) + tau * np.log(np.exp((q - q.max(axis=1, keepdims=True)) / tau).sum(axis=1)), 0.0)
    pi = np.exp((q - v[:4, None]) / tau)
    for _ in range(500):
        w = np.append((pi * (toll + w[TARGET])).sum(axis=1), 0.0)
    return w[0], v[:4]


def slopes():
    def slope(u, h):
        return (value(THETA + h * u)[0] - value(THETA - h * u)[0]) / (2 * h)

    return np.array([(4 * slope(u, 5e-4) - slope(u, 1e-3)) / 3 for u in np.eye(4)])


def test_it_has_what_tables_have(tmp_path):
    problem = bg.ConfigurableMDP(build, dim=4)
    ref = bg.hypergradient(problem, THETA)
    assert ref.value == pytest.approx(value(THETA)[0], rel=1e-12)
    np.testing.assert_allclose(ref.gradient, slopes(), rtol=1e-8)
    assert ref.error_bound < 1e-9
    report = bg.verify(problem, THETA)
    report.raise_if_disagree()
    assert {row.route for row in report.agreeing} == {route.name for route in witnesses(problem)}
    assert_follower({"V": value(THETA)[1]}, problem, THETA)
    folder = bundles.export(problem, THETA, tmp_path / "road")
    assert bundles.check(folder, ref.gradient).ok
    assert check_hypergradient(slopes(), problem, THETA, tolerance=1e-6).ok
    still = bg.ConfigurableMDP(
        lambda t: Road(TARGET, build(t).toll, 0.3 + THETA[0] ** 2), dim=4
    )  # τ's own derivative lost
    lost = bg.hypergradient(still, THETA).gradient
    assert check_hypergradient(lost, problem, THETA, tolerance=1e-6).verdict == Verdict.DISAGREES
