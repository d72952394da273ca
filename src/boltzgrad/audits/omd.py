r"""Optimal model design on a table, as in `omd`'s notebook with `fax`'s implicit differentiation.

The leader's θ is a model (p_θ, r_θ) of a world; the follower plans softly in the model and acts in the world, and J is its
return there.  `two_phase_solve` differentiates its fixed point; `two_phase_rev_identity` puts the identity for the inverse
Jacobian,

    dQ/dθ ≈ ∂(T_θ Q)/∂θ,

which is what the deep version of the method does, and SoBiRL's one-step truncation.
"""

from __future__ import annotations

import functools
import operator
from functools import partial
from types import SimpleNamespace
from typing import Any

import autograd.numpy as anp
import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.by_hand import boltzmann, settled
from boltzgrad.audits.checkout import Checkout, needed
from boltzgrad.core.arrays import Array
from boltzgrad.core.softmaxes import softmax
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

# The notebook's world; it writes kernels (A, S, S).
_BY_ACTION = np.array([[[0.7, 0.3], [0.2, 0.8]], [[0.99, 0.01], [0.99, 0.01]]])
_TRUE_P = _BY_ACTION.swapaxes(0, 1)
_TRUE_R = np.array([[-0.45, -0.1], [0.5, 0.5]])
_START, _GAMMA = np.ones(2) / 2, 0.9
_SHAPE, _LOGITS = (2, 2, 2), 8
_FILE = "fax/implicit/twophase.py"
_TEMPERATURES = (1.0, 0.1)


def _theta(tau: float) -> Array:
    """Logits (A, S, S) and rewards (S, A) near the truth, so that returns still depend on them."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            (tau * np.log(_BY_ACTION)).ravel() + 0.3 * tau * rng.standard_normal(8),
            _TRUE_R.ravel() + 0.1 * rng.standard_normal(4),
        ]
    )


def _model(theta: Any, tau: float) -> tuple[Any, Any]:
    """(p_θ, r_θ); logits are divided by the temperature, as in the notebook."""
    by_action = softmax(anp.reshape(theta[:_LOGITS], _SHAPE) / tau)
    return anp.swapaxes(by_action, 0, 1), anp.reshape(theta[_LOGITS:], (2, 2))


def _returns(tau: float) -> tuple[ConfigurableMDP, Array]:
    def build(t: Any) -> TabularModel:
        p, r = _model(t, tau)
        return TabularModel(
            _TRUE_P, _START, r, _TRUE_R, p, follower_discount=_GAMMA, leader_discount=_GAMMA, temperature=tau
        )

    return ConfigurableMDP(build, dim=12, name="omd"), _theta(tau)


def _through(theta: Array, tau: float, *, whole: bool) -> Array:
    """∇J by the chain rule on numbers: dQ/dθ by the implicit function theorem, or its first term alone."""
    p, r = _model(theta, tau)
    v, q = settled(p, r, _GAMMA, tau=tau)
    policy = boltzmann(q, tau)
    columns = []
    for j in range(12):
        step = np.zeros(12, complex)
        step[j] = 1e-30j
        moved_p, moved_r = _complex_model(theta + step, tau)
        columns.append(((moved_r + _GAMMA * moved_p @ v).imag / 1e-30).ravel())
    direct = np.stack(columns, axis=1)
    ahead = _GAMMA * np.einsum("saz,zb->sazb", p, policy).reshape(4, 4)
    dq = np.linalg.solve(np.eye(4) - ahead, direct) if whole else direct
    chain = np.einsum("sa,sat->st", policy, _TRUE_P)
    inverse = np.linalg.inv(np.eye(2) - _GAMMA * chain)
    leader_v = inverse @ (policy * _TRUE_R).sum(axis=1)
    leader_q = _TRUE_R + _GAMMA * _TRUE_P @ leader_v
    benefit = leader_q - leader_v[:, None]
    weight = (_START @ inverse)[:, None] * policy * benefit / tau
    return np.asarray(weight.ravel() @ dq)


def _complex_model(theta: Array, tau: float) -> tuple[Array, Array]:
    e = np.exp(theta[:_LOGITS].reshape(_SHAPE) / tau)
    return (e / e.sum(axis=-1, keepdims=True)).swapaxes(0, 1), theta[_LOGITS:].reshape(2, 2)


def _run(*checkouts: Checkout) -> dict[str, Array]:
    notebook, fax = checkouts
    jax, jnp = needed("jax", "omd"), needed("jax.numpy", "omd")
    jax.config.update("jax_enable_x64", True)
    tree = SimpleNamespace(
        tree_map=jax.tree_util.tree_map,
        tree_reduce=jax.tree_util.tree_reduce,
        tree_multimap=jax.tree_util.tree_map,  # JAX has dropped this name since, and that of jax.tree_map
    )
    old = SimpleNamespace(vjp=jax.vjp, lax=jax.lax, tree_map=tree.tree_map, tree_multimap=tree.tree_multimap)
    loop = fax.functions(
        "fax/loop.py", "unrolled", "fixed_point_iteration",
        among={"jax": old, "np": jnp, "FixedPointSolution": lambda **found: SimpleNamespace(**found)},
    )  # fmt: skip
    converge = fax.functions(
        "fax/converge.py", "adjust_tol_for_dtype", "_min_float_dtype", "tree_smallest_float_dtype", "close_or_nan",
        "max_diff_test", among={"np": jnp, "onp": np, "operator": operator, "tree_util": tree},
    )  # fmt: skip
    among = {
        "jax": old, "np": jnp, "jnp": jnp, "loop": loop, "converge": converge,
        "_add": functools.partial(tree.tree_map, operator.add),
    }  # fmt: skip
    names = ("two_phase_solve", "two_phase_fwd", "two_phase_rev")
    whole = fax.functions(_FILE, "default_convergence_test", "default_solver", *names, among=among)
    names = ("two_phase_solve_identity", "two_phase_fwd", "two_phase_rev_identity")
    short = notebook.functions("tabular.ipynb", *names, among={**among, **vars(whole)})
    rules = {"implicit": jax.custom_vjp(whole.two_phase_solve, nondiff_argnums=(0, 3))}
    rules["implicit"].defvjp(whole.two_phase_fwd, whole.two_phase_rev)
    rules["identity"] = jax.custom_vjp(short.two_phase_solve_identity, nondiff_argnums=(0, 3))
    rules["identity"].defvjp(short.two_phase_fwd, short.two_phase_rev_identity)
    out = {}
    for tau in _TEMPERATURES:
        world = {
            "jnp": jnp, "softmax": jax.nn.softmax, "logsumexp": jax.scipy.special.logsumexp, "temperature": tau,
            "true_transition": jnp.asarray(_BY_ACTION), "true_reward": jnp.asarray(_TRUE_R), "true_discount": _GAMMA,
            "initial_distribution": jnp.asarray(_START),
        }  # fmt: skip
        names = ("smooth_bellman_optimality_operator", "objective_returns", "bellman_update")
        theirs = notebook.functions("tabular.ipynb", *names, among=world)

        def value(theta: Any, rule: Any, theirs: Any = theirs) -> Any:
            params = (theta[:_LOGITS].reshape(_SHAPE), theta[_LOGITS:].reshape(2, 2))
            q = rule(lambda now: lambda x: theirs.bellman_update(x, now), jnp.zeros((2, 2)), params, ())
            return theirs.objective_returns(q, params)

        for key, rule in rules.items():
            out[f"{key}_{tau:g}"] = np.asarray(jax.grad(value)(jnp.asarray(_theta(tau)), rule))
    return out


_IMPLICIT = "implicit differentiation of the fixed point (two_phase_solve)"
_IDENTITY = "the identity for the inverse Jacobian (two_phase_rev_identity)"

AUDIT = Audit(
    name="omd",
    sources=(
        Source(
            "evgenii-nikishin/omd",
            "10f5b1e622ed58976932f0c338a84353d6a1a907",
            ("tabular.ipynb: bellman_update, objective_returns, two_phase_solve_identity, two_phase_rev_identity",),
        ),
        Source(
            "gehring/fax",
            "1bc0f4ddf4f0d54370b0c04282de49aa85685791",
            (f"{_FILE}: two_phase_solve, two_phase_rev", "fax/loop.py: fixed_point_iteration"),
        ),
    ),
    computes="the return's gradient through the follower of a learnt model (optimal model design)",
    shows="with the identity that the deep version of the method uses, at every temperature",
    known="the notebook calls it an approximation",
    needs=("jax",),
    cases=(
        *(
            Case(key=f"implicit_{tau:g}", title=f"{_IMPLICIT}, τ = {tau:g}", problem=partial(_returns, tau),
                 expects="agrees", tolerance=1e-8)
            for tau in _TEMPERATURES
        ),
        *(
            Case(
                key=f"identity_{tau:g}", title=f"{_IDENTITY}, τ = {tau:g}", problem=partial(_returns, tau),
                mistake="one step for the whole of the follower's answer: SoBiRL's truncation",
                remade=partial(_through, _theta(tau), tau, whole=False),
                repaired=partial(_through, _theta(tau), tau, whole=True),
                near=1e-11, tolerance=1e-8,
            )
            for tau in _TEMPERATURES
        ),
    ),
    run=_run,
)  # fmt: skip
