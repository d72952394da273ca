"""One state and arbitrarily many actions: functions of the action under sums with a symbolic bound.

`x` is θ along one direction; every function that has it as an argument moves with θ.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Derivative, Sum, exp, log

from boltzgrad.derivations.kit.methods import Reading
from boltzgrad.derivations.kit.nodes import D
from boltzgrad.derivations.kit.numbers import PARAMETER
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.kit.words import NotATerm
from boltzgrad.derivations.symbols import mdp

a = sympy.Symbol("a", integer=True)
A = sympy.Symbol("A", integer=True, positive=True)
z = sympy.Symbol("z", integer=True)  # the next state, one of S
S = sympy.Symbol("S", integer=True, positive=True)
k = sympy.Symbol("k", integer=True)  # a step, one of H
H = sympy.Symbol("H", integer=True, positive=True)
x = PARAMETER
tau = mdp.tau
gamma, c, t, u, v = sympy.symbols("gamma c t u v", positive=True)
b, zeta = sympy.symbols("b zeta", real=True)
j, n, N = sympy.symbols("j n N", integer=True, nonnegative=True)


def function(name: str, **assumptions: Any) -> Any:
    """A function of the action that moves with θ."""
    return sympy.Function(name, **(assumptions or {"real": True}))(a, x)


def over_actions(summand: Any) -> Any:
    """Σ_a."""
    return Sum(summand, (a, 1, A))


q, y, w, h = (function(name) for name in "qywh")  # Q_F, Q_L, and any others
level = sympy.Function("level", real=True)(x)  # a value of the state that need not be the soft value
p = function("p", positive=True)  # the probabilities of one next state
mu = function("mu", positive=True)  # any policy
kappa = function("kappa", positive=True)  # a reference policy
T = sympy.Function("T", positive=True)(x)  # a temperature that moves
e = sympy.Symbol("e", real=True)  # how much of the leader's reward the follower is paid
Z = over_actions(exp(q / tau))
V = tau * log(Z)
pi = exp(q / tau) / Z
Z_w = over_actions(exp(w / tau))
V_w = tau * log(Z_w)
pi_w = exp(w / tau) / Z_w
dq = Derivative(q, x)


def mean(f: Any) -> Any:
    """E_π f."""
    return over_actions(pi * f)


ANY_POLICY = Rule(over_actions(mu), sympy.S.One, "a policy sums to one")


_OPERATORS = {
    mdp.Pi: mean,
    mdp.dPi: lambda f: over_actions(Derivative(pi, x) * f),
    mdp.E: lambda f: f,
}
_POLICY = {mdp.log_pi: (q - V) / tau, mdp.dlog_pi: Derivative((q - V) / tau, x), mdp.Q_F: q, mdp.dQ_F: dq}
_ONES = {mdp.one_S: sympy.S.One, mdp.one_SA: sympy.S.One}

# The follower's best answer: V_F is the soft value of Q_F.
_BEST = {
    **_POLICY,
    **_ONES,
    mdp.V_F: V,
    mdp.dV_F: Derivative(V, x),
    mdp.Q_L: y,
    mdp.V_L: mean(y),
    mdp.B: y - mean(y),
    mdp.f_pi: h,
}
# An iterate Q_F with its backup TV, beside the fixed point (V*, Q*); its own value V_F is anything.
_ITERATE = {
    **_POLICY,
    **_ONES,
    mdp.V_F: level,
    mdp.TV: V,
    mdp.V_star: V_w,
    mdp.Q_star: w,
    mdp.KL_up: over_actions(pi * ((q - V) - (w - V_w)) / tau),
    mdp.KL_down: over_actions(pi_w * ((w - V_w) - (q - V)) / tau),
}


def _reader(operators: dict[Any, Any], values: dict[Any, Any]) -> Reading:
    """The letters at one state: averages are sums over actions, functions of the state are constants."""

    def read(letter: Any) -> Any:
        if isinstance(letter, D):
            factor = reading.sides(letter.args[0])
            return lambda f: factor * f
        for table in (operators, values):
            if letter in table:
                return table[letter]
        raise NotATerm(f"{letter} has no reading at one state")

    reading = Reading(mdp.MDP, read)
    return reading


AT_ONE_STATE = _reader(_OPERATORS, _BEST)
OF_AN_ITERATE = _reader(
    {mdp.Pi: mean, mdp.E: _OPERATORS[mdp.E], mdp.Pi_star: lambda f: over_actions(pi_w * f)}, _ITERATE
)
