"""The README of a bundle: what the files are, and how to have a gradient judged."""

from __future__ import annotations

from typing import Any

_FORMULAS = {
    "tabular": """\
    V_F(s) = τ log Σ_a exp(Q_F(s,a)/τ),   Q_F = r_F + γ_F Σ p(s'|s,a) V_F(s'),   π(a|s) ∝ exp(Q_F(s,a)/τ)
    V_L(s) = Σ_a π(a|s) Q_L(s,a),         Q_L = r_L + γ_L Σ p(s'|s,a) V_L(s'),   J = Σ_s ρ(s) V_L(s)""",
    "game": """\
    Q_F(s,a,b) = r_F + γ_F Σ p(s'|s,a,b) U(s'),   g(b|s,a) ∝ exp(Q_F/τ),   U(s) = Σ_a f(a|s) τ log Σ_b exp(Q_F/τ)
    (a follower that sees the leader's action; `constants` says what this one sees),   J = Σ_s ρ(s) V_L(s) under f and g""",
    "lqr": """\
    P = Q + γ_F A'PA − γ_F² A'PB M⁻¹B'PA,   M = R + γ_F B'PB,   K = γ_F M⁻¹B'PA,   u ~ N(−K x, (τ/2) M⁻¹)
    J = E Σ_t γ_L^t (c − x'Q_L x − u'R_L u + bump(x)),   over `horizon` steps (null: for ever)""",
}


def _cell(text: str) -> str:
    """Text for a cell of a table, in which a bar would begin the next cell."""
    return text.replace("|", "\\|")


def readme(manifest: dict[str, Any]) -> str:
    """The text, from the manifest alone."""
    problem, errors = manifest["problem"], manifest["errors"]
    bound = "none (vacuous)" if errors["gradient_bound"] is None else f"{errors['gradient_bound']:.2g}"
    rows = [
        f"| `{x['file']}` | {' × '.join(map(str, x['shape'])) or 'a number'} | {', '.join(x['axes'])} | {_cell(x['meaning'])} |"
        for x in manifest["arrays"].values()
    ]
    omitted = [f"- {name}: {why}" for name, why in manifest["omitted"].items()]
    options = "".join(f", {k} = {v}" for k, v in (problem["options"] or {}).items())
    several = (
        "\nThe files of context c are below `context-c/`; J and ∇J are those of the mean over contexts.\n"
        if manifest["constants"].get("contexts", 1) > 1
        else ""
    )
    jacobians = any(name.split("/")[-2:-1] == ["jacobian"] for name in manifest["arrays"])
    differences = (
        "\nJ along θ: the arrays at θ + h·u are `model/X` + h · `jacobian/X` · u to first order, and ∇J depends on no more than "
        "that; so finite differences of your J along these lines are finite differences in θ.  By the chain rule, ∇J is the "
        "sum of `cotangent/X` · `jacobian/X` over all arrays"
        f"{' plus `outside`' if 'outside' in manifest['arrays'] else ''}.\n"
        if jacobians
        else ""
    )
    return f"""# Reference bundle: {problem["name"] or "problem"}{options}

{problem["size"]}, d = {problem["parameters"]}; θ: {manifest["theta_source"] or "given"}.
Made by boltzgrad {manifest["boltzgrad"]}.

J(θ) = {manifest["value"]!r}.  The gradient's entries are right to {bound} (proved), {errors["gradient_estimate"]:.2g} (estimated).

{_FORMULAS[problem["family"]]}
{several}{differences}
## Have a gradient judged

Write the d entries of your ∇J(θ), in the order of θ, as `.npy`, as a JSON list, or as text with one number a line:

    boltzgrad check . --gradient yours.json

It says yes, or which coordinate is off by how much{" and which known mistake it looks like" if problem["options"] is not None else ""}.  The exit status is 0, 1 or 2 (wrong use).
By hand: no entry may differ from that of `gradient.npy` by more than that of `allowed.npy`.

## Files

`bundle.json` holds the constants and the table below; `schema.json` describes it.  Arrays are NumPy's `.npy` version 1.0, little-endian, in C
order (the last axis varies fastest).  `sha256sum -c SHA256SUMS` checks that nothing was altered.

| file | shape | axes | meaning |
| --- | --- | --- | --- |
{chr(10).join(rows)}
{chr(10).join(["", "Left out:", "", *omitted, ""]) if omitted else ""}"""
