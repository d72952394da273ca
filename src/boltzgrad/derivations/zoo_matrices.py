r"""The paper's linear-quadratic instances: what their matrices mean, proved for every θ."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy
from sympy import Derivative, ImmutableMatrix, MatMul, Rational

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.mdp import moving
from boltzgrad.derivations.kit.methods import Calculus
from boltzgrad.derivations.kit.methods import Rational as RationalMethod
from boltzgrad.derivations.kit.numbers import Instance

ZONES = 4
alpha = sympy.symbols("alpha1:5", real=True)  # insulation levels
beta = sympy.symbols("beta1:5", real=True)  # airflow levels of the edges 12, 23, 34, 41
x = sympy.symbols("x1:5", real=True)  # temperature deviations
level = sympy.Symbol("ell", real=True)  # a logit
k1, k2, x_1, x_2, action = sympy.symbols("k1 k2 z1 z2 a", real=True)
spread = sympy.Symbol("sigma", positive=True)

# (105)-(108): loss of zone i to the outside, and exchange of zone i along each edge of the ring.
LOSS = [Rational(n, 100) for n in (4, 3, 6, 5)]
EXCHANGE = {
    (0, 1): (0, Rational(5, 100)),
    (0, 3): (3, Rational(5, 100)),
    (1, 0): (0, Rational(3, 100)),
    (1, 2): (1, Rational(4, 100)),
    (2, 1): (1, Rational(4, 100)),
    (2, 3): (2, Rational(6, 100)),
    (3, 2): (2, Rational(3, 100)),
    (3, 0): (3, Rational(5, 100)),
}


def thermal_transition() -> Any:
    """A(θ), (104), as it is written down: entry by entry."""
    a, b = alpha, beta

    def c(n: int) -> Any:
        return Rational(n, 100)

    return ImmutableMatrix(
        [
            [1 + c(4) * (1 - a[0]) - c(5) * b[0] - c(5) * b[3], c(5) * b[0], 0, c(5) * b[3]],
            [c(3) * b[0], 1 + c(3) * (1 - a[1]) - c(3) * b[0] - c(4) * b[1], c(4) * b[1], 0],
            [0, c(4) * b[1], 1 + c(6) * (1 - a[2]) - c(4) * b[1] - c(6) * b[2], c(6) * b[2]],
            [c(5) * b[3], 0, c(3) * b[2], 1 + c(5) * (1 - a[3]) - c(5) * b[3] - c(3) * b[2]],
        ]
    )


def _balance(exchange: dict[Any, Any] = EXCHANGE, loss: int = 1) -> Any:
    """(100)-(103): a zone drifts by its insulation and exchanges heat along its two edges."""
    rows = []
    for i in range(ZONES):
        drift = x[i] + loss * LOSS[i] * (1 - alpha[i]) * x[i]
        rows.append(drift + sum(rate * beta[e] * (x[j] - x[i]) for (k, j), (e, rate) in exchange.items() if k == i))
    return ImmutableMatrix(rows)


_STATE = ImmutableMatrix(x)
_ONES = ImmutableMatrix([1] * ZONES)
_CENTRING = (sympy.eye(ZONES) - sympy.ones(ZONES, ZONES) / ZONES) / ZONES
_MEAN = sum(x) / sympy.Integer(ZONES)
_LOGISTIC = 1 / (1 + sympy.exp(-level))


def _numbers(rng: np.random.Generator) -> Instance:
    values: dict[Any, Any] = {symbol: float(rng.uniform(0.1, 0.9)) for symbol in (*alpha, *beta, spread)}
    values |= {symbol: float(rng.normal()) for symbol in (*x, level, k1, k2, x_1, x_2, action)}
    return Instance(values)


thermal = Derivation(
    name="thermal-control-matrices",
    title="Building thermal control: the matrix is the heat balance",
    source="BC-HG (99)-(111)",
    equations=tuple(f"BC-HG ({i})" for i in range(99, 112)),
    restored=True,
    text=r"""$A(\theta)x$ (104) is the balance (100)-(103): zone i drifts by $k_i(1-\alpha_i)$ of its own deviation and
    exchanges along the edges of the ring. Airflow cannot change equal temperatures, so full insulation has the
    eigenvalue 1 exactly. The leader's state cost is the population variance of the zones, a quadratic form
    (110)-(111), and levels are logistic in θ.""",
    assumptions=("coefficients of the published configuration",),
    steps=(
        Claim(
            MatMul(thermal_transition(), _ONES, evaluate=False),
            ImmutableMatrix([1 + LOSS[i] * (1 - alpha[i]) for i in range(ZONES)]),
            "row sums: the exchange cancels",
            "equal temperatures",
        ),
        Claim(
            (_STATE.T * _CENTRING * _STATE)[0],
            sum(z**2 for z in x) / sympy.Integer(ZONES) - _MEAN**2,
            "mean of squares less square of the mean",
            "(110)-(111), variance",
        ),
        Claim(
            Derivative(_LOGISTIC, level), _LOGISTIC * (1 - _LOGISTIC), "logistic levels", "∇level", method=Calculus()
        ),
    ),
    statement=Claim(thermal_transition() * _STATE, _balance(), "collect by zones", "(99)-(104)"),
    method=RationalMethod(),
    instance=_numbers,
    mutants=(
        Mutant("the matrix transposed", left=thermal_transition().T * _STATE),
        Mutant("insulation with the other sign", _balance(loss=-1)),
        Mutant(
            "the edges 23 and 41 exchanged",
            _balance({key: ({1: 3, 3: 1}.get(e, e), r) for key, (e, r) in EXCHANGE.items()}),
        ),
        Mutant(
            "the sample variance",
            (sum(z**2 for z in x) - ZONES * _MEAN**2) / sympy.Integer(ZONES - 1),
            "(110)-(111), variance",
        ),
    ),
)

GAME_A = ImmutableMatrix([[0, 1], [0, 0]])
GAME_B = ImmutableMatrix([0, Rational(1, 10)])
GAME_C = ImmutableMatrix([Rational(1, 10), 0])
_GAIN = ImmutableMatrix([[k1, k2]])
_CLOSED = GAME_A + GAME_C * _GAIN
_POINT = ImmutableMatrix([x_1, x_2])
_LAMBDA = sympy.Symbol("zeta", real=True)

lqr_game = Derivation(
    name="lqr-game-matrices",
    title="The bi-level LQR game: what the leader's gain can reach",
    source="BC-HG (56), (58), (113) with the published constants",
    equations=("BC-HG (113)",),
    restored=True,
    text=r"""$A_c=A+CK_\theta$ has the eigenvalues 0 and $k_1/10$ whatever $k_2$ is: the leader can only stretch one
    direction, and for the follower at rest the game is marginal exactly at $k_1=\pm10$. The observed disturbance
    has rank one.""",
    assumptions=("constants of the published configuration",),
    steps=(
        Claim(
            GAME_A * _POINT + GAME_C * action,
            _CLOSED * _POINT + GAME_C * (action - (_GAIN * _POINT)[0]),
            "(58)",
            "folding",
        ),
        Claim(
            MatMul(spread**2, GAME_C, GAME_C.T, evaluate=False),
            ImmutableMatrix([[spread**2 / 100, 0], [0, 0]]),
            "rank one: only the first coordinate is disturbed",
            "W = σ²CC'",
        ),
    ),
    statement=Claim(
        (_LAMBDA * sympy.eye(2) - _CLOSED).det(),
        _LAMBDA * (_LAMBDA - k1 / 10),
        "characteristic polynomial of A_c",
        "(113)",
    ),
    method=RationalMethod(),
    instance=lambda rng: Instance({**_numbers(rng).values, _LAMBDA: float(np.real(moving(rng)))}),
    mutants=(
        Mutant("k₂ for k₁", _LAMBDA * (_LAMBDA - k2 / 10)),
        Mutant("the leader's input through B", left=(_LAMBDA * sympy.eye(2) - GAME_A - GAME_B * _GAIN).det()),
        Mutant(
            "independent noise in both coordinates", spread**2 * sympy.ImmutableMatrix(sympy.eye(2)) / 100, "W = σ²CC'"
        ),
    ),
)

DERIVATIONS = (thermal, lqr_game)
