r"""Statements, proofs and checks as they are read: LaTeX and Markdown, made from the objects, never typed beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter

from boltzgrad.derivations.symbols import actions as s

if TYPE_CHECKING:
    from boltzgrad.derivations.derivation import Claim, Derivation
    from boltzgrad.derivations.results import Check, Proof, Rejections

# Functions of the action (of the next state, of a step), as the text calls them.
_FUNCTIONS = {
    "q": "Q_F",
    "y": "Q_L",
    "w": "W",
    "h": "h",
    "mu": r"\mu",
    "p": "p",
    "level": "V",
    "mu_i": r"\mu",
    "w_k": "p",
}
_FUNCTIONS |= {"Qk": "Q^*", "Vk": "V^*", "kappa": r"\pi^0", "grad": "g", "bias": "b"}
_FUNCTIONS |= {  # of two policies at one state, and what is missing to their bounds
    "own": r"\pi^\circ",
    "best": r"\pi^*",
    "above_least": r"\sigma_l",
    "inside": r"\sigma_\delta",
    "convex": r"\sigma",
    "up": r"\delta^+",
    "down": r"\delta^-",
    "high": "c^-",
    "low": "c^+",
}
_Z, _Z_W, _VALUE, _PI, _LAW = sympy.symbols("Z Z_W V_F pi_star_of_a pi_star", commutative=True)
_NAMES = {_VALUE: "V_F", _PI: r"\pi^*(a)", _LAW: r"\pi^*"}
_WEIGHT = sympy.exp(s.q / s.tau)


class _Mean(sympy.Expr):  # type: ignore[misc]
    """Σ_a π(a)·(…), as it is printed."""

    def __new__(cls, body: Any, law: Any) -> Any:
        return sympy.Expr.__new__(cls, body, law)


def _familiar(expression: Any) -> Any:
    """Z, V_F, π* and E_π* for the sums that they stand for."""
    e = expression.xreplace({s.Z: _Z, s.Z_w: _Z_W})
    e = e.replace(_is_policy, lambda product: _without(product, _WEIGHT, 1 / _Z) * _PI)
    e = e.replace(_is_value, lambda product: _without(product, s.tau, sympy.log(_Z)) * _VALUE)
    return e.replace(_is_mean, lambda total: _Mean(total.function / _PI, _LAW))


def _familiar_symbols(claim: Claim) -> set[Any]:
    """What of Z, V_F and π* occurs in a claim as it is printed."""
    return {x for side in (claim.left, claim.right) for x in _familiar(sympy.sympify(side)).free_symbols}


def _is_policy(e: Any) -> bool:
    return bool(e.is_Mul and _WEIGHT in e.args and 1 / _Z in e.args)


def _is_value(e: Any) -> bool:
    return bool(e.is_Mul and s.tau in e.args and sympy.log(_Z) in e.args)


def _is_mean(e: Any) -> bool:
    return isinstance(e, sympy.Sum) and e.variables == [s.a] and _PI in sympy.Mul.make_args(e.function)


def _without(product: Any, *factors: Any) -> Any:
    return sympy.Mul(*(arg for arg in product.args if arg not in factors))


class _Printer(LatexPrinter):  # type: ignore[misc]
    """SymPy's printer with the field's notation: ∇ for derivatives along θ, Q_F(a) for functions of the action."""

    def _print_Derivative(self, e: Any) -> str:
        if e.variables != (s.x,):
            return str(super()._print_Derivative(e))
        inner = self._print(e.expr)
        plain = isinstance(e.expr, (AppliedUndef, sympy.Symbol))
        return rf"\nabla {inner}" if plain else rf"\nabla\left[{inner}\right]"

    def _print__Mean(self, e: Any, exp: Any = None) -> str:
        body, law = (self._print(arg) for arg in e.args)
        raised = "" if exp is None else f"^{{{exp}}}"
        return rf"\mathbb{{E}}_{{{law}}}{raised}\left[{body}\right]"

    def _print_Subs(self, e: Any) -> str:
        body, (variable,), (point,) = e.args
        return rf"\left.{self._print(body)}\right|_{{{self._print(variable)}={self._print(point)}}}"

    def _print_Function(self, e: Any, exp: Any = None) -> str:
        if not isinstance(e, AppliedUndef):
            return str(super()._print_Function(e, exp))
        name = _FUNCTIONS.get(e.func.__name__, e.func.__name__)
        where = ",".join(self._print(a) for a in e.args if a != s.x)
        raised = "" if exp is None else f"^{{{exp}}}"
        return rf"{name}{raised}({where})" if where else f"{name}{raised}"


def latex(expression: Any, names: Mapping[Any, str] | None = None) -> str:
    """LaTeX of an expression; `names` gives symbols their letters."""
    shown = _familiar(sympy.sympify(expression))
    return str(_Printer({"symbol_names": {**_NAMES, **(names or {})}, "ln_notation": False}).doprint(shown))


def equation(claim: Claim, derivation: Derivation) -> str:
    """LaTeX of a claim."""
    method = claim.method or derivation.method
    vocabulary = derivation.vocabulary_of(claim)
    names = vocabulary.latex_names() if vocabulary is not None else {}
    sign = r"\ge" if method.inequality else "="
    return f"{latex(claim.left, names)} {sign} {latex(claim.right, names)}"


def statement(derivation: Derivation) -> str:
    """A derivation as a page: what it says, under which assumptions, in which letters, and what it rests on."""
    lines = [f"### {derivation.title}", "", f"*{derivation.source}.*  {_flat(derivation.text)}", ""]
    lines += ["$$" + equation(derivation.statement, derivation) + "$$", ""]
    if derivation.assumptions:
        lines += ["Assumes: " + "; ".join(derivation.assumptions) + ".", ""]
    if derivation.legend():
        lines += ["| letter | maps | meaning |", "|---|---|---|"]
        lines += [
            f"| ${letter.latex}$ | {_spaces(letter.domain, letter.codomain)} | {letter.meaning.replace('|', '∣')} |"
            for letter in derivation.legend()
        ]
        lines.append("")
    elif {_Z, _VALUE, _PI, _LAW} & _familiar_symbols(derivation.statement):
        lines += [
            "Here $Z=\\sum_a e^{Q_F(a)/\\tau}$, so that $V_F=\\tau\\log Z$ and $\\pi^*(a)=e^{Q_F(a)/\\tau}/Z$.",
            "",
        ]
    if derivation.rests_on:
        lines += ["Rests on: " + ", ".join(f"`{d.name}`" for d in derivation.rests_on) + ".", ""]
    if derivation.finding:
        lines += [f"**Finding.** {_flat(derivation.finding)}", ""]
    return "\n".join(lines)


def proof(result: Proof, derivation: Derivation) -> str:
    """Every claim with its reason and how it was decided."""
    verdict = "proved" if result.proved else "**NOT proved**"
    lines = [f"`{result.name}`: {verdict}, {len(result.results)} claims, each decided on its own.", ""]
    for i, step in enumerate(result.results, 1):
        mark = "✓" if step.proved else "✗"
        label = f" {step.claim.label}" if step.claim.label else ""
        lines += [f"{i}.{label} — {step.claim.because} ({mark} {step.method})", ""]
        lines += ["   $$" + equation(step.claim, derivation) + "$$", ""]
        if not step.proved:
            lines += [f"   Left over: `{step.reason or step.remainder}`", ""]
    return "\n".join(lines)


def check(result: Check) -> str:
    """The defects of all claims, as powers of ten, so that the table is the same on every machine."""
    verdict = "holds in numbers" if result.ok else "**FAILS in numbers**"
    lines = [f"`{result.name}`: {verdict} (tolerance {result.tolerance:.0e}).", "", "| claim | defect |", "|---|---|"]
    lines += [
        f"| {claim.label or claim.because} | {order(defect)} |".replace("|R|", "R") for claim, defect in result.defects
    ]
    return "\n".join(lines)


def rejections(result: Rejections) -> str:
    """Every mutant: what is wrong with it, that it was not proved, and how far it is off."""
    lines = [f"`{result.name}`: {sum(r.rejected for r in result.rows)} of {len(result.rows)} mutants rejected.", ""]
    lines += ["| mistake | proved? | defect in numbers |", "|---|---|---|"]
    lines += [f"| {r.mistake} | {'**yes**' if r.proved else 'no'} | {r.defect:.2g} |" for r in result.rows]
    return "\n".join(lines)


def order(defect: float) -> str:
    """A defect up to rounding: exact sizes of rounding errors are no finding."""
    return "rounding" if defect < 1e-11 else f"{defect:.1e}"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _spaces(domain: str, codomain: str) -> str:
    if domain == codomain == "1":
        return "number"
    return f"on {codomain}" if domain == "1" else f"over {domain}" if codomain == "1" else f"{domain} → {codomain}"
