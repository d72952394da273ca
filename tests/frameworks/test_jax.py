"""JAX, for real: models in it as problems, gradients in it checked, reference gradients inside of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.testing import foreign
from tests_helpers import optional

jax = optional("jax")
jax.config.update("jax_enable_x64", True)  # sessions in single precision: in processes of their own, below
jnp = jax.numpy
adapter = bg.testing.jax

S, A, D = 4, 3, 5
CONSTANTS = {"follower_discount": 0.9, "leader_discount": 0.95, "temperature": 0.5}
rng = np.random.default_rng(0)
LOGITS, TILT = rng.normal(size=(S, A, S)), rng.normal(size=(S, A, S, D))
REWARD, SLOPE, START = rng.normal(size=(S, A)), rng.normal(size=(S, A, D)), np.full(S, 1 / S)
THETA = 0.3 * rng.normal(size=D)


def arrays(theta):
    return {
        "transition": jax.nn.softmax(LOGITS + TILT @ theta, axis=-1),
        "initial": START,
        "follower_reward": REWARD + SLOPE @ theta,
        "leader_reward": REWARD**2,
    }


def unrolled(theta, sweeps=700):
    """J by soft value iteration in JAX, in the precision of θ."""
    m = {name: jnp.asarray(x, theta.dtype) for name, x in arrays(theta).items()}
    gamma, beta, tau = CONSTANTS.values()

    def backup(v, _):
        return tau * jax.nn.logsumexp((m["follower_reward"] + gamma * m["transition"] @ v) / tau, axis=1), None

    v, _ = jax.lax.scan(backup, jnp.zeros(S, theta.dtype), None, length=sweeps)
    policy = jax.nn.softmax((m["follower_reward"] + gamma * m["transition"] @ v) / tau, axis=1)

    def evaluate(v, _):
        return (policy * (m["leader_reward"] + beta * m["transition"] @ v)).sum(axis=1), None

    v, _ = jax.lax.scan(evaluate, jnp.zeros(S, theta.dtype), None, length=sweeps)
    return m["initial"] @ v


@pytest.fixture(scope="module")
def problem():
    return adapter.configurable_mdp(arrays, dim=D, name="in jax", **CONSTANTS)


@pytest.fixture(scope="module")
def exact(problem):
    return bg.hypergradient(problem, THETA).gradient


def test_every_route_confirms_a_model_written_in_jax(problem):
    report = bg.verify(problem, THETA)
    assert report.ok, str(report)
    assert {str(row.verdict) for row in report.rows[1:]} == {"agrees"}


def test_a_wrong_derivative_of_the_framework_is_found(problem, monkeypatch):
    """The control: a vector-Jacobian product that loses a factor is caught by the routes that do not use it."""
    source = foreign.foreign_of(problem)
    right = type(source).pull_back
    monkeypatch.setattr(type(source), "pull_back", lambda self, theta, g: 1.001 * right(self, theta, g))
    assert not bg.verify(problem, THETA, routes=["covariance", "complex-step"]).ok


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_a_gradient_computed_in_jax(problem, jit, double):
    gradient = jax.grad(unrolled)
    check = adapter.assert_hypergradient(
        jax.jit(gradient) if jit else gradient, problem, THETA, dtype=np.float64 if double else np.float32
    )
    assert check.precision == ("float64" if double else "float32")
    assert check.difference < (1e-11 if double else 1e-3)


def in_single_precision(code):
    """What a session prints in which `jax_enable_x64` is off, as JAX has it by default."""
    head = f"""
import jax, jax.numpy as jnp, numpy as np, boltzgrad as bg, warnings
warnings.simplefilter("error")
from importlib.util import module_from_spec, spec_from_file_location
update, jax.config.update = jax.config.update, lambda *arguments: None
spec = spec_from_file_location("mine", {__file__!r})
mine = module_from_spec(spec); spec.loader.exec_module(mine)
assert not jax.config.jax_enable_x64
problem = mine.adapter.configurable_mdp(mine.arrays, dim=mine.D, **mine.CONSTANTS)
"""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_session_in_single_precision():
    """Gradients are checked in float32 there, and the reference lives in its graphs; models it cannot solve it refuses."""
    out = in_single_precision(
        """
lqr = bg.problems.load("random-lqr")
theta = lqr.initial_theta(seed=0)
j = mine.adapter.value(lqr)
check = mine.adapter.assert_hypergradient(jax.jit(jax.grad(j)), lqr, theta)
print("precision", check.precision)
try:
    mine.adapter.assert_hypergradient(lambda t: 1.01 * jax.grad(j)(t), lqr, theta)
except bg.errors.GradientMismatch as error:
    print("wrong:", str(error).splitlines()[-1])
value, gradient = jax.jit(jax.value_and_grad(mine.adapter.value(problem)))(jnp.asarray(mine.THETA))
print("dtype", gradient.dtype)
print("gradient", *gradient)
for make in (lambda: bg.hypergradient(problem, mine.THETA),
             lambda: mine.adapter.assert_hypergradient(jax.grad(j), lqr, theta, dtype=np.float64)):
    try:
        make()
    except bg.errors.InvalidOption as error:
        print("refused:", error)
"""
    ).splitlines()
    assert out[0] == "precision float32"
    assert out[1] == "wrong: looks like: it is 1.00999995 × ∇J: right in direction, wrong in length"  # 1.01 in float32
    assert out[2] == "dtype float32"
    exact = bg.hypergradient(adapter.configurable_mdp(arrays, dim=D, **CONSTANTS), THETA).gradient
    assert np.array(out[3].split()[1:], float) == pytest.approx(exact, rel=1e-5, abs=1e-5)
    assert out[4].startswith("refused: a model written in JAX is solved in float64, and this session is in single")
    assert out[5].startswith("refused: dtype is float64; call jax.config.update")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wrong_gradients_in_jax_are_rejected(problem, dtype):
    """Stopped at the follower's answer (and named), and a follower stopped early."""

    def frozen(theta):
        m = {name: jnp.asarray(x, theta.dtype) for name, x in arrays(theta).items()}
        policy = jax.lax.stop_gradient(jnp.asarray(answer, theta.dtype))
        chain = jnp.einsum("sa,sat->st", policy, m["transition"])
        matrix = jnp.eye(S, dtype=theta.dtype) - jnp.asarray(0.95, theta.dtype) * chain
        return m["initial"] @ jnp.linalg.solve(matrix, (policy * m["leader_reward"]).sum(axis=1))

    answer = bg.hypergradient(problem, THETA).follower.policy
    with pytest.raises(bg.errors.GradientMismatch, match="Naive-PGD"):
        adapter.assert_hypergradient(jax.grad(frozen), problem, THETA, dtype=dtype)
    early = jax.grad(lambda theta: unrolled(theta, sweeps=20))
    with pytest.raises(bg.errors.GradientMismatch, match="the difference is yours"):
        adapter.assert_hypergradient(early, problem, THETA, dtype=dtype)


def test_theta_is_what_the_function_sees(problem):
    """In single precision θ is rounded first: a steep gradient is not blamed for that."""
    seen = []

    def gradient(theta):
        seen.append(theta)
        return jax.grad(unrolled)(theta)

    check = adapter.assert_hypergradient(gradient, problem, THETA, dtype=np.float32)
    assert isinstance(seen[0], jax.Array)
    assert seen[0].dtype == jnp.float32
    assert np.array_equal(check.reference.theta, THETA.astype(np.float32).astype(float))


def test_plain_functions_that_return_jax_arrays(problem):
    assert bg.testing.assert_hypergradient(jax.grad(unrolled), problem, THETA).ok


def test_the_reference_inside_of_jax(problem, exact):
    j = adapter.value(problem)
    for transform in (lambda f: f, jax.jit):
        for dtype, rel in ((jnp.float32, 1e-5), (jnp.float64, 1e-12)):
            value, gradient = transform(jax.value_and_grad(j))(jnp.asarray(THETA, dtype))
            assert value.dtype == gradient.dtype == dtype
            assert value == pytest.approx(bg.hypergradient(problem, THETA).value, rel=rel)
            assert np.asarray(gradient) == pytest.approx(exact, rel=rel, abs=rel)
    many = jax.vmap(jax.grad(j))(jnp.stack([jnp.asarray(THETA), jnp.asarray(THETA) + 0.1]))
    assert np.asarray(many[0]) == pytest.approx(exact, rel=1e-12)
    assert np.asarray(many[1]) == pytest.approx(bg.hypergradient(problem, THETA + 0.1).gradient, rel=1e-12)
    # Inside of something larger, with a factor of its own.
    outer = jax.grad(lambda theta: 3.0 * j(2.0 * theta) + theta.sum())(jnp.asarray(THETA / 2))
    assert np.asarray(outer) == pytest.approx(6.0 * exact + 1.0, rel=1e-12)


@pytest.mark.parametrize("name", ["random-game", "random-lqr", "four-rooms"])
def test_problems_that_are_not_written_in_jax(name):
    problem = bg.problems.load(name)
    theta = problem.initial_theta(seed=0)
    found = jax.jit(jax.grad(adapter.value(problem)))(jnp.asarray(theta))
    assert np.asarray(found) == pytest.approx(bg.hypergradient(problem, theta).gradient, rel=1e-12)


def test_an_ascent_in_a_training_loop(problem):
    j = jax.jit(jax.value_and_grad(adapter.value(problem)))
    theta, values = jnp.asarray(THETA), []
    for _ in range(20):
        value, gradient = j(theta)
        values.append(float(value))
        theta = theta + 0.01 * gradient
    assert values[-1] > values[0] + 0.5


def test_games_and_linear_quadratic_problems():
    base = bg.problems.load("random-game")
    shape = (base.n_states, base.n_leader_actions)
    game = bg.MarkovGame(
        base.joint.transition,
        base.joint.initial,
        base.joint.follower_reward.reshape(20, 3, 3),
        base.joint.leader_reward.reshape(20, 3, 3),
        policy=adapter.leader_policy(lambda theta: jax.nn.softmax(theta.reshape(shape), axis=-1), dim=base.dim),
        **base._constants(),
    )
    theta = base.initial_theta(seed=0)
    exact = bg.hypergradient(base, theta).gradient
    assert bg.hypergradient(game, theta).gradient == pytest.approx(exact, rel=1e-10, abs=1e-12)
    assert bg.verify(game, theta, routes=["theorem2", "unrolled-implicit", "complex-step"]).ok

    def matrices(theta):
        return {
            "A": jnp.array([[0.9, 0.1], [0.0, 0.8]]) + theta[0] * jnp.eye(2),
            "B": jnp.array([[0.0], [1.0]]) + theta[1],
            "W": 0.1 * jnp.eye(2),
            "Q": jnp.eye(2),
            "R": jnp.exp(theta[2]) * jnp.eye(1),
            "mean": jnp.array([1.0, 0.0]),
            "covariance": jnp.zeros((2, 2)),
            "leader_Q": jnp.eye(2),
        }

    options = {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.1}
    lqr = adapter.linear_quadratic(matrices, dim=3, **options)
    at = np.array([0.01, 0.1, -0.2])
    report = bg.verify(lqr, at)
    assert report.ok, str(report)
    for problem, x in ((game, theta), (lqr, at)):
        found = jax.jit(jax.grad(adapter.value(problem)))(jnp.asarray(x))
        assert np.asarray(found) == pytest.approx(bg.hypergradient(problem, x).gradient, rel=1e-9, abs=1e-12)


def test_arrays_held_in_single_precision():
    """Rows of float32 miss one by rounding: they are normalised, with their derivative, and nothing warns."""
    kernel = jnp.array([[[0.9, 0.1], [0.3, 0.7]], [[0.1, 0.9], [0.6, 0.4]]], jnp.float32)

    def single(theta, cast=lambda x: x):
        weight = jax.nn.sigmoid(theta[0])
        return {
            "transition": cast(weight * kernel + (1.0 - weight) * kernel[::-1]),
            "initial": jnp.array([0.3, 0.7], jnp.float32),
            "follower_reward": theta.reshape(2, 2),
            "leader_reward": jnp.eye(2),
        }

    problem = adapter.configurable_mdp(single, dim=4, **CONSTANTS)
    theta = np.array([0.3, -0.2, 0.1, 0.4])
    assert 1e-9 < np.abs(np.asarray(kernel, float).sum(axis=2) - 1.0).max() < 1e-7
    assert np.abs(problem.model(theta).transition.sum(axis=2) - 1.0).max() < 1e-15
    assert bg.verify(problem, theta).ok
    # Rounded on the way: derivatives of single precision, and the report says so.
    rounded = adapter.configurable_mdp(lambda t: single(t, lambda x: x.astype(jnp.float32)), dim=4, **CONSTANTS)
    report = bg.verify(rounded, theta, routes=["covariance", "differences"])
    assert not report.ok
    assert "single precision" in str(report)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda theta: theta, "InvalidModel", "expected a dict of arrays by the names of the model's fields"),
        (
            lambda theta: {**arrays(theta), "reward": theta},
            "InvalidModel",
            "returned an array 'reward'; expected some of",
        ),
        (lambda theta: {"initial": START}, "InvalidModel", "arrays do not make a TabularModel: .*missing"),
        (lambda theta: {**arrays(theta), "initial": 2 * START}, "InvalidModel", "initial sums to 2"),
        (
            lambda theta: {**arrays(theta), "follower_reward": np.asarray(theta).sum() * REWARD},
            "NotDifferentiable",
            "JAX could not differentiate the model: TracerArrayConversionError",
        ),
    ],
)
def test_functions_that_are_no_models(function, error, message):
    problem = adapter.configurable_mdp(function, dim=D, **CONSTANTS)
    with pytest.raises(getattr(bg.errors, error), match=message):
        bg.hypergradient(problem, THETA)


def test_objectives_belong_into_jax(problem):
    own = adapter.configurable_mdp(arrays, dim=D, regulariser=lambda theta: theta.sum(), **CONSTANTS)
    with pytest.raises(bg.errors.InvalidOption, match="add that part in JAX"):
        adapter.value(own)


def test_other_precisions_are_refused(problem):
    with pytest.raises(bg.errors.InvalidOption, match="dtype is float16"):
        adapter.assert_hypergradient(jax.grad(unrolled), problem, THETA, dtype=np.float16)


@pytest.fixture(scope="module")
def plain():
    """A problem that no framework has a part in, θ and its gradient."""
    problem = bg.problems.load("random-lqr")
    theta = problem.initial_theta(seed=0)
    return problem, theta, bg.hypergradient(problem, theta).gradient


def test_arrays_that_are_being_traced(plain):
    problem, theta, exact = plain

    def inside(t):
        bg.testing.check_hypergradient(exact * t, problem, theta)
        return t

    for transform in (jax.jit, jax.grad):
        with pytest.raises(bg.errors.InvalidCandidate, match=r"traced by JAX .*outside of jax.jit"):
            transform(inside)(1.0)

    def inside_theta(t):
        bg.testing.check_hypergradient(exact, problem, t)
        return t[0]

    with pytest.raises(bg.errors.InvalidTheta, match="theta is being traced by JAX"):
        jax.jit(inside_theta)(theta)


@pytest.mark.parametrize(
    "theta", [np.zeros(D, int), np.zeros(D, bool), np.zeros(D, complex), np.zeros((1, D)), np.zeros(D + 2)]
)
def test_thetas_that_the_reference_does_not_take(problem, theta):
    for any_problem in (problem, bg.problems.load("random-lqr")):
        with pytest.raises(bg.errors.InvalidTheta, match=r"theta has shape .* expected"):
            adapter.value(any_problem)(jnp.asarray(theta))


def test_complex_arrays_are_refused(problem):
    odd = adapter.configurable_mdp(lambda t: {**arrays(t), "leader_reward": REWARD + 1j}, dim=D, **CONSTANTS)
    with pytest.raises(bg.errors.InvalidModel, match="leader_reward is complex"):
        bg.hypergradient(odd, THETA)


def test_no_problem_no_precision(problem):
    with pytest.raises(bg.errors.InvalidOption, match="problem is a NoneType"):
        adapter.value(None)
    with pytest.raises(bg.errors.InvalidOption, match="dtype is 'x'"):
        adapter.assert_hypergradient(jax.grad(unrolled), problem, THETA, dtype="x")


def swept(p, rho, r_follower, r_leader, gamma, beta, tau, sweeps):
    """J of a dense model by soft value iteration and policy evaluation, in the precision of its arrays."""

    def soft(v, _):
        q = r_follower + gamma * p @ v
        return tau * jax.nn.logsumexp(q / tau, axis=1), None

    v, _ = jax.lax.scan(soft, jnp.zeros_like(rho), None, length=sweeps)
    policy = jax.nn.softmax((r_follower + gamma * p @ v) / tau, axis=1)
    worth, _ = jax.lax.scan(
        lambda u, _: ((policy * (r_leader + beta * p @ u)).sum(axis=1), None), jnp.zeros_like(rho), None, length=sweeps
    )
    return rho @ worth


@pytest.mark.parametrize("temperature", [0.001, 0.003, 0.005, 0.05])
def test_what_single_precision_loses(temperature):
    """The measurement behind `SINGLE_SAFETY`: within once the estimate in float32's units; the allowance is four times that."""
    problem = bg.problems.load("four-rooms", temperature=temperature, kernel="simulator")
    theta = problem.initial_theta(seed=0).astype(np.float32).astype(float)
    reference, model = bg.hypergradient(problem, theta), problem.model(theta)
    p = model.transition if isinstance(model.transition, np.ndarray) else model.transition.toarray()
    given = (p.reshape(104, 4, 104), model.initial, model.follower_reward, model.leader_reward)
    constants = (model.follower_discount, model.leader_discount, model.temperature)
    single = [jnp.asarray(x, jnp.float32) for x in (*given, *constants)]
    slopes = jax.jit(jax.grad(swept, argnums=(2, 3)), static_argnums=7)(*single, 1840)
    assert {x.dtype for x in slopes} == {jnp.dtype("float32")}
    arrays = problem.linearise(theta)
    found = np.array(
        [
            sum(
                (np.asarray(g, float) * s).sum()
                for g, s in zip(slopes, (c.models[0].follower_reward, c.models[0].leader_reward), strict=True)
            )
            for c in arrays.columns()
        ]
    )
    off = np.abs(found - reference.gradient).max()
    unit = reference.error_estimate * np.finfo(np.float32).eps / np.finfo(float).eps
    assert 1e-3 * unit < off < unit
    assert bg.testing.check_hypergradient(found.astype(np.float32), problem, theta).verdict != "disagrees"


def moving(theta):
    """The model with a leader's reward that moves with θ, too."""
    return {**arrays(theta), "leader_reward": REWARD**2 + SLOPE @ theta}


CUT = {
    "stop_gradient in leader_reward": (
        lambda theta: {**moving(theta), "leader_reward": REWARD**2 + SLOPE @ jax.lax.stop_gradient(theta)},
        "leader_reward",
    ),
    "stop_gradient in the kernel": (
        lambda theta: {**moving(theta), "transition": jax.lax.stop_gradient(arrays(theta)["transition"])},
        "transition",
    ),
    "stop_gradient of one coordinate": (
        lambda theta: {
            **moving(theta),
            "follower_reward": REWARD + SLOPE @ theta.at[2].set(jax.lax.stop_gradient(theta[2])),
        },
        "follower_reward",
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_a_graph_that_is_cut_in_the_model(name):
    """Neither the right gradient nor the reference's own is confirmed, and nobody is blamed for the other."""
    function, array = CUT[name]
    cut = adapter.configurable_mdp(function, dim=D, **CONSTANTS)
    right = bg.hypergradient(adapter.configurable_mdp(moving, dim=D, **CONSTANTS), THETA).gradient
    own = bg.hypergradient(cut, THETA).gradient
    assert np.abs(own - right).max() > 1e-3 * np.abs(right).max()
    coordinate = 2 if name.endswith("one coordinate") else r"\d"
    said = (
        rf"model's derivative is wrong: the derivative of {array}\[\d, \d.* along theta\[{coordinate}\] is -?0, "
        r"and its slope .*stop_gradient"
    )
    for candidate in (right, own, -right):
        check = bg.testing.check_hypergradient(candidate, cut, THETA)
        assert (check.verdict, check.ok) == ("model's derivative is wrong", False)
        assert check.model.array.startswith(f"{array}[")
        assert 0 <= check.model.coordinate < D
        with pytest.raises(bg.errors.GradientMismatch, match=said):
            bg.testing.assert_hypergradient(candidate, cut, THETA)
        with pytest.raises(bg.errors.GradientMismatch, match=said):
            adapter.assert_hypergradient(lambda theta, g=candidate: jnp.asarray(g), cut, THETA)
    report = bg.verify(cut, THETA)
    assert not report.ok
    assert {str(row.verdict) for row in report.rows[1:]} == {"skipped"}


@pytest.mark.parametrize("use", [lambda t: t["w"], lambda t: t.w, lambda t: dict(t), lambda t: sum(t[:2], *t[2:])])
def test_parameters_that_are_a_pytree(use):
    odd = adapter.configurable_mdp(lambda theta: {**arrays(theta), "x": use(theta)}, dim=D, **CONSTANTS)
    with pytest.raises(bg.errors.InvalidModel, match=r"theta, which is a flat array of shape \(5,\): .*as like= in"):
        bg.hypergradient(odd, THETA)


def test_a_pytree_raveled_by_hand():
    from jax.flatten_util import ravel_pytree

    flat, unravel = ravel_pytree({"w": jnp.asarray(THETA[:2]), "b": jnp.asarray(THETA[2:])})

    def in_pieces(p):
        return arrays(jnp.concatenate([p["b"], p["w"]]))

    problem = adapter.configurable_mdp(lambda theta: in_pieces(unravel(theta)), dim=flat.size, **CONSTANTS)
    assert bg.hypergradient(problem, np.asarray(flat)).gradient.shape == (D,)
    with pytest.raises(bg.errors.InvalidTheta, match=r"theta is a dict; expected a flat array .*ravel_pytree"):
        adapter.assert_hypergradient(jax.grad(unrolled), problem, unravel(flat))
    with pytest.raises(bg.errors.InvalidCandidate, match=r"gradient is a dict; expected one flat array .*ravel_pytree"):
        adapter.assert_hypergradient(lambda t: unravel(t), problem, flat)


def test_a_pytree_returned():
    nested = adapter.configurable_mdp(
        lambda theta: {**arrays(theta), "follower_reward": {"a": REWARD, "b": SLOPE @ theta}}, dim=D, **CONSTANTS
    )
    with pytest.raises(bg.errors.InvalidModel, match=r"follower_reward is a dict; expected one array: .*not a pytree"):
        bg.hypergradient(nested, THETA)


def test_a_temperature_that_depends_on_theta():
    """As a constant it is refused, in words that say where to put it; the wrong way round, too."""
    with pytest.raises(
        bg.errors.InvalidOption, match=r"temperature is a function; expected a number\. Where .* return it"
    ):
        adapter.configurable_mdp(arrays, dim=D, **{**CONSTANTS, "temperature": lambda theta: jnp.exp(theta[0])})
    odd = adapter.configurable_mdp(lambda t: {**arrays(t), "leader_discount": 0.9}, dim=D, **CONSTANTS)
    with pytest.raises(
        bg.errors.InvalidModel, match=r"returned 'leader_discount', which is given as a constant; .* out$"
    ):
        bg.hypergradient(odd, THETA)
    with pytest.raises(bg.errors.InvalidOption, match="divide Q and R by it"):
        adapter.linear_quadratic(arrays, dim=D, **{**CONSTANTS, "temperature": lambda theta: theta[0]})
    with pytest.raises(bg.errors.InvalidModel, match="missing 1 required keyword-only argument: 'temperature'"):
        bg.hypergradient(adapter.configurable_mdp(arrays, dim=D, follower_discount=0.9, leader_discount=0.9), THETA)
    with pytest.raises(bg.errors.InvalidOption, match=r"leader_discount is 0\.9, and averages have none"):
        adapter.configurable_mdp(arrays, dim=D, leader_discount=0.9, temperature=0.5, average=True)
    unknown = adapter.configurable_mdp(lambda t: {**arrays(t), "colour": REWARD}, dim=D, **CONSTANTS)
    with pytest.raises(bg.errors.InvalidModel, match="an array 'colour'; expected some of transition, ") as caught:
        bg.hypergradient(unknown, THETA)
    assert not any(own in str(caught.value) for own in ("made_with", "given", "unit", "moving"))


def table(theta, xp):
    """The arrays above in either autograd.numpy or JAX."""
    e = xp.exp(LOGITS + xp.dot(TILT, theta))
    return {
        "transition": e / xp.sum(e, axis=-1, keepdims=True),
        "follower_reward": REWARD + xp.dot(SLOPE, theta),
        "leader_reward": REWARD**2,
    }


def policy_of(theta, xp):
    e = xp.exp(REWARD[::-1] + np.arange(3.0) * theta[1])
    return e / xp.sum(e, axis=-1, keepdims=True)


# What depends on θ (in either framework), what does not, and the model of the library.
KINDS = {
    "rates": (
        lambda t, xp: {"initial": START, "temperature": xp.exp(t[0]), "follower_discount": 1.0 / (1.0 + xp.exp(-t[1]))},
        {"leader_discount": 0.9},
        bg.TabularModel,
    ),
    "a temperature for each state": (
        lambda t, xp: {"initial": START, "temperature": xp.exp(t[0] * np.arange(4.0) / 4)},
        {"leader_discount": 0.9, "follower_discount": 0.8},
        bg.TabularModel,
    ),
    "a reference, a leader who counts": (
        lambda t, xp: {"initial": START, "reference": policy_of(t, xp)},
        {
            "leader_discount": 1.0,
            "follower_discount": 0.8,
            "temperature": 0.5,
            "leader_horizon": 4,
            "leader_temperature": 0.3,
        },
        bg.TabularModel,
    ),
    "a horizon": (
        lambda t, xp: {
            "initial": START,
            "terminal_follower_reward": t[0] * np.arange(4.0),
            "temperature": xp.exp(t[1]),
        },
        {"leader_discount": 1.0, "follower_discount": 1.0, "horizon": 3, "available": REWARD < 1.5},
        bg.FiniteHorizonModel,
    ),
    "averages": (
        lambda t, xp: {"reference": policy_of(t, xp), "temperature": xp.exp(t[1])},
        {"leader_temperature": 0.2},
        bg.AverageRewardModel,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_follower(kind):
    """Written in JAX and in autograd.numpy, it has one hypergradient; differences and the others agree with it."""
    import autograd.numpy as anp

    more, constants, model = KINDS[kind]
    average = {"average": True} if model is bg.AverageRewardModel else {}
    problem = adapter.configurable_mdp(lambda t: {**table(t, jnp), **more(t, jnp)}, dim=D, **constants, **average)
    initial = {"initial": None} if average else {}
    same = bg.ConfigurableMDP(lambda t: model(**table(t, anp), **more(t, anp), **initial, **constants), dim=D)
    expected, found = bg.hypergradient(same, THETA), bg.hypergradient(problem, THETA)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-10, atol=1e-13)
    report = bg.verify(problem, THETA)
    assert report.ok, str(report)
    inside = jax.grad(adapter.value(problem))(jnp.asarray(THETA))
    np.testing.assert_allclose(inside, expected.gradient, rtol=1e-10, atol=1e-13)
    assert not bg.testing.check_hypergradient(1.01 * expected.gradient, problem, THETA, tolerance=1e-6).ok


@pytest.mark.parametrize("problem", [object(), lambda theta: theta, None, jnp.zeros(3)])
def test_what_is_no_problem(problem):
    with pytest.raises(bg.errors.InvalidOption, match=r"problem is a \w+; expected one of ConfigurableMDP, MarkovGame"):
        adapter.assert_hypergradient(jax.grad(unrolled), problem, THETA)


def test_value_and_grad(problem):
    both = jax.value_and_grad(unrolled)
    with pytest.raises(
        bg.errors.InvalidCandidate, match=r"a pair; expected the gradient alone: is it value_and_grad\?"
    ):
        adapter.assert_hypergradient(both, problem, THETA)
    assert adapter.assert_hypergradient(lambda theta: both(theta)[1], problem, THETA).ok
    aux = jax.grad(lambda theta: (unrolled(theta), theta), has_aux=True)
    with pytest.raises(bg.errors.InvalidCandidate, match="your function returned a pair; expected the gradient alone"):
        adapter.assert_hypergradient(aux, problem, THETA)
