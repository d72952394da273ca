"""PyTorch: models written in it as problems, gradients computed in it checked, reference gradients inside of it.

    import torch
    import boltzgrad as bg

    def arrays(theta):
        return {"transition": P, "initial": rho, "follower_reward": theta.reshape(2, 2), "leader_reward": r}

    problem = bg.testing.torch.configurable_mdp(arrays, dim=4, follower_discount=0.9, leader_discount=0.95, temperature=0.5)
    bg.testing.torch.assert_hypergradient(torch.func.grad(my_J), problem, theta)      # yours against the reference
    bg.testing.torch.value(problem)(theta).backward()                                 # the reference inside of PyTorch

θ may be tensors in a dict, list or tuple, such as `dict(module.named_parameters())`: `like=` in the place of `dim=`.

The reference gives your function float64 tensors.  Constant tensors held in single precision are taken as they are, and rows
of probabilities then normalised; a function that rounds to single precision *on the way* has derivatives of single
precision, and `boltzgrad.verify` says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.core.tree import Tree
from boltzgrad.errors import InvalidModel, InvalidOption, InvalidTheta, MissingExtra, NotDifferentiable
from boltzgrad.families.registry import family_of, hypergradient
from boltzgrad.testing import adapter
from boltzgrad.testing.adapter import floats

try:
    import torch
except ImportError as error:
    raise MissingExtra("boltzgrad.testing.torch needs PyTorch: pip install 'boltzgrad[torch]'") from error


class _Tensors(Tree):
    """The shape of parameters: tensors in a dict, list or tuple, nested or not, such as `dict(module.named_parameters())`."""

    def read(self, x: Any, what: str, refusal: type[Exception]) -> Array:
        if isinstance(x, torch.nn.Module):
            raise refusal(f"{what} is a module, {type(x).__name__}; expected tensors: dict(module.named_parameters())")
        return floats(x, what, refusal)

    def unpack(self, vector: Any) -> Any:
        return super().unpack(torch.from_numpy(vector.copy()) if isinstance(vector, np.ndarray) else vector)


class _Torch(adapter.Framework):
    name = "PyTorch"
    advice = (
        "give such parameters as like= in the place of dim=, for a module like=dict(module.named_parameters()), and use "
        "torch.func.functional_call(module, theta, …)"
    )

    def array(self, x: Array, dtype: Any = None) -> Any:
        return torch.from_numpy(np.array(x)).to(torch.float64 if dtype is None else dtype)

    def numbers(self, x: Any) -> Array:
        return np.asarray(x.detach().numpy(), dtype=np.float64)

    def real(self, name: str, x: Any, theta: Any) -> Any:
        tensor = torch.as_tensor(x)
        if tensor.is_complex():
            raise InvalidModel(f"{name} is complex; expected real numbers")
        return (tensor if tensor.is_floating_point() else tensor.to(theta.dtype)).cpu()

    def vjp(self, function: Callable[[Any], Any], at: Any) -> tuple[Any, Callable[[Any], Any]]:
        values, back = torch.func.vjp(function, at)
        return values, back

    def jvp(self, function: Callable[[Any], Any], at: Any, along: Any) -> Any:
        with warnings.catch_warnings():  # PyTorch's own first forward derivative warns about PyTorch's own scripts
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\..*")
            return torch.func.jvp(function, (at,), (along,))[1]

    def without_graph(self) -> AbstractContextManager[Any]:
        out: AbstractContextManager[Any] = torch.no_grad()
        return out

    def tree(self, like: Any) -> Tree:
        return _Tensors(like)

    def precision(self, dtype: Any) -> Any:
        chosen = torch.float64 if dtype is None else dtype
        if chosen not in (torch.float32, torch.float64):
            raise InvalidOption(f"dtype is {dtype}; expected torch.float32 or torch.float64")
        return chosen


_TORCH = _Torch()
configurable_mdp = _TORCH.configurable_mdp
linear_quadratic = _TORCH.linear_quadratic
leader_policy = _TORCH.leader_policy
assert_hypergradient = _TORCH.assert_hypergradient


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

    Where the problem's θ is several arrays (`like`), it takes them as tensors, too, and each gets its own gradient.
    In the precision and on the device of θ; solved on the CPU in float64.  Raises: what `boltzgrad.hypergradient` raises;
    InvalidTheta for anything but tensors of float32 or float64, naming the leaf; NotDifferentiable in a second derivative.
    """
    family_of(problem)
    tree = problem.tree

    def function(theta: Any) -> Any:
        if tree is not None and tree.fits(theta):
            leaves = tree.leaves(theta, "theta", InvalidTheta)
            for name, shape, x in zip(tree.names, tree.shapes, leaves, strict=True):
                _check(f"theta{name}", x, shape)
            theta = torch.cat([x.reshape(-1) for x in leaves])
        _check("theta", theta, (problem.dim,))
        return _Reference.apply(theta, problem)[0]

    return function


def _check(name: str, x: Any, shape: tuple[int, ...]) -> None:
    """Raises: InvalidTheta."""
    if not isinstance(x, torch.Tensor) or x.dtype not in (torch.float32, torch.float64):
        kind = f"tensor of {x.dtype}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise InvalidTheta(f"{name} is a {kind}; expected a tensor of float32 or float64")
    if tuple(x.shape) != shape:
        raise InvalidTheta(f"{name} has shape {tuple(x.shape)}, expected {shape}")
