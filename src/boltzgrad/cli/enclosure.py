"""`boltzgrad enclose NAME`: J and ∇J to as many digits as are asked for, proved."""

from __future__ import annotations

import argparse
import json
from typing import Any

import boltzgrad
from boltzgrad.cli.arguments import AGREEMENT, chosen_problem, problem_arguments
from boltzgrad.cli.arguments import theta as at_theta
from boltzgrad.families.enclosure import Ball


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    enclose = commands.add_parser("enclose", help="J and ∇J in ball arithmetic, proved to as many digits as you like")
    problem_arguments(enclose)
    enclose.add_argument("--digits", type=int, default=30, metavar="N", help="of the largest entry (default: 30)")
    enclose.add_argument("--json", action="store_true", help="print JSON")
    enclose.set_defaults(run=_enclose)


def _enclose(arguments: argparse.Namespace) -> int:
    problem = chosen_problem(arguments)
    found = boltzgrad.enclose(problem, at_theta(problem, arguments.theta), arguments.digits)
    if arguments.json:

        def told(x: Ball) -> dict[str, Any]:
            return {"midpoint": x.midpoint, "radius": x.radius, "lower": x.lower, "upper": x.upper}

        out = {"problem": problem.name, "theta": found.theta.tolist(), "digits": found.digits, "bits": found.bits}
        out |= {"value": told(found.value), "gradient": [told(x) for x in found.gradient]}
        print(json.dumps(out, indent=2))
        return AGREEMENT
    print(f"J = {found.value}")
    for j, x in enumerate(found.gradient):
        print(f"∂J/∂θ[{j}] = {x}")
    return AGREEMENT
