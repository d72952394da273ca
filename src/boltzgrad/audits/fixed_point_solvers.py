r"""Implicit differentiation of V = T_θ V by libraries that do that for any fixed point: TorchOpt, jaxopt, Optimistix.

θ raises the follower's reward r_F in one of eight groups of pairs each, and J is the leader's return under the policy that
follows.  Everything but the backward solve is done exactly: J's own linear system by a dense solve, the fixed point to
1e-13.  What is judged is the solver that a library takes unless it is told otherwise, for a matrix I − γP_π that is not
symmetric, with a condition of about 1/(1 − γ).
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from scipy.special import logsumexp

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import boltzmann
from boltzgrad.audits.checkout import Checkout, needed
from boltzgrad.core.arrays import Array
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

_A, _GAMMA, _TAU, _GROUPS = 4, 0.99, 0.05, 8
_SWEEPS, _POLICIES = 20_000, 30  # what value iteration and policy iteration need at most
_WORLDS = ("garnet", "ring")


@cache
def _world(name: str) -> tuple[Array, Array, Array, Array]:
    """(p, ρ, r_F, r_L) of 100 states: four random successors for each action, or four about each state on a ring."""
    S, rng = 100, np.random.default_rng(9)
    p = np.zeros((S, _A, S))
    for s in range(S):
        for a in range(_A):
            to = rng.choice(S, 4, replace=False) if name == "garnet" else (s + np.array([-1, 0, 1, 2])) % S
            p[s, a, to] += rng.dirichlet(np.ones(4))
    return p, rng.dirichlet(np.ones(S)), rng.uniform(size=(S, _A)), rng.uniform(size=(S, _A))


def _groups(name: str) -> Array:
    """Which pairs (S·A) are in which group (8,)."""
    pairs = np.arange(_world(name)[2].size)
    return np.asarray(pairs % _GROUPS == np.arange(_GROUPS)[:, None], float)


def _returns(name: str) -> tuple[ConfigurableMDP, Array]:
    p, start, r_follower, r_leader = _world(name)

    def build(theta: Any) -> TabularModel:
        return TabularModel(
            p, start, r_follower + anp.reshape(anp.dot(_groups(name).T, theta), r_leader.shape), r_leader,
            follower_discount=_GAMMA, leader_discount=_GAMMA, temperature=_TAU,
        )  # fmt: skip

    return ConfigurableMDP(build, dim=_GROUPS, name=name), np.zeros(_GROUPS)


# --- the same gradient with backward solves of ours ------------------------------------------------------------------------


def _gradient(name: str, backward: Any) -> Array:
    """∇J with `backward(A, b)` for the solve of A'x = b, A = I − γ P_π."""
    p, start, r_follower, r_leader = _world(name)
    v = np.zeros(len(start))
    for _ in range(_POLICIES):
        q = r_follower + _GAMMA * p @ v
        policy = boltzmann(q, _TAU)
        system = np.eye(len(start)) - _GAMMA * np.einsum("sa,sat->st", policy, p)
        v = v + np.linalg.solve(system, _TAU * logsumexp(q / _TAU, axis=1) - v)
    leader_v = np.linalg.solve(system, (policy * r_leader).sum(axis=1))
    benefit = r_leader + _GAMMA * p @ leader_v - leader_v[:, None]
    on_q = np.linalg.solve(system.T, start)[:, None] * policy * benefit / _TAU
    on_v = _GAMMA * np.einsum("sa,sat->t", on_q, p)
    return np.asarray(_groups(name) @ (on_q + backward(system, on_v)[:, None] * policy).ravel())


def exactly(system: Array, b: Array) -> Array:
    """A'x = b."""
    return np.asarray(np.linalg.solve(system.T, b))


def by_normal_equations(system: Array, b: Array, rtol: float = 1e-5) -> Array:
    """A A'x = A b by conjugate gradients until ‖residual‖ ≤ rtol ‖A b‖: the condition is squared."""
    return _conjugate_gradients(lambda x: system @ (system.T @ x), system @ b, rtol)


def as_if_symmetric(system: Array, b: Array, rtol: float = 1e-5) -> Array:
    """A'x = b by conjugate gradients, which are for symmetric positive definite systems."""
    return _conjugate_gradients(lambda x: system.T @ x, b, rtol)


def _conjugate_gradients(product: Any, b: Array, rtol: float) -> Array:
    x, r = np.zeros_like(b), b.copy()
    direction, size = r, float(r @ r)
    for _ in range(10 * b.size):
        if not np.sqrt(size) > rtol * np.linalg.norm(b):
            break
        ahead = product(direction)
        step = size / float(direction @ ahead)
        x, r = x + step * direction, r - step * ahead
        new = float(r @ r)
        direction, size = r + new / size * direction, new
    return x


# --- TorchOpt -------------------------------------------------------------------------------------------------------------


def _run_torchopt(*_: Checkout) -> dict[str, Array]:
    torch = needed("torch", "torchopt")
    linear = needed("torchopt.linear_solve", "torchopt")
    custom_root = needed("torchopt.diff.implicit", "torchopt").custom_root
    solves = {
        "default": None,
        "tight": linear.solve_normal_cg(rtol=1e-14, atol=0.0, maxiter=10_000),
        "inverse": linear.solve_inv(),
        "symmetric": linear.solve_cg(rtol=1e-5),
    }
    out = {}
    for name in _WORLDS:
        p, start, r_follower, r_leader = (torch.as_tensor(x) for x in _world(name))

        def backup(v: Any, r: Any, p: Any = p) -> Any:
            return _TAU * torch.logsumexp((r + _GAMMA * p @ v) / _TAU, dim=1)

        def residual(v: Any, r: Any, backup: Any = backup) -> Any:
            return backup(v, r) - v

        def fixed_point(v: Any, r: Any, backup: Any = backup) -> Any:
            with torch.no_grad():
                for _ in range(_SWEEPS):
                    new = backup(v, r)
                    if (new - v).abs().max() <= 1e-14 * new.abs().max():
                        break
                    v = new
            return v

        for key, solve in solves.items():
            follower = custom_root(residual, argnums=1, solve=solve)(fixed_point)
            r = r_follower.clone().requires_grad_(True)
            v = follower(torch.zeros(len(start), dtype=torch.float64), r)
            policy = torch.softmax((r + _GAMMA * p @ v) / _TAU, dim=1)
            system = torch.eye(len(start), dtype=torch.float64) - _GAMMA * torch.einsum("sa,sat->st", policy, p)
            (start @ torch.linalg.solve(system, (policy * r_leader).sum(1))).backward()
            out[f"{key}_{name}"] = _groups(name) @ r.grad.numpy().ravel()
    return out


def _missed(key: str, name: str, title: str, mistake: str, remade: Any, near: float) -> Case:
    return Case(
        key=f"{key}_{name}", title=f"{title}, {name}", problem=partial(_returns, name), mistake=mistake,
        remade=partial(_gradient, name, remade), repaired=partial(_gradient, name, exactly), near=near,
    )  # fmt: skip


def _met(key: str, name: str, title: str, tolerance: float | None = None) -> Case:
    return Case(
        key=f"{key}_{name}",
        title=f"{title}, {name}",
        problem=partial(_returns, name),
        expects="agrees",
        tolerance=tolerance,
    )


_NORMAL = (
    "conjugate gradients on the normal equations, stopped at 1e-5 of the right-hand side: the condition is squared"
)
_SYMMETRIC = "conjugate gradients on a system that is not symmetric"

TORCHOPT = Audit(
    name="torchopt",
    sources=(Source("torchopt", "0.7.3", ("torchopt.diff.implicit: custom_root",), installed=True),),
    computes="implicit derivatives of a root, here of V = TV in the follower's reward",
    shows="with the solver that custom_root takes by default; a tight tolerance or solve_inv is right",
    known="",
    needs=("torch", "torchopt"),
    cases=(
        *(_met("inverse", name, "custom_root with solve_inv") for name in _WORLDS),
        *(_met("tight", name, "custom_root with solve_normal_cg at rtol 1e-14", 1e-7) for name in _WORLDS),
        *(_missed("default", name, "custom_root as it comes", _NORMAL, by_normal_equations, 1e-6) for name in _WORLDS),
        *(
            _missed("symmetric", name, "custom_root with solve_cg", _SYMMETRIC, as_if_symmetric, 1e-6)
            for name in _WORLDS
        ),
    ),
    run=_run_torchopt,
)


# --- JAX: jaxopt and Optimistix -------------------------------------------------------------------------------------------


def _in_jax(name: str, solve: Any) -> Array:
    """∇J in JAX with `solve(backup, v, r)` for the fixed point and its derivative."""
    jax, jnp = needed("jax", "a JAX library"), needed("jax.numpy", "a JAX library")
    jax.config.update("jax_enable_x64", True)
    p, start, r_follower, r_leader = (jnp.asarray(x) for x in _world(name))

    def backup(v: Any, r: Any) -> Any:
        return _TAU * jax.scipy.special.logsumexp((r + _GAMMA * p @ v) / _TAU, axis=1)

    def value(r: Any) -> Any:
        v = solve(backup, jnp.zeros(len(start)), r)
        policy = jax.nn.softmax((r + _GAMMA * p @ v) / _TAU, axis=1)
        system = jnp.eye(len(start)) - _GAMMA * jnp.einsum("sa,sat->st", policy, p)
        return start @ jnp.linalg.solve(system, (policy * r_leader).sum(1))

    return np.asarray(_groups(name) @ np.asarray(jax.grad(value)(r_follower)).ravel())


def _run_jaxopt(*_: Checkout) -> dict[str, Array]:
    jaxopt = needed("jaxopt", "jaxopt")
    linear = needed("jaxopt.linear_solve", "jaxopt")

    def solved(backward: Any) -> Any:
        def solve(backup: Any, v: Any, r: Any) -> Any:
            options = {"maxiter": _SWEEPS, "tol": 1e-13, "implicit_diff": True, "implicit_diff_solve": backward}
            return jaxopt.FixedPointIteration(backup, **options).run(v, r).params

        return solve

    def tightly(matvec: Any, b: Any, **options: Any) -> Any:
        return linear.solve_gmres(matvec, b, tol=1e-13, restart=100, **options)

    solves = {"default": None, "tight": tightly}
    return {f"{key}_{name}": _in_jax(name, solved(how)) for key, how in solves.items() for name in _WORLDS}


JAXOPT = Audit(
    name="jaxopt",
    sources=(Source("jaxopt", "0.8.5", ("jaxopt: FixedPointIteration",), installed=True),),
    computes="implicit derivatives of a fixed point, here of V = TV in the follower's reward",
    shows="with the solver that it takes by default; a tight one is right",
    known="",
    needs=("jax", "jaxopt"),
    cases=(
        *(_met("tight", name, "FixedPointIteration with solve_gmres at 1e-13", 1e-8) for name in _WORLDS),
        *(_missed("default", name, "FixedPointIteration as it comes", _NORMAL, by_normal_equations, 1e-6)
          for name in _WORLDS),
    ),
    run=_run_jaxopt,
)  # fmt: skip


def _run_optimistix(*_: Checkout) -> dict[str, Array]:
    optimistix = needed("optimistix", "optimistix")

    def solve(backup: Any, v: Any, r: Any) -> Any:
        solver = optimistix.FixedPointIteration(rtol=1e-13, atol=1e-13)
        return optimistix.fixed_point(backup, solver, v, args=r, max_steps=_SWEEPS).value

    return {f"default_{name}": _in_jax(name, solve) for name in _WORLDS}


OPTIMISTIX = Audit(
    name="optimistix",
    sources=(
        Source("optimistix", "0.1.0", ("optimistix: fixed_point, ImplicitAdjoint",), installed=True),
        Source("lineax", "0.1.1", ("lineax: AutoLinearSolver",), installed=True),
    ),
    computes="implicit derivatives of a fixed point, here of V = TV in the follower's reward",
    shows="a control: it is right as it comes",
    known="",
    needs=("jax", "optimistix"),
    cases=tuple(_met("default", name, "fixed_point as it comes, rtol 1e-13", 1e-9) for name in _WORLDS),
    run=_run_optimistix,
)
