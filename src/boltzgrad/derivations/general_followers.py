r"""Followers with a reference, a temperature that moves, a long-run average, a penalty, a cross term."""

from __future__ import annotations

from typing import Any

from sympy import Derivative, exp, log

from boltzgrad.derivations.derivation import Claim, Derivation, Mutant
from boltzgrad.derivations.instances.actions import random_actions
from boltzgrad.derivations.instances.averages import random_average
from boltzgrad.derivations.instances.lqr import random_lqr
from boltzgrad.derivations.kit.methods import Operators, Sums
from boltzgrad.derivations.kit.vocabulary import Rule
from boltzgrad.derivations.patterns import chain, concluded
from boltzgrad.derivations.symbols import actions as s
from boltzgrad.derivations.symbols import averages as v
from boltzgrad.derivations.symbols import lqr as q

# One state: a reference κ > 0 and a temperature T, both functions of θ.
_Z = s.over_actions(s.kappa * exp(s.q / s.tau))
_V = s.tau * log(_Z)
_PI = s.kappa * exp(s.q / s.tau) / _Z
_KL = s.over_actions(s.mu * (log(s.mu) - log(s.kappa) - (s.q - _V) / s.tau))

kl_follower = Derivation(
    name="kl-follower",
    title="A reference policy is a reward",
    source="SoBiRL 2.2 (regulariser KL); the follower of language models' post-training",
    equations=("SoBiRL 2.2",),
    text=r"""With a reference $\pi^0$ the follower is paid $-\tau\,\mathrm{KL}(\mu\|\pi^0)$. Its mean reward falls short of
    $V=\tau\log\sum_a\pi^0e^{Q/\tau}$ by exactly $\tau\,\mathrm{KL}(\mu\|\pi^*)$ with $\pi^*=\pi^0e^{(Q-V)/\tau}$; and both
    are those of a follower with entropy whose reward is $r_F+\tau\log\pi^0$. An action that the reference does not have is
    one whose reward is minus infinity.""",
    assumptions=("temperature τ > 0", "π⁰ > 0 on the actions that are there"),
    steps=(
        Claim(s.over_actions(_PI), 1, "normalised by Z", "π* sums to one"),
        Claim(
            _V,
            s.tau * log(s.over_actions(exp((s.q + s.tau * log(s.kappa)) / s.tau))),
            "π⁰ = exp(log π⁰)",
            "as a reward",
        ),
    ),
    statement=Claim(
        s.over_actions(s.mu * (s.q - s.tau * (log(s.mu) - log(s.kappa)))) + s.tau * _KL,
        _V,
        "log π* = log π⁰ + (Q − V)/τ, and μ sums to one",
        "best answer",
        (s.ANY_POLICY,),
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the reference forgotten: entropy for KL", s.V),
        Mutant("the reference outside of the sum", s.tau * log(s.Z) + s.over_actions(s.mu * log(s.kappa)) * s.tau),
        Mutant(
            "τ forgotten before log π⁰", s.tau * log(s.over_actions(exp((s.q + log(s.kappa)) / s.tau))), "as a reward"
        ),
    ),
)

# The same with a temperature that is a function of θ.
_Z_T = s.over_actions(s.kappa * exp(s.q / s.T))
_V_T = s.T * log(_Z_T)
_PI_T = s.kappa * exp(s.q / s.T) / _Z_T
_RELATIVE = (s.q - _V_T) / s.T  # log π* − log π⁰
_dT = Derivative(s.T, s.x)
_LIKE_A_REWARD = s.dq + s.T * Derivative(s.kappa, s.x) / s.kappa - _RELATIVE * _dT

rates = Derivation(
    name="rates-as-rewards",
    title="A reference or a temperature that moves acts like a reward that does",
    source="not in the papers",
    equations=("follower with a reference and a temperature that move",),
    text=r"""Where $\pi^0$ and $\tau$ move with θ, $\nabla V$ and $\nabla\log\pi^*$ are what they are for fixed ones, with
    $u=\nabla Q+\tau\nabla\log\pi^0-(\log\pi^*-\log\pi^0)\nabla\tau$ in place of $\nabla Q$. So $\partial J/\partial\log\pi^0
    =\tau m$ and $\partial J/\partial\tau=-\sum m\,(\log\pi^*-\log\pi^0)$, with $m=\partial J/\partial r_F$: in a state $s$ with
    a temperature of its own, $-y(s)\,\mathrm{KL}(\pi^*\|\pi^0)-\sum_aw(\log\pi^*-\log\pi^0)$, since $m=w+\pi^*y$.""",
    assumptions=("τ > 0", "π⁰ > 0 on the actions that are there"),
    steps=(
        Claim(
            Derivative(_V_T, s.x),
            s.over_actions(_PI_T * _LIKE_A_REWARD),
            "the derivative of τ log Σ π⁰ exp(Q/τ)",
            "∇V",
        ),
    ),
    statement=Claim(
        Derivative(log(s.kappa) + _RELATIVE, s.x),
        (_LIKE_A_REWARD - s.over_actions(_PI_T * _LIKE_A_REWARD)) / s.T,
        "log π* = log π⁰ + (Q − V)/τ, differentiated",
        "∇log π*",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the temperature held", (s.dq + s.T * Derivative(s.kappa, s.x) / s.kappa
               - s.over_actions(_PI_T * (s.dq + s.T * Derivative(s.kappa, s.x) / s.kappa))) / s.T),
        Mutant("the reference held", (s.dq - _RELATIVE * _dT - s.over_actions(_PI_T * (s.dq - _RELATIVE * _dT))) / s.T),
        Mutant("entropy's temperature: −log π* for −(log π* − log π⁰)",
               s.over_actions(_PI_T * (_LIKE_A_REWARD - log(s.kappa) * _dT)), "∇V"),
        Mutant("the temperature's term with the wrong sign",
               s.over_actions(_PI_T * (_LIKE_A_REWARD + 2 * _RELATIVE * _dT)), "∇V"),
    ),
)  # fmt: skip

# The follower is paid e of y, the leader's reward, as well.
_W_E = exp((s.q + s.e * s.y) / s.tau)
_V_E = s.tau * log(s.over_actions(_W_E))


def _mean_e(f: Any) -> Any:
    """The mean under the perturbed answer π_ε."""
    return s.over_actions(_W_E * f) / s.over_actions(_W_E)


def _covariance_e(f: Any, g: Any) -> Any:
    return (_mean_e(f * g) - _mean_e(f) * _mean_e(g)) / s.tau


_dy = Derivative(s.y, s.x)

penalty = Derivation(
    name="penalty-derivative",
    title="The hypergradient as a derivative of the follower's own value",
    source="not in the papers; PBRL's value penalty is its difference quotient",
    equations=("∇J_L from the follower's value alone",),
    text=r"""Pay the follower $\varepsilon$ of the leader's reward $y$ as well. The derivative of its soft value in
    $\varepsilon$ is the leader's mean reward, so that $\nabla J_L=\partial_\varepsilon\nabla V_\varepsilon$ at zero:
    $\nabla V_\varepsilon$ is the mean of $\nabla(Q+\varepsilon y)$, first order only, and what the mean of any function
    does as $\varepsilon$ moves is its covariance with $y$. PBRL's $\lambda[V(r_F+r_L/\lambda)-V(r_F)]$ is the one-sided
    quotient with $\varepsilon=1/\lambda$: it is off by $1/(2\lambda)$ of the variance below.""",
    assumptions=("one discount and one kernel for both players", "τ > 0"),
    steps=(
        Claim(Derivative(_V_E, s.e), _mean_e(s.y), "the derivative of log-sum-exp", "∂V/∂ε"),
        Claim(Derivative(_V_E, s.x), _mean_e(s.dq + s.e * _dy), "and in θ", "∇V"),
        Claim(Derivative(_V_E, s.e, 2), _covariance_e(s.y, s.y), "a variance: what the quotient is off by", "∂²V/∂ε²"),
        Claim(
            Derivative(_mean_e(s.h), s.e),
            _covariance_e(s.h, s.y),
            "the mean of any function of the action, such as ∇(Q + εy)",
            "∂E/∂ε",
        ),
    ),
    statement=Claim(
        Derivative(_mean_e(s.y), s.x),
        _mean_e(_dy) + _covariance_e(s.dq + s.e * _dy, s.y),
        "the other order of the two derivatives: the covariance is what ∂E/∂ε makes of ∇(Q + εy), the mean of ∇y its own",
        "∇∂V/∂ε",
    ),
    method=Sums(),
    instance=random_actions,
    mutants=(
        Mutant("the policy held while ε moves", _mean_e(_dy)),
        Mutant("the gradient of the leader's reward forgotten", _covariance_e(s.dq + s.e * _dy, s.y)),
        Mutant("τ lost in the covariance", _mean_e(_dy) + s.tau * _covariance_e(s.dq + s.e * _dy, s.y)),
        Mutant("the mean of the squares for the variance", _mean_e(s.y**2) / s.tau, "∂²V/∂ε²"),
    ),
)

_CHAINS = Operators(v.AVERAGE)
_MOVED = v.Pi * (v.dr + v.dP * v.h)
_POISSON = Claim(
    v.one_S * v.dg + v.dh,
    _MOVED + v.Pi * v.P * v.dh,
    "the average's optimality equation, differentiated; the policy's own motion drops out (`envelope`)",
    "∇ of the equation",
    (v.ENVELOPE,),
)
_WEIGHTED = Claim(
    v.d * v.one_S * v.dg,
    v.d * _MOVED,
    "d ΠP = d: what ∇h contributes cancels",
    "weighted by d",
    (Rule(v.one_S * v.dg, _MOVED + v.Pi * v.P * v.dh - v.dh, _POISSON.because, _POISSON),),
)
_ONE = Claim(v.d * v.one_S * v.dg, v.dg, "d sums to one", "Σ d", (v.DISTRIBUTION,))
_CYCLE = chain(
    v.R * v.Pi * v.enters,
    (v.R * (v.one_S - v.Pi * v.P_cut * v.one_S), "whoever does not go on enters s₀", "a cycle, a", (v.ENTERS,)),
    (v.one_S, "R(I − ΠP̂) = I", "a cycle, b", (v.RESOLVENT,)),
)

average = Derivation(
    name="average-gain",
    title="The derivative of a long-run average, and what a cycle pays",
    source="not in the papers",
    equations=("long-run averages",),
    text=r"""The follower's average $g$ and bias $h$ solve $h+g=\tau\log\sum_ae^{(r_F+Ph)/\tau}$. Then $\nabla
    g=d\,\Pi(\nabla r_F+\nabla P\,h)$ with the stationary distribution $d$: neither $\nabla h$ nor the policy's motion
    counts, so a table may take $g$ for a number that moves by that. Cut the chain where it enters $s_0$:
    $R=(I-\Pi\hat P)^{-1}$. A reward $p(s_0|s,a)$ then pays exactly one a cycle, whatever the policy: with $J\,p(s_0|s,a)$
    more and $J$ a step less, one cycle pays the leader's average, and its derivative is the average's.""",
    assumptions=("one recurrent class", "rows of the kernel sum to one"),
    steps=(_POISSON, _WEIGHTED, _ONE),
    statement=Claim(
        v.dg,
        v.d * _MOVED,
        "both together",
        "∇g",
        (
            Rule(v.d * v.one_S * v.dg, v.d * _MOVED, _WEIGHTED.because, _WEIGHTED),
            Rule(v.dg, v.d * v.one_S * v.dg, _ONE.because, _ONE),
        ),
        v.BY_THE_STEPS,
    ),
    also=(*_CYCLE, concluded(_CYCLE, "one a cycle", "a cycle pays one")),
    method=_CHAINS,
    instance=random_average,
    mutants=(
        Mutant("∇P h forgotten", v.d * v.Pi * v.dr),
        Mutant("the start's distribution for the stationary one", v.rho * _MOVED),
        Mutant("the bias moves the average", v.d * _MOVED + v.rho * v.dh),
        Mutant("a cycle pays its length", v.R * v.one_S, "a cycle pays one"),
    ),
)

_QUADRATIC = Operators(q.LQR)

cross_term = Derivation(
    name="lqr-cross-term",
    title="A cross term is a change of the input",
    source="not in the papers; dlqr(A, B, Q, R, N)",
    equations=("cross term of quadratic costs",),
    text=r"""With $C=R^{-1}N'$ and $v=u+Cx$ the cost $x'Qx+2x'Nu+u'Ru$ has no cross term, $x'(Q-NC)x+v'Rv$, and the plant is
    $x^+=(A-BC)x+Bv$. So the regulator of $(A,B,Q,R,N)$ is that of $(A-BC,B,Q-NC,R)$, its gain $C$ larger; the closed loop is
    the same.""",
    assumptions=("R positive definite",),
    steps=(
        Claim(
            q.A * q.x + q.B * q.u,
            (q.A - q.B * q.Shift) * q.x + q.B * (q.u + q.Shift * q.x),
            "what is taken from A is given to u",
            "plant",
        ),
    ),
    statement=Claim(
        q.xt * q.Q * q.x + q.xt * q.Cross * q.u + q.ut * q.Crosst * q.x + q.ut * q.R * q.u,
        q.xt * (q.Q - q.Cross * q.Shift) * q.x + (q.ut + q.xt * q.Shiftt) * q.R * (q.u + q.Shift * q.x),
        "the square is completed: RC = N'",
        "cost",
        q.SHIFT,
    ),
    method=_QUADRATIC,
    instance=random_lqr,
    mutants=(
        Mutant("Q kept", q.xt * q.Q * q.x + (q.ut + q.xt * q.Shiftt) * q.R * (q.u + q.Shift * q.x)),
        Mutant(
            "u − Cx for u + Cx",
            q.xt * (q.Q - q.Cross * q.Shift) * q.x + (q.ut - q.xt * q.Shiftt) * q.R * (q.u - q.Shift * q.x),
        ),
        Mutant("A kept", q.A * q.x + q.B * (q.u + q.Shift * q.x), "plant"),
    ),
)  # fmt: skip

DERIVATIONS = (kl_follower, rates, penalty, average, cross_term)
