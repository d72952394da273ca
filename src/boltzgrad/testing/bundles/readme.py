"""The README of a bundle: what the files are, and how to have a gradient judged."""

from __future__ import annotations

from typing import Any

from boltzgrad.families.registry import named


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

{named(problem["family"]).formulas}
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
