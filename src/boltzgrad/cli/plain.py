"""Signs for a terminal that knows ASCII only: words and look-alikes where there would be question marks."""

from __future__ import annotations

import codecs

_ASCII = {
    "∇": "grad ", "∂": "d", "Δ": "D", "‖": "||", "√": "sqrt ", "Σ": "sum ", "∞": "inf", "×": "x", "·": "*", "−": "-", "–": "-",
    "—": "-", "─": "-", "│": "|", "…": "...", "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "±": "+-", "→": "->", "←": "<-",
    "↦": "->", "½": "1/2", "¼": "1/4", "²": "^2", "³": "^3", "⁻": "^-", "¹": "^1", "⁰": "^0", "⁵": "^5", "ᵀ": "^T", "₀": "_0",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda",
    "μ": "mu", "ν": "nu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "Π": "Pi", "Ω": "Omega", "∈": "in",
    "‘": "'", "’": "'", "“": '"', "”": '"', "✓": "ok", "✗": "x", "ℓ": "l", "𝔼": "E", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error("boltzgrad-ascii", _in_ascii)
ERRORS = "boltzgrad-ascii"
