"""PyTorch: models written in it as problems, gradients computed in it checked, reference gradients inside of it.

    import torch
    import boltzgrad as bg

    def arrays(theta):
        return {"transition": P, "initial": rho, "follower_reward": theta.reshape(2, 2), "leader_reward": r}

    problem = bg.testing.torch.configurable_mdp(arrays, dim=4, follower_discount=0.9, leader_discount=0.95, temperature=0.5)
    bg.testing.torch.assert_hypergradient(torch.func.grad(my_J), problem, theta)      # yours against the reference
    bg.testing.torch.value(problem)(theta).backward()                                 # the reference inside of PyTorch

The reference gives your function float64 tensors.  Constant tensors held in single precision are taken as they are, and rows
of probabilities then normalised; a function that rounds to single precision *on the way* has derivatives of single
precision, and `boltzgrad.verify` says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import BoltzgradError, InvalidModel, InvalidOption, InvalidTheta, MissingExtra, NotDifferentiable
from boltzgrad.families.game.leader_policy import LeaderPolicy
from boltzgrad.families.lqr.problem import LinearQuadratic
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.families.tabular.problem import ConfigurableMDP
from boltzgrad.testing import assertions, foreign
from boltzgrad.testing.candidate import read_theta
from boltzgrad.testing.check import HypergradientCheck

try:
    import torch
except ImportError as error:
    raise MissingExtra("boltzgrad.testing.torch needs PyTorch: pip install 'boltzgrad[torch]'") from error

Arrays = Callable[[Any], Mapping[str, Any]]

_UNRAVEL = (
    "make them of theta inside: cut it with torch.split, or for a module use torch.func.functional_call(module, {name: piece "
    "of theta}, …), in the order of torch.nn.utils.parameters_to_vector(module.parameters())"
)


class _Torch(foreign.Foreign):
    """A PyTorch function θ → dict of tensors."""

    def __init__(self, function: Arrays) -> None:
        self.function = function

    def tensors(self, theta: Any) -> dict[str, Any]:
        """The arrays as tensors of real numbers on the CPU, inside or outside of a transform."""
        return self._tensors(self.function(theta), theta)

    def _tensors(self, found: Any, theta: Any) -> dict[str, Any]:
        out = {}
        for name, x in foreign.checked(found).items():
            foreign.refuse_nested(name, x)
            tensor = torch.as_tensor(x)
            if tensor.is_complex():
                raise InvalidModel(f"{name} is complex; expected real numbers")
            out[name] = (tensor if tensor.is_floating_point() else tensor.to(theta.dtype)).cpu()
        return out

    def evaluate(self, theta: Array) -> foreign.Parts:
        at = torch.from_numpy(theta.copy())
        with torch.no_grad():
            return {
                name: _numbers(x) for name, x in self._tensors(foreign.call(self.function, at, _UNRAVEL), at).items()
            }

    def pull_back(self, theta: Array, cotangent: foreign.Parts) -> Array:
        try:
            values, back = torch.func.vjp(self.tensors, torch.from_numpy(theta.copy()))
            (out,) = back({name: torch.from_numpy(np.array(cotangent[name])).to(x.dtype) for name, x in values.items()})
        except Exception as error:
            raise _explained(error) from error
        return _numbers(out)

    def push_forward(self, theta: Array, direction: Array) -> foreign.Parts:
        try:
            at, along = torch.from_numpy(theta.copy()), torch.from_numpy(np.array(direction))
            with warnings.catch_warnings():  # PyTorch's own first forward derivative warns about PyTorch's own scripts
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\..*")
                _, out = torch.func.jvp(self.tensors, (at,), (along,))
        except Exception as error:
            raise _explained(error) from error
        return {name: _numbers(x) for name, x in out.items()}


def _numbers(x: Any) -> Array:
    return np.asarray(x.detach().numpy(), dtype=np.float64)


def _explained(error: Exception) -> BoltzgradError:
    if isinstance(error, BoltzgradError):
        return error
    return NotDifferentiable(f"PyTorch could not differentiate the model: {type(error).__name__}: {error}")


def configurable_mdp(
    arrays: Arrays,
    *,
    dim: int,
    follower_discount: float | None = None,
    leader_discount: float | None = None,
    temperature: Any = None,
    available: Any = None,
    leader_temperature: float | None = None,
    leader_horizon: int | None = None,
    horizon: int | None = None,
    average: bool = False,
    **options: Any,
) -> ConfigurableMDP:
    """A `ConfigurableMDP` from a PyTorch function θ (d,) -> dict of arrays by the names of `boltzgrad.TabularModel`:
    `transition` (S, A, S), `initial` (S,), `follower_reward`, `leader_reward` (S, A), and as needed `follower_transition`,
    `reference`, `leader_reference`.  Discounts and temperature (a number, or (S,)) are given here, or are among the arrays
    where θ moves them.

    With a `horizon` it is a `boltzgrad.FiniteHorizonModel` (arrays also one for each step, `terminal_follower_reward`,
    `terminal_leader_reward`), with `average` a `boltzgrad.AverageRewardModel` (no `initial`, no discounts).
    `options` are those of `boltzgrad.ConfigurableMDP`: `objective`, `regulariser`, `initial_scale`, `name`.
    Raises: InvalidOption; when it is used, InvalidModel, NotDifferentiable with PyTorch's own words.
    """
    return foreign.configurable_mdp(
        _Torch(arrays),
        dim,
        options,
        average=average,
        follower_discount=follower_discount,
        leader_discount=leader_discount,
        temperature=temperature,
        available=available,
        leader_temperature=leader_temperature,
        leader_horizon=leader_horizon,
        horizon=horizon,
    )


def linear_quadratic(
    arrays: Arrays,
    *,
    dim: int,
    follower_discount: float,
    leader_discount: float,
    temperature: float,
    horizon: int | None = None,
    observed: bool = False,
    bump: Any = None,
    **options: Any,
) -> LinearQuadratic:
    """A `LinearQuadratic` from a PyTorch function θ (d,) -> dict of the matrices of `boltzgrad.LQModel` (A, B, W, Q, …)."""
    return foreign.linear_quadratic(
        _Torch(arrays),
        dim,
        options,
        follower_discount=follower_discount,
        leader_discount=leader_discount,
        temperature=temperature,
        horizon=horizon,
        observed=observed,
        bump=bump,
    )


def leader_policy(table: Callable[[Any], Any], *, dim: int) -> LeaderPolicy:
    """The leader's policy of a `boltzgrad.MarkovGame` from a PyTorch function θ (d,) -> f (S, A)."""
    return foreign.leader_policy(_Torch(lambda theta: {"policy": table(theta)}), dim=dim)


class _Reference(torch.autograd.Function):
    """J(θ) whose backward pass is the reference hypergradient."""

    @staticmethod
    def forward(theta: Any, problem: Any) -> Any:
        found = hypergradient(problem, theta.detach().cpu().to(torch.float64).numpy())
        gradient = torch.as_tensor(found.gradient, dtype=theta.dtype, device=theta.device)
        return theta.new_tensor(found.value), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, g: Any, _: Any) -> Any:
        return _Slope.apply(g, *ctx.saved_tensors), None


class _Slope(torch.autograd.Function):
    """The reference's slope, which nobody can differentiate again: without this a second derivative would be a silent zero."""

    @staticmethod
    def forward(g: Any, theta: Any, gradient: Any) -> Any:
        return g * gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise NotDifferentiable("the reference hypergradient is differentiated once; it has no second derivative here")


def value(problem: Any) -> Callable[[Any], Any]:
    """J as a function of θ (d,) that PyTorch can differentiate once: its gradient is the reference hypergradient.

    In the precision and on the device of θ; solved on the CPU in float64.  Raises: what `boltzgrad.hypergradient` raises;
    InvalidTheta for anything but a tensor (d,) of float32 or float64; NotDifferentiable in a second derivative.
    """
    family_of(problem)

    def function(theta: Any) -> Any:
        if not isinstance(theta, torch.Tensor) or theta.dtype not in (torch.float32, torch.float64):
            kind = f"tensor of {theta.dtype}" if isinstance(theta, torch.Tensor) else type(theta).__name__
            raise InvalidTheta(f"theta is a {kind}; expected a tensor of float32 or float64")
        if tuple(theta.shape) != (problem.dim,):
            raise InvalidTheta(f"theta has shape {tuple(theta.shape)}, expected ({problem.dim},)")
        return _Reference.apply(theta, problem)[0]

    return function


def assert_hypergradient(
    gradient: Any, problem: Any, theta: Any, *, dtype: Any = torch.float64, tolerance: float | None = None,
    thorough: bool = False, follower: Any = None,
) -> HypergradientCheck:  # fmt: skip
    """`boltzgrad.testing.assert_hypergradient` for a PyTorch function θ -> gradient: it is given a tensor of `dtype`.

    The reference is taken at the θ that the function sees, rounded to that precision.
    """
    __tracebackhide__ = True
    if dtype not in (torch.float32, torch.float64):
        raise InvalidOption(f"dtype is {dtype}; expected torch.float32 or torch.float64")
    seen = torch.from_numpy(read_theta(problem, theta)).to(dtype).to(torch.float64).numpy()
    return assertions.assert_hypergradient(
        gradient,
        problem,
        seen,
        tolerance=tolerance,
        thorough=thorough,
        follower=follower,
        feed=lambda x: torch.from_numpy(x).to(dtype),
    )
