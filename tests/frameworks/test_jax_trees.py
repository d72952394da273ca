"""θ as a pytree in JAX: the same problem in every container, gradients in its shape, and what does not fit is named."""

import os
import subprocess
import sys
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from tests_helpers import optional, sample

jax = optional("jax")
jax.config.update("jax_enable_x64", True)
jnp, ravel_pytree = jax.numpy, import_module("jax.flatten_util").ravel_pytree
adapter = bg.testing.jax

CONSTANTS = {"follower_discount": 0.9, "leader_discount": 0.8}
MOVE = np.log([[[0.9, 0.1], [0.1, 0.9]], [[0.2, 0.8], [0.7, 0.3]]])
REWARD, TILT, WARMTH = np.array([[0.3, -0.2], [0.1, 0.4]]), np.array([0.5, -0.3]), np.array(-0.7)
PIECES = {"reward": REWARD, "tilt": TILT, "warmth": WARMTH}


def model(reward, tilt, warmth, xp, softmax):
    return {
        "transition": softmax(MOVE + tilt),
        "initial": np.array([0.6, 0.4]),
        "follower_reward": reward,
        "leader_reward": np.array([[0.0, 0.0], [1.0, 1.0]]) - 0.5 * reward**2,
        "temperature": xp.exp(warmth),
    }


def in_jax(reward, tilt, warmth):
    return model(reward, tilt, warmth, jnp, jax.nn.softmax)


def numpy_s():
    """The same model in autograd.numpy."""
    return bg.ConfigurableMDP(
        lambda t: bg.TabularModel(**model(**t, xp=anp, softmax=bg.softmax), **CONSTANTS), like=PIECES
    )


@pytest.fixture(scope="module")
def exact():
    """The gradient piece by piece."""
    return bg.hypergradient(numpy_s(), PIECES).tree


class Params(NamedTuple):
    tilt: Any
    head: Any


class Frozen(dict):
    """A mapping that JAX knows because somebody registered it."""


jax.tree_util.register_pytree_with_keys(
    Frozen,
    lambda x: (tuple((jax.tree_util.DictKey(k), x[k]) for k in sorted(x)), tuple(sorted(x))),
    lambda keys, children: Frozen(zip(keys, children, strict=True)),
)

# How the pieces are put into a container, how they are got out, and the leaf of the reward.
FORMS = {
    "dict": (lambda r, t, w: {"w": t, "r": r, "b": w}, lambda p: (p["r"], p["w"], p["b"]), "['r']"),
    "list": (lambda r, t, w: [t, r, w], lambda p: (p[1], p[0], p[2]), "[1]"),
    "tuple": (lambda r, t, w: (w, r, t), lambda p: (p[1], p[2], p[0]), "[1]"),
    "NamedTuple": (
        lambda r, t, w: Params(t, {"out": [r, (w,)]}),
        lambda p: (p.head["out"][0], p.tilt, p.head["out"][1][0]),
        ".head['out'][0]",
    ),
    "registered": (
        lambda r, t, w: Frozen(net=Frozen(r=r, t=t), b=w),
        lambda p: (p["net"]["r"], p["net"]["t"], p["b"]),
        "['net']['r']",
    ),
    "nothing in it": (lambda r, t, w: {"a": None, "r": r, "c": (t, w)}, lambda p: (p["r"], *p["c"]), "['r']"),
}


def case(name="dict", dtype=np.float64):
    make, read, leaf = FORMS[name]
    params = make(*(jnp.asarray(x, dtype) for x in PIECES.values()))
    problem = adapter.configurable_mdp(lambda p: in_jax(*read(p)), like=params, **CONSTANTS, name=name)
    return SimpleNamespace(params=params, problem=problem, read=read, leaf=leaf, j=lambda p: unrolled(*read(p)))


def unrolled(reward, tilt, warmth):
    """J by soft value iteration and a linear solve, in the precision of its arguments."""
    m = {name: jnp.asarray(x, reward.dtype) for name, x in in_jax(reward, tilt, warmth).items()}
    gamma, beta = CONSTANTS.values()
    tau, v = m["temperature"], jnp.zeros(2, reward.dtype)

    def backup(v, _):
        return tau * jax.nn.logsumexp((m["follower_reward"] + gamma * m["transition"] @ v) / tau, axis=1), None

    v, _ = jax.lax.scan(backup, v, None, length=400)
    policy = jax.nn.softmax((m["follower_reward"] + gamma * m["transition"] @ v) / tau, axis=1)
    chain = jnp.einsum("sa,sat->st", policy, m["transition"])
    eye = jnp.eye(2, dtype=reward.dtype)
    return m["initial"] @ jnp.linalg.solve(eye - beta * chain, (policy * m["leader_reward"]).sum(axis=1))


def close(read, tree, exact, rel):
    for found, (name, expected) in zip(read(tree), exact.items(), strict=True):
        assert isinstance(found, jax.Array)
        assert found.shape == np.shape(expected), name
        np.testing.assert_allclose(found, expected, rtol=rel, atol=rel)


@pytest.mark.parametrize("name", FORMS)
def test_it_is_the_problem_of_its_pieces(name, exact):
    """Its gradient has θ's own structure, in float64; a vector (d,) stands in the order of `ravel_pytree`."""
    it = case(name)
    reference = bg.hypergradient(it.problem, it.params)
    assert jax.tree_util.tree_structure(reference.tree) == jax.tree_util.tree_structure(it.params)
    assert {x.dtype for x in jax.tree_util.tree_leaves(reference.tree)} == {jnp.dtype("float64")}
    close(it.read, reference.tree, exact, 1e-10)
    flat, unravel = ravel_pytree(it.params)
    np.testing.assert_array_equal(bg.hypergradient(it.problem, flat).gradient, reference.gradient)
    close(it.read, unravel(jnp.asarray(reference.gradient)), exact, 1e-10)
    assert adapter.assert_hypergradient(jax.jit(jax.grad(it.j)), it.problem, it.params).ok


def test_every_route_confirms_it():
    it = case("NamedTuple")
    report = bg.verify(it.problem, it.params)
    assert report.ok, str(report)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_candidate_in_either_precision(dtype):
    """It is given parameters of the precision asked for, here not that of θ, and is judged by its own."""
    it, seen = case("NamedTuple", dtype=np.float64 if dtype == np.float32 else np.float32), []

    def gradient(params):
        seen.append(params)
        return jax.grad(it.j)(params)

    check = adapter.assert_hypergradient(gradient, it.problem, it.params, dtype=dtype)
    assert check.precision == np.dtype(dtype).name
    assert jax.tree_util.tree_structure(seen[0]) == jax.tree_util.tree_structure(it.params)
    assert {x.dtype for x in jax.tree_util.tree_leaves(seen[0])} == {np.dtype(dtype)}
    rounded = ravel_pytree(it.params)[0].astype(dtype)
    np.testing.assert_array_equal(check.reference.theta, np.asarray(rounded, float))


def test_a_tree_of_both_precisions_is_judged_by_the_lower():
    it = case()
    tree = bg.hypergradient(it.problem, it.params).tree
    mixed = {**tree, "w": tree["w"].astype(jnp.float32)}
    assert bg.testing.check_hypergradient(tree, it.problem, it.params).precision == "float64"
    assert adapter.assert_hypergradient(mixed, it.problem, it.params).precision == "float32"


@pytest.mark.parametrize("name", sample(FORMS, "NamedTuple"))
def test_a_wrong_leaf_is_named(name):
    it = case(name)

    def gradient(params):
        reward, tilt, warmth = it.read(jax.grad(it.j)(params))
        return FORMS[name][0](reward.at[1, 0].mul(1.01), tilt, warmth)

    with pytest.raises(bg.errors.GradientMismatch) as caught:
        adapter.assert_hypergradient(gradient, it.problem, it.params)
    assert f", theta{it.leaf}[1, 0]: yours" in str(caught.value)
    assert f"1 of 7 coordinates are off (1 of 4 in theta{it.leaf});" in str(caught.value)


def test_a_plain_candidate_is_given_the_framework_s_arrays():
    it = case()
    tree = bg.hypergradient(it.problem, it.params).tree
    for candidate in (jax.grad(it.j), tree, ravel_pytree(tree)[0]):
        assert bg.testing.assert_hypergradient(candidate, it.problem, it.params).ok
    assert not bg.testing.check_hypergradient(jax.tree_util.tree_map(jnp.negative, tree), it.problem, it.params).ok


@pytest.mark.parametrize("name", ["dict", "NamedTuple"])
def test_the_reference_inside_of_jax(name, exact):
    it = case(name)
    j = adapter.value(it.problem)
    assert j(it.params) == pytest.approx(bg.hypergradient(it.problem, it.params).value, rel=1e-12)
    for transform in (lambda f: f, jax.jit):
        for dtype, rel in ((jnp.float64, 1e-10), (jnp.float32, 1e-5)):
            at = jax.tree_util.tree_map(lambda x, dtype=dtype: x.astype(dtype), it.params)
            found = transform(jax.grad(j))(at)
            assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(at)
            assert {x.dtype for x in jax.tree_util.tree_leaves(found)} == {jnp.dtype(dtype)}
            close(it.read, found, exact, rel)
    many = jax.vmap(jax.grad(j))(jax.tree_util.tree_map(lambda x: jnp.stack([x, x + 0.1]), it.params))
    moved = jax.tree_util.tree_map(lambda x: x + 0.1, it.params)
    second = jax.tree_util.tree_map(lambda x: x[1], many)
    close(it.read, second, dict(zip("abc", it.read(bg.hypergradient(it.problem, moved).tree), strict=True)), 1e-10)
    flat = ravel_pytree(it.params)[0]
    np.testing.assert_allclose(jax.grad(j)(flat), ravel_pytree(jax.grad(j)(it.params))[0], rtol=1e-12)


def test_leaves_of_two_precisions_inside_of_jax():
    """Each gets its gradient in its own."""
    it = case()
    at = {**it.params, "w": it.params["w"].astype(jnp.float32)}
    found = jax.grad(adapter.value(it.problem))(at)
    assert {name: x.dtype.name for name, x in found.items()} == {"r": "float64", "w": "float32", "b": "float64"}


def test_a_problem_that_is_not_written_in_jax():
    """A dict of NumPy's is one of JAX's, too."""
    same = numpy_s()
    at = {name: jnp.asarray(x) for name, x in PIECES.items()}
    for dtype in (np.float32, np.float64):
        check = adapter.assert_hypergradient(jax.grad(lambda p: unrolled(**p)), same, at, dtype=dtype)
        assert check.precision == np.dtype(dtype).name
    found = jax.grad(adapter.value(same))(at)
    for name, expected in bg.hypergradient(same, PIECES).tree.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)


def test_a_session_in_single_precision():
    """The reference in its graphs, and gradients of problems that are not written in JAX; models it cannot solve it refuses."""
    code = f"""
import jax, jax.numpy as jnp, numpy as np, boltzgrad as bg
from importlib.util import module_from_spec, spec_from_file_location
update, jax.config.update = jax.config.update, lambda *arguments: None
spec = spec_from_file_location("mine", {__file__!r})
mine = module_from_spec(spec); spec.loader.exec_module(mine)
assert not jax.config.jax_enable_x64
it = mine.case()
found = jax.jit(jax.grad(mine.adapter.value(it.problem)))(it.params)
print(*sorted(found), *dict.fromkeys(str(x.dtype) for x in found.values()))
print(*np.concatenate([found["r"].ravel(), found["w"], found["b"][None]]))
at = {{name: jnp.asarray(x) for name, x in mine.PIECES.items()}}
print(mine.adapter.assert_hypergradient(jax.grad(lambda p: mine.unrolled(**p)), mine.numpy_s(), at).precision)
try:
    bg.hypergradient(it.problem, it.params)
except bg.errors.InvalidOption as error:
    print(error)
"""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout.splitlines()
    assert out[0] == "b r w float32"
    expected = bg.hypergradient(numpy_s(), PIECES).gradient
    np.testing.assert_allclose(np.array(out[1].split(), float), expected, rtol=1e-5, atol=1e-5)
    assert out[2] == "float32"
    assert out[3].startswith("a model written in JAX is solved in float64, and this session is in single precision")


def test_shapes_are_enough():
    it = case()
    problem = adapter.configurable_mdp(
        lambda p: in_jax(*it.read(p)), like=jax.eval_shape(lambda: it.params), **CONSTANTS
    )
    np.testing.assert_array_equal(
        bg.hypergradient(problem, it.params).gradient, bg.hypergradient(it.problem, it.params).gradient
    )


def test_a_single_array_of_any_shape():
    problem = adapter.configurable_mdp(lambda r: in_jax(r, TILT, WARMTH), like=jnp.zeros((2, 2)), **CONSTANTS)
    it = case()
    expected = bg.hypergradient(it.problem, it.params).tree["r"]
    found = bg.hypergradient(problem, jnp.asarray(REWARD))
    assert found.tree.shape == (2, 2)
    np.testing.assert_allclose(found.tree, expected, rtol=1e-12)
    gradient = jax.grad(lambda r: unrolled(r, TILT, WARMTH))
    adapter.assert_hypergradient(gradient, problem, jnp.asarray(REWARD))
    np.testing.assert_allclose(jax.grad(adapter.value(problem))(jnp.asarray(REWARD)), expected, rtol=1e-12)
    with pytest.raises(bg.errors.GradientMismatch, match=r"theta\[\d, \d\]: yours"):
        adapter.assert_hypergradient(lambda r: gradient(r).T, problem, jnp.asarray(REWARD))


def test_leaves_are_found_by_their_names():
    """A mapping of another kind, whose leaves JAX hands out in another order, is the same parameters."""
    it = case()
    other = OrderedDict((name, it.params[name]) for name in "wbr")
    assert [x.shape for x in jax.tree_util.tree_leaves(other)] != [
        x.shape for x in jax.tree_util.tree_leaves(it.params)
    ]
    expected = bg.hypergradient(it.problem, it.params)
    np.testing.assert_array_equal(bg.hypergradient(it.problem, other).theta, expected.theta)
    adapter.assert_hypergradient(
        lambda p: OrderedDict((name, expected.tree[name]) for name in "wbr"), it.problem, other
    )


def test_an_ascent_in_the_shape_of_the_parameters():
    it = case("NamedTuple")
    params, values = it.params, []
    for _ in range(5):
        reference = bg.hypergradient(it.problem, params)
        values.append(reference.value)
        params = jax.tree_util.tree_map(lambda x, g: x + 0.05 * g, params, reference.tree)
    assert values == sorted(values)
    assert values[-1] > values[0] + 0.1


def without(tree, key):
    return {k: x for k, x in tree.items() if k != key}


ODD = {
    "a leaf missing": (lambda p: without(p, "b"), r"{} lacks \['b'\]; expected .* the leaves \['b'\], \['r'\], \['w'\]$"),
    "a leaf too many": (lambda p: {**p, "x": p["b"]}, r"{} has \['x'\]; expected"),
    "another name": (lambda p: {**without(p, "w"), "v": p["w"]}, r"{} lacks \['w'\] and has \['v'\]; expected"),
    "another container": (lambda p: tuple(p.values()), r"{} lacks \['b'\] and has \[0\]; expected"),
    "one level more": (lambda p: {**p, "w": {"k": p["w"]}}, r"{} lacks \['w'\] and has \['w'\]\['k'\]; expected"),
    "another shape": (lambda p: {**p, "r": p["r"].ravel()}, r"{}\['r'\] has shape \(4,\).*, expected \(2, 2\)"),
    "integers": (lambda p: {**p, "w": jnp.zeros(2, int)}, r"{}\['w'\] h(as|olds) .*int64"),
    "an int": (lambda p: {**p, "b": 1}, r"{}\['b'\] h(as|olds) .*int64"),
    "booleans": (lambda p: {**p, "w": p["w"] > 0}, r"{}\['w'\] h(as|olds) .*bool"),
    "complex": (lambda p: {**p, "w": p["w"] + 1j}, r"{}\['w'\] h(as|olds) .*complex128"),
    "half precision": (lambda p: {**p, "w": p["w"].astype(jnp.bfloat16)}, r"{}\['w'\] h(as|olds) .*bfloat16"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_theta_that_does_not_fit_is_named(name):
    it = case()
    spoil, words = ODD[name]
    theta = spoil(it.params)
    for ask in (
        lambda: bg.hypergradient(it.problem, theta),
        lambda: adapter.assert_hypergradient(jax.grad(it.j), it.problem, theta),
        lambda: adapter.value(it.problem)(theta),
    ):
        with pytest.raises(bg.errors.InvalidTheta, match=words.format("theta")):
            ask()


@pytest.mark.parametrize("name", ODD)
def test_a_gradient_that_does_not_fit_is_named(name):
    it = case()
    spoil, words = ODD[name]
    tree = bg.hypergradient(it.problem, it.params).tree
    with pytest.raises(bg.errors.InvalidCandidate, match=words.format("the candidate")):
        adapter.assert_hypergradient(spoil(tree), it.problem, it.params)
    with pytest.raises(bg.errors.InvalidCandidate, match=words.format("your function's gradient")):
        adapter.assert_hypergradient(lambda p: spoil(tree), it.problem, it.params)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"w": jnp.zeros(2, int)}, r"like\['w'\] holds int64 values, expected float64 or float32"),
        ({"w": [jnp.zeros(2), 3]}, r"like\['w'\]\[1\] holds int64 values"),
        ({"w": jnp.zeros(2), "b": "no"}, r"like\['b'\] holds <U2 values"),
        ({"w": jnp.zeros(2), "b": object()}, r"like\['b'\] is a object and holds no numbers"),
        ({"w": jax.ShapeDtypeStruct((2,), jnp.int32)}, r"like\['w'\] holds int32 values"),
        ({"w": None}, "like holds no numbers"),
        ({}, "like holds no numbers"),
    ],
)
def test_a_like_that_is_none(like, words):
    for make in (
        lambda: adapter.configurable_mdp(in_jax, like=like, **CONSTANTS),
        lambda: adapter.linear_quadratic(in_jax, like=like, **CONSTANTS, temperature=0.1),
        lambda: adapter.leader_policy(in_jax, like=like),
    ):
        with pytest.raises(bg.errors.InvalidOption, match=words):
            make()


def test_a_dim_beside_it():
    it = case()
    with pytest.raises(bg.errors.InvalidOption, match="dim is 3, and like holds 7 numbers"):
        adapter.configurable_mdp(in_jax, dim=3, like=it.params, **CONSTANTS)
    with pytest.raises(bg.errors.InvalidOption, match="dim is None; expected a positive integer"):
        adapter.configurable_mdp(in_jax, **CONSTANTS)


def test_numbers_that_are_not_finite():
    it = case()
    tree = bg.hypergradient(it.problem, it.params).tree
    with pytest.raises(bg.errors.InvalidTheta, match=r"theta\['r'\]\[0, 1\] is nan; every entry must be finite"):
        bg.hypergradient(it.problem, {**it.params, "r": it.params["r"].at[0, 1].set(jnp.nan)})
    with pytest.raises(bg.errors.InvalidCandidate, match=r"the candidate\['w'\]\[1\] is inf; every entry must be"):
        adapter.assert_hypergradient({**tree, "w": tree["w"].at[1].set(jnp.inf)}, it.problem, it.params)


def test_value_and_grad_and_nothing():
    it = case()
    for make, k in ((jax.value_and_grad(it.j), 1), (jax.grad(lambda p: (it.j(p), p["b"]), has_aux=True), 0)):
        with pytest.raises(bg.errors.InvalidCandidate, match=rf"has_aux\? Use lambda theta: f\(theta\)\[{k}\]$"):
            adapter.assert_hypergradient(make, it.problem, it.params)
    with pytest.raises(bg.errors.InvalidCandidate, match=r"is None; .*is a `return` missing"):
        adapter.assert_hypergradient(lambda p: None, it.problem, it.params)


def test_a_function_that_takes_other_parameters():
    it = case()
    odd = adapter.configurable_mdp(lambda p: in_jax(p["r"], p["w"], p["x"]), like=it.params, **CONSTANTS)
    with pytest.raises(
        bg.errors.InvalidModel,
        match=r"theta, which is theta\['b'\] \(\), theta\['r'\] \(2, 2\), theta\['w'\] \(2,\), as in like: KeyError: 'x'",
    ):
        bg.hypergradient(odd, it.params)


def test_a_cut_graph_is_told_with_the_leaf():
    it = case()
    cut = adapter.configurable_mdp(
        lambda p: {**in_jax(*it.read(p)), "temperature": jnp.exp(jax.lax.stop_gradient(p["b"]))},
        like=it.params,
        **CONSTANTS,
    )
    with pytest.raises(
        bg.errors.GradientMismatch, match=r"model's derivative is wrong.*\(theta\[0\] is theta\['b'\]\)"
    ):
        adapter.assert_hypergradient(jax.grad(it.j), cut, it.params)


def test_random_gradients_are_told_with_the_leaf():
    it, rng = case(), np.random.default_rng(0)

    def gradient(params):
        exact = jax.grad(it.j)(params)
        return {**exact, "w": exact["w"].at[1].add(rng.normal())}

    with pytest.raises(bg.errors.NotDeterministic, match=r"coordinate 6, theta\['w'\]\[1\] was"):
        adapter.assert_hypergradient(gradient, it.problem, it.params)


def test_leaders_of_games():
    base = bg.problems.load("random-game")
    shape = (base.n_states, base.n_leader_actions)
    like = {"bias": jnp.zeros(shape[1]), "table": jnp.zeros(shape)}
    game = bg.MarkovGame(
        base.joint.transition,
        base.joint.initial,
        base.joint.follower_reward.reshape(*shape, -1),
        base.joint.leader_reward.reshape(*shape, -1),
        policy=adapter.leader_policy(lambda p: jax.nn.softmax(p["table"] + p["bias"], axis=-1), like=like),
        **base._constants(),
    )
    table = base.initial_theta(seed=0).reshape(shape)
    theta = {"bias": jnp.array([0.1, -0.2, 0.3]), "table": jnp.asarray(table)}
    exact = bg.hypergradient(base, (table + np.asarray(theta["bias"])).ravel()).gradient.reshape(shape)
    found = bg.hypergradient(game, theta)
    np.testing.assert_allclose(found.tree["table"], exact, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found.tree["bias"], exact.sum(axis=0), rtol=1e-9, atol=1e-11)
    inside = jax.grad(adapter.value(game))(theta)
    np.testing.assert_allclose(inside["bias"], exact.sum(axis=0), rtol=1e-9, atol=1e-11)


def test_linear_quadratic_problems():
    def matrices(A, B, cost):
        return {
            "A": A,
            "B": B,
            "W": 0.1 * np.eye(2),
            "Q": np.eye(2),
            "R": cost * np.eye(1),
            "mean": np.array([1.0, 0.0]),
            "covariance": np.zeros((2, 2)),
            "leader_Q": np.eye(2),
        }

    options = {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.1}
    like = {"plant": {"A": np.array([[0.9, 0.1], [0.0, 0.8]]), "B": np.array([[0.1], [1.0]])}, "log_cost": -0.2}
    problem = adapter.linear_quadratic(
        lambda p: matrices(p["plant"]["A"], p["plant"]["B"], jnp.exp(p["log_cost"])), like=like, **options
    )
    same = bg.LinearQuadratic(
        lambda p: bg.LQModel(**matrices(p["plant"]["A"], p["plant"]["B"], anp.exp(p["log_cost"])), **options), like=like
    )
    found, expected = bg.hypergradient(problem, like).tree, bg.hypergradient(same, like).tree
    assert isinstance(found["plant"]["A"], jax.Array)
    for one, other in ((found["plant"], expected["plant"]), ({"c": found["log_cost"]}, {"c": expected["log_cost"]})):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-10, atol=1e-12)
    inside = jax.grad(adapter.value(problem))(jax.tree_util.tree_map(jnp.asarray, like))
    np.testing.assert_allclose(inside["plant"]["B"], expected["plant"]["B"], rtol=1e-10, atol=1e-12)
