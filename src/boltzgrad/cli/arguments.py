"""Arguments as several commands take them: options of problems, a problem of one's own, θ."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from boltzgrad import problems
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.row_block import Rows
from boltzgrad.errors import BoltzgradError, InvalidOption, InvalidTheta

AGREEMENT, DISAGREEMENT, WRONG_USE = 0, 1, 2
"""Exit statuses."""


def option(text: str, flag: str = "--set") -> tuple[str, Any]:
    """OPTION=VALUE as a name and a Python value.  Raises: InvalidOption."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InvalidOption(f"{flag} {text!r}: expected OPTION=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def problem_arguments(command: argparse.ArgumentParser) -> None:
    """Name or factory, options and θ of a problem."""
    command.add_argument("name", nargs="?", help="a problem of the zoo (see `boltzgrad list`)")
    command.add_argument("--problem", metavar="MODULE:FACTORY", help="your own: a problem or a function that makes one")
    command.add_argument("--theta", default="0", metavar="zeros|SEED|FILE.npy", help="where to look (default: seed 0)")
    command.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the problem")


def chosen_problem(arguments: argparse.Namespace) -> ParametricProblem:
    """The problem that `problem_arguments` say.  Raises: InvalidOption, UnknownName."""
    if (arguments.name is None) == (arguments.problem is None):
        raise InvalidOption("give the name of a zoo problem, or --problem module:factory (one of them)")
    options = dict(option(text) for text in arguments.set)
    if arguments.name is not None:
        found: ParametricProblem = problems.load(arguments.name, **options)
        return found
    return own_problem(arguments.problem, options)


def own_problem(path: str, options: dict[str, Any]) -> ParametricProblem:
    """The problem at module:attribute, or what the factory there makes of `options`.  Raises: InvalidOption."""
    module_name, sign, attribute = path.partition(":")
    if not sign or not module_name or not attribute:
        raise InvalidOption(f"--problem {path!r}: expected module:factory")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidOption(f"--problem {path!r}: cannot import {module_name!r}: {reason}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidOption(f"--problem {path!r}: {module_name!r} has no {attribute!r}")
        found = getattr(found, part)
    if isinstance(found, ParametricProblem):
        if options:
            raise InvalidOption(f"--set goes with a factory; {path!r} is a finished problem")
        return found
    if not isinstance(found, Callable):  # type: ignore[arg-type]
        raise InvalidOption(f"--problem {path!r} is a {type(found).__name__}, expected a problem or a factory")
    try:
        problem = found(**options)
    except BoltzgradError:
        raise
    except Exception as error:
        hint = (
            "; a build(theta) is no factory: return ConfigurableMDP(build, dim=…)"
            if isinstance(error, TypeError)
            else ""
        )
        raise InvalidOption(f"--problem {path!r} failed: {type(error).__name__}: {error}{hint}") from error
    if not isinstance(problem, ParametricProblem):
        raise InvalidOption(f"--problem {path!r} returned a {type(problem).__name__}, expected a problem")
    return problem


def theta(problem: ParametricProblem | Rows, text: str) -> Any:
    """θ from "zeros", a seed, or a .npy file.  Raises: InvalidTheta."""
    if text == "zeros":
        return np.zeros(problem.dim)
    if text.isascii() and text.isdigit():
        return problem.initial_theta(seed=int(text))
    path = Path(text)
    if path.suffix != ".npy":
        raise InvalidTheta(f"--theta {text!r}: expected 'zeros', a seed (0, 1, …) or a .npy file")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidTheta(f"--theta {text}: cannot read it: {error}") from error
