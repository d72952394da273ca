"""Statements at exact rational points: no rounding, no rewriting, only matrices of fractions (Schwartz-Zippel).

Every letter is a rational matrix, the derivatives come from implicit differentiation, and both sides must be equal, not
close.  This shares neither the proof kit's rules nor the floating-point instances.
"""

import random

import pytest
import sympy

from boltzgrad import derivations
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.symbols import mdp as m

S, A = 3, 2


def fraction(rng, low=-9, high=9):
    return sympy.Rational(rng.randint(low * 10, high * 10), rng.randint(7, 97))


def matrix(rng, rows, columns):
    return sympy.Matrix(rows, columns, lambda i, j: fraction(rng))


def laws(rng, rows, columns):
    raw = sympy.Matrix(rows, columns, lambda i, j: sympy.Rational(rng.randint(1, 60)))
    return sympy.Matrix(rows, columns, lambda i, j: raw[i, j] / sum(raw[i, k] for k in range(columns)))


def moves_of_laws(rng, rows, columns):
    raw = matrix(rng, rows, columns)
    return sympy.Matrix(rows, columns, lambda i, j: raw[i, j] - sum(raw[i, k] for k in range(columns)) / columns)


def averaging(weights):
    """Σ_a w(s,a) · as an S × SA matrix."""
    out = sympy.zeros(S, S * A)
    for s in range(S):
        for a in range(A):
            out[s, s * A + a] = weights[s, a]
    return out


def point(seed):
    """All letters of Theorem 1 at a random rational point."""
    rng = random.Random(seed)
    gamma_F, gamma_L, tau = sympy.Rational(7, 9), sympy.Rational(5, 8), sympy.Rational(3, 11)
    policy, P, dP = laws(rng, S, A), laws(rng, S * A, S), moves_of_laws(rng, S * A, S)
    rho, drho = laws(rng, 1, S), moves_of_laws(rng, 1, S)
    V_F, r_L, dr_L, dr_F = matrix(rng, S, 1), matrix(rng, S * A, 1), matrix(rng, S * A, 1), matrix(rng, S * A, 1)
    Pi, E = averaging(policy), averaging(sympy.ones(S, A)).T
    R_F, R_L = (sympy.eye(S) - gamma_F * Pi * P).inv(), (sympy.eye(S) - gamma_L * Pi * P).inv()
    u = dr_F + gamma_F * dP * V_F
    dV_F = R_F * Pi * u
    dQ_F = u + gamma_F * P * dV_F
    advantage = dQ_F - E * dV_F
    dpolicy = sympy.Matrix(S, A, lambda s, a: policy[s, a] * advantage[s * A + a] / tau)
    V_L = R_L * Pi * r_L
    Q_L = r_L + gamma_L * P * V_L
    dPi = averaging(dpolicy)
    dV_L = R_L * (dPi * Q_L + Pi * (dr_L + gamma_L * dP * V_L))
    dreg = sympy.Matrix([[fraction(rng)]])
    dJ = drho * V_L + rho * dV_L + dreg
    return {
        m.tau: tau, m.gamma_F: gamma_F, m.gamma_L: gamma_L,
        m.Pi: Pi, m.dPi: dPi, m.E: E, m.P: P, m.dP: dP, m.rho: rho, m.drho: drho,
        m.V_F: V_F, m.dV_F: dV_F, m.dQ_F: dQ_F, m.dr_F: dr_F, m.r_L: r_L, m.dr_L: dr_L,
        m.V_L: V_L, m.Q_L: Q_L, m.dV_L: dV_L, m.dQ_L: dr_L + gamma_L * dP * V_L + gamma_L * P * dV_L,
        m.one_S: sympy.ones(S, 1), m.one_SA: sympy.ones(S * A, 1), m.B: Q_L - E * V_L, m.R_L: R_L, m.R_F: R_F,
        m.W_F: (sympy.eye(S * A) - gamma_F * P * Pi).inv(), m.dJ: dJ, m.dreg: dreg,
    }  # fmt: skip


def value(expression, letters):
    e = sympy.sympify(expression)
    if isinstance(e, D):
        return sympy.diag(*value(e.args[0], letters))
    if e in letters:
        return letters[e]
    if e.is_number:
        return e
    parts = [value(a, letters) for a in e.args]
    if e.is_Add:
        shapes = [p.shape for p in parts if isinstance(p, sympy.MatrixBase)]
        square = shapes and shapes[0][0] == shapes[0][1]
        parts = [p if isinstance(p, sympy.MatrixBase) or not square else p * sympy.eye(shapes[0][0]) for p in parts]
        return sum(parts[1:], parts[0])
    if e.is_Mul:
        out = parts[0]
        for p in parts[1:]:
            out = out * p
        return out
    return parts[0] ** parts[1]


STATEMENTS = ("theorem-1", "adjoint-form", "hpgd-proposition-c-1", "follower-sensitivity", "hpgd-third-term")


def difference(claim, letters):
    return (value(claim.left, letters) - value(claim.right, letters)).applyfunc(sympy.nsimplify)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", STATEMENTS)
def test_both_sides_are_equal_fractions(name, seed):
    assert difference(derivations.get(name).statement, point(seed)).is_zero_matrix


@pytest.mark.parametrize("name", STATEMENTS)
def test_mutants_are_other_fractions(name):
    derivation, letters = derivations.get(name), point(1)
    for mutant in derivation.mutants:
        if mutant.label in ("", derivation.statement.label):
            assert not difference(derivation.mutant(mutant).statement, letters).is_zero_matrix, mutant.mistake


def test_the_numbers_are_exact():
    letters = point(0)
    assert all(entry.is_Rational for entry in letters[m.dJ])
    assert (letters[m.Pi] * letters[m.E]) == sympy.eye(S)
