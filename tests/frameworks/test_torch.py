"""PyTorch, for real: models in it as problems, gradients in it checked, reference gradients inside of it."""

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.testing import foreign
from tests_helpers import optional

torch = optional("torch")
adapter = bg.testing.torch

S, A, D = 4, 3, 5
CONSTANTS = {"follower_discount": 0.9, "leader_discount": 0.95, "temperature": 0.5}
rng = np.random.default_rng(0)
LOGITS, TILT = rng.normal(size=(S, A, S)), rng.normal(size=(S, A, S, D))
REWARD, SLOPE, START = rng.normal(size=(S, A)), rng.normal(size=(S, A, D)), np.full(S, 1 / S)
THETA = 0.3 * rng.normal(size=D)


def arrays(theta):
    def t(x):
        return torch.tensor(x, dtype=theta.dtype)

    return {
        "transition": torch.softmax(t(LOGITS) + t(TILT) @ theta, -1),
        "initial": t(START),
        "follower_reward": t(REWARD) + t(SLOPE) @ theta,
        "leader_reward": t(REWARD**2),
    }


def unrolled(theta, sweeps=500, frozen=None):
    """J by soft value iteration in PyTorch, in the precision of θ; `frozen` is an answer that does not move."""
    m = arrays(theta)
    gamma, beta, tau = CONSTANTS.values()
    v = theta.new_zeros(S)
    for _ in range(sweeps):
        v = tau * torch.logsumexp((m["follower_reward"] + gamma * m["transition"] @ v) / tau, 1)
    policy = torch.softmax((m["follower_reward"] + gamma * m["transition"] @ v) / tau, 1)
    if frozen is not None:
        policy = torch.tensor(frozen, dtype=theta.dtype)
    chain = torch.einsum("sa,sat->st", policy, m["transition"])
    worth = torch.linalg.solve(torch.eye(S, dtype=theta.dtype) - beta * chain, (policy * m["leader_reward"]).sum(1))
    return m["initial"] @ worth


def by_backward(function, **options):
    """The gradient as most PyTorch code has it: requires_grad, backward, .grad."""

    def gradient(theta):
        theta = theta.clone().requires_grad_()
        function(theta, **options).backward()
        return theta.grad

    return gradient


@pytest.fixture(scope="module")
def problem():
    return adapter.configurable_mdp(arrays, dim=D, name="in torch", **CONSTANTS)


@pytest.fixture(scope="module")
def exact(problem):
    return bg.hypergradient(problem, THETA).gradient


def test_every_route_confirms_a_model_written_in_torch(problem):
    report = bg.verify(problem, THETA)
    assert report.ok, str(report)
    assert {str(row.verdict) for row in report.rows[1:]} == {"agrees"}


def test_a_wrong_derivative_of_the_framework_is_found(problem, monkeypatch):
    """The control: a vector-Jacobian product that loses a factor is caught by the routes that do not use it."""
    source = foreign.foreign_of(problem)
    right = type(source).pull_back
    monkeypatch.setattr(type(source), "pull_back", lambda self, theta, g: 1.001 * right(self, theta, g))
    assert not bg.verify(problem, THETA, routes=["covariance", "complex-step"]).ok


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gradient", [by_backward(unrolled), torch.func.grad(unrolled)], ids=["backward", "func.grad"])
def test_a_gradient_computed_in_torch(problem, gradient, dtype):
    check = adapter.assert_hypergradient(gradient, problem, THETA, dtype=getattr(torch, dtype))
    assert check.precision == dtype
    assert check.difference < (1e-11 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrong_gradients_in_torch_are_rejected(problem, dtype):
    answer = bg.hypergradient(problem, THETA).follower.policy
    with pytest.raises(bg.errors.GradientMismatch, match="Naive-PGD"):
        adapter.assert_hypergradient(by_backward(unrolled, frozen=answer), problem, THETA, dtype=getattr(torch, dtype))
    with pytest.raises(bg.errors.GradientMismatch, match="the difference is yours"):
        adapter.assert_hypergradient(by_backward(unrolled, sweeps=2), problem, THETA, dtype=getattr(torch, dtype))


def test_a_function_that_changes_its_tensor(problem, exact):
    def gradient(theta):
        theta.mul_(2.0)
        return torch.from_numpy(exact.copy())

    with pytest.raises(bg.errors.InvalidCandidate, match="changed the theta that it was given"):
        adapter.assert_hypergradient(gradient, problem, THETA)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_inside_of_torch(problem, exact, dtype):
    j = adapter.value(problem)
    theta = torch.tensor(THETA / 2, dtype=getattr(torch, dtype), requires_grad=True)
    value = 3.0 * j(2.0 * theta) + theta.sum()
    value.backward()
    assert value.dtype == theta.dtype == theta.grad.dtype
    rel = 1e-12 if dtype == "float64" else 1e-5
    assert theta.grad.numpy() == pytest.approx(6.0 * exact + 1.0, rel=rel)


def test_second_derivatives_are_refused_and_not_zero(problem):
    j, theta = adapter.value(problem), torch.tensor(THETA, requires_grad=True)
    value = j(theta)
    (slope,) = torch.autograd.grad(value, theta, create_graph=True)
    penalised = value + 100.0 * (slope**2).sum()
    with pytest.raises(bg.errors.NotDifferentiable, match="differentiated once"):
        penalised.backward()
    with pytest.raises(bg.errors.NotDifferentiable, match="differentiated once"):
        torch.autograd.functional.hessian(j, theta.detach())


def test_functional_transforms(problem, exact):
    assert torch.func.grad(adapter.value(problem))(torch.tensor(THETA)).numpy() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "theta",
    [
        THETA,
        torch.zeros(D, dtype=torch.int64),
        torch.zeros(D, dtype=torch.complex128),
        torch.zeros(1, D),
        torch.zeros(D + 1),
    ],
)
def test_thetas_that_the_reference_does_not_take(problem, theta):
    with pytest.raises(bg.errors.InvalidTheta, match=r"theta (is a|has shape).*expected"):
        adapter.value(problem)(theta)


def test_complex_tensors_are_refused():
    odd = adapter.configurable_mdp(
        lambda t: {**arrays(t), "leader_reward": torch.tensor(REWARD) + 1j}, dim=D, **CONSTANTS
    )
    with pytest.raises(bg.errors.InvalidModel, match="leader_reward is complex"):
        bg.hypergradient(odd, THETA)


@pytest.mark.parametrize("name", ["random-game", "random-lqr", "four-rooms"])
def test_problems_that_are_not_written_in_torch(name):
    problem = bg.problems.load(name)
    theta = torch.tensor(problem.initial_theta(seed=0), requires_grad=True)
    adapter.value(problem)(theta).backward()
    exact = bg.hypergradient(problem, theta.detach().numpy()).gradient
    assert theta.grad.numpy() == pytest.approx(exact, rel=1e-13)


def test_an_ascent_in_a_training_loop(problem):
    j, theta = adapter.value(problem), torch.tensor(THETA, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.SGD([theta], lr=0.01, maximize=True)
    values = []
    for _ in range(20):
        optimiser.zero_grad()
        value = j(theta)
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] > values[0] + 0.5


def test_games_and_linear_quadratic_problems():
    base = bg.problems.load("random-game")
    shape = (base.n_states, base.n_leader_actions)
    game = bg.MarkovGame(
        base.joint.transition,
        base.joint.initial,
        base.joint.follower_reward.reshape(20, 3, 3),
        base.joint.leader_reward.reshape(20, 3, 3),
        policy=adapter.leader_policy(lambda theta: torch.softmax(theta.reshape(shape), -1), dim=base.dim),
        **base._constants(),
    )
    theta = base.initial_theta(seed=0)
    assert bg.hypergradient(game, theta).gradient == pytest.approx(
        bg.hypergradient(base, theta).gradient, rel=1e-10, abs=1e-12
    )

    def matrices(theta):
        one = torch.eye(2, dtype=theta.dtype)
        return {
            "A": torch.tensor([[0.9, 0.1], [0.0, 0.8]], dtype=theta.dtype) + theta[0] * one,
            "B": torch.tensor([[0.0], [1.0]], dtype=theta.dtype) + theta[1],
            "W": 0.1 * one,
            "Q": one,
            "R": torch.exp(theta[2]).reshape(1, 1),
            "mean": torch.tensor([1.0, 0.0], dtype=theta.dtype),
            "covariance": 0.0 * one,
            "leader_Q": one,
        }

    options = {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.1}
    report = bg.verify(adapter.linear_quadratic(matrices, dim=3, **options), np.array([0.01, 0.1, -0.2]))
    assert report.ok, str(report)


def test_tensors_held_in_single_precision():
    """Rows of float32 miss one by rounding: they are normalised, with their derivative, and nothing warns."""
    kernel = torch.tensor([[[0.9, 0.1], [0.3, 0.7]], [[0.1, 0.9], [0.6, 0.4]]])

    def single(theta, cast=lambda x: x):
        weight = torch.sigmoid(theta[0]).reshape(1, 1, 1)  # a scalar would leave float32 as it is
        return {
            "transition": cast(weight * kernel + (1.0 - weight) * kernel.flip(0)),
            "initial": torch.tensor([0.3, 0.7]),
            "follower_reward": theta.reshape(2, 2),
            "leader_reward": torch.eye(2),
        }

    problem = adapter.configurable_mdp(single, dim=4, **CONSTANTS)
    theta = np.array([0.3, -0.2, 0.1, 0.4])
    assert 1e-9 < np.abs(kernel.double().numpy().sum(axis=2) - 1.0).max() < 1e-7
    assert np.abs(problem.model(theta).transition.sum(axis=2) - 1.0).max() < 1e-15
    assert bg.verify(problem, theta).ok
    # Rounded on the way: derivatives of single precision, and the report says so.
    rounded = adapter.configurable_mdp(lambda t: single(t, lambda x: x.float()), dim=4, **CONSTANTS)
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
        (lambda theta: {**arrays(theta), "initial": torch.ones(4)}, "InvalidModel", "initial sums to 4"),
        (
            lambda theta: {**arrays(theta), "follower_reward": theta.numpy().sum() * torch.tensor(REWARD)},
            "NotDifferentiable",
            "PyTorch could not differentiate the model: RuntimeError",
        ),
    ],
)
def test_functions_that_are_no_models(function, error, message):
    problem = adapter.configurable_mdp(function, dim=D, **CONSTANTS)
    with pytest.raises(getattr(bg.errors, error), match=message):
        bg.hypergradient(problem, THETA)


def moving(theta):
    """The model with a leader's reward that moves with θ, too."""
    return {**arrays(theta), "leader_reward": torch.tensor(REWARD**2) + torch.tensor(SLOPE) @ theta}


CUT = {
    "detach": (
        lambda theta: {**moving(theta), "follower_reward": arrays(theta)["follower_reward"].detach()},
        "follower_reward",
    ),
    "detach of θ": (
        lambda theta: {**moving(theta), "leader_reward": moving(theta.detach())["leader_reward"]},
        "leader_reward",
    ),
    "item": (
        lambda theta: {**moving(theta), "leader_reward": torch.tensor(REWARD) * theta[0].item()},
        "leader_reward",
    ),
    "detach of the kernel": (
        lambda theta: {**moving(theta), "transition": arrays(theta)["transition"].detach()},
        "transition",
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_a_graph_that_is_cut_in_the_model(name):
    """Neither the right gradient nor the reference's own is confirmed, and nobody is blamed for the other."""
    function, array = CUT[name]
    cut = adapter.configurable_mdp(function, dim=D, **CONSTANTS)
    whole = moving if name != "item" else lambda t: {**moving(t), "leader_reward": torch.tensor(REWARD) * t[0]}
    right = bg.hypergradient(adapter.configurable_mdp(whole, dim=D, **CONSTANTS), THETA).gradient
    own = bg.hypergradient(cut, THETA).gradient
    assert np.abs(own - right).max() > 1e-3 * np.abs(right).max()
    said = rf"model's derivative is wrong: the derivative of {array}\[\d, \d.* along theta\[\d\] is -?0, and its slope .*detach"
    for candidate in (right, own, -right):
        check = bg.testing.check_hypergradient(candidate, cut, THETA)
        assert (check.verdict, check.ok) == ("model's derivative is wrong", False)
        assert check.model.array.startswith(f"{array}[")
        assert 0 <= check.model.coordinate < D
        with pytest.raises(bg.errors.GradientMismatch, match=said):
            bg.testing.assert_hypergradient(candidate, cut, THETA)
        with pytest.raises(bg.errors.GradientMismatch, match=said):
            adapter.assert_hypergradient(lambda theta, g=candidate: torch.from_numpy(g.copy()), cut, THETA)
    report = bg.verify(cut, THETA)
    assert not report.ok
    assert {str(row.verdict) for row in report.rows[1:]} == {"skipped"}


@pytest.mark.parametrize("use", [lambda t: t["w"], lambda t: t.w, lambda t: dict(t)])
def test_parameters_in_pieces(use):
    odd = adapter.configurable_mdp(lambda theta: {**arrays(theta), "x": use(theta)}, dim=D, **CONSTANTS)
    with pytest.raises(
        bg.errors.InvalidModel, match=r"theta, which is a flat array of shape \(5,\): .*functional_call"
    ):
        bg.hypergradient(odd, THETA)


def test_a_temperature_that_is_a_parameter():
    for odd in (torch.nn.Parameter(torch.tensor(0.5)), lambda theta: theta[0]):
        with pytest.raises(
            bg.errors.InvalidOption,
            match=r"temperature is a .*; expected a number\. Where .* return it among the arrays",
        ):
            adapter.configurable_mdp(arrays, dim=D, **{**CONSTANTS, "temperature": odd})


def test_rates_and_averages():
    """What θ moves is returned among the arrays; averages need no discounts."""

    def moving(theta):
        found = {**arrays(theta), "temperature": torch.exp(theta[0])}
        found.pop("initial")
        return found

    problem = adapter.configurable_mdp(moving, dim=D, average=True)
    report = bg.verify(problem, THETA)
    assert report.ok, str(report)
    counted = {"leader_discount": 1.0, "leader_horizon": 3}
    rates = adapter.configurable_mdp(
        lambda t: {**arrays(t), "temperature": torch.exp(t[0]), "follower_discount": torch.sigmoid(t[1])},
        dim=D,
        **counted,
    )
    assert bg.verify(rates, THETA).ok
    exact = bg.hypergradient(rates, THETA).gradient
    numbers = {"temperature": float(np.exp(THETA[0])), "follower_discount": float(1 / (1 + np.exp(-THETA[1])))}
    lost = bg.hypergradient(adapter.configurable_mdp(arrays, dim=D, **numbers, **counted), THETA).gradient
    assert not bg.testing.check_hypergradient(lost, rates, THETA, tolerance=1e-6).ok, "the rates' own derivatives"
    np.testing.assert_allclose(lost[2:], exact[2:], rtol=1e-10)


def test_a_module_is_no_problem():
    net = torch.nn.Linear(D, D)
    for ask in (
        lambda: adapter.assert_hypergradient(by_backward(unrolled), net, THETA),
        lambda: bg.testing.check_hypergradient(THETA, net, THETA),
        lambda: adapter.value(net),
    ):
        with pytest.raises(
            bg.errors.InvalidOption, match="problem is a Linear; expected one of ConfigurableMDP, MarkovGame"
        ):
            ask()


def test_value_and_grad(problem):
    both = torch.func.grad_and_value(unrolled)
    with pytest.raises(bg.errors.InvalidCandidate, match=r"returned a pair; expected the gradient alone: use .*\[0\]"):
        adapter.assert_hypergradient(both, problem, THETA)
    assert adapter.assert_hypergradient(lambda theta: both(theta)[0], problem, THETA).ok

    def one_of(theta):
        theta = theta.clone().requires_grad_()
        return torch.autograd.grad(unrolled(theta), theta)

    with pytest.raises(
        bg.errors.InvalidCandidate, match=r"returned an array in a tuple; expected the gradient alone: use"
    ):
        adapter.assert_hypergradient(one_of, problem, THETA)


def test_other_precisions_are_refused(problem):
    with pytest.raises(bg.errors.InvalidOption, match=r"dtype is torch\.float16"):
        adapter.assert_hypergradient(by_backward(unrolled), problem, THETA, dtype=torch.float16)


@pytest.fixture(scope="module")
def plain():
    """A problem that no framework has a part in, θ and its gradient."""
    problem = bg.problems.load("random-lqr")
    theta = problem.initial_theta(seed=0)
    return problem, theta, bg.hypergradient(problem, theta).gradient


def test_tensors_that_hold_no_numbers(plain):
    problem, theta, exact = plain
    good = torch.from_numpy(exact.copy()).requires_grad_()
    assert bg.testing.check_hypergradient(good, problem, torch.from_numpy(theta.copy())).ok
    assert bg.testing.check_hypergradient(torch.conj(torch.from_numpy(exact.copy())), problem, theta).ok
    for tensor, message in (
        (torch.zeros(6, device="meta"), "on the device 'meta'; bring it to the CPU"),
        (torch.from_numpy(exact.copy()).to_sparse(), "make it dense"),
        (torch.zeros(6, dtype=torch.bfloat16), "bfloat16"),
    ):
        with pytest.raises(bg.errors.InvalidCandidate, match=message):
            bg.testing.check_hypergradient(tensor, problem, theta)

    def inside(t):
        bg.testing.check_hypergradient(t, problem, theta)
        return t.sum()

    with pytest.raises(bg.errors.InvalidCandidate, match=r"torch\.func transforms"):
        torch.func.grad(inside)(torch.from_numpy(exact.copy()))
