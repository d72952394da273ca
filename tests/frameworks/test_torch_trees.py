"""θ as several tensors in PyTorch: the same problem in every container and for modules, and what does not fit is named."""

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import boltzgrad as bg
from tests_helpers import optional

torch = optional("torch")
adapter = bg.testing.torch

CONSTANTS = {"follower_discount": 0.9, "leader_discount": 0.8}
MOVE = np.log([[[0.9, 0.1], [0.1, 0.9]], [[0.2, 0.8], [0.7, 0.3]]])
REWARD, TILT, WARMTH = np.array([[0.3, -0.2], [0.1, 0.4]]), np.array([0.5, -0.3]), np.array(-0.7)
PIECES = {"r": REWARD, "w": TILT, "b": WARMTH}


def in_torch(reward, tilt, warmth):
    def t(x):
        return torch.tensor(x, dtype=reward.dtype)

    return {
        "transition": torch.softmax(t(MOVE) + tilt, -1),
        "initial": t([0.6, 0.4]),
        "follower_reward": reward,
        "leader_reward": t([[0.0, 0.0], [1.0, 1.0]]) - 0.5 * reward**2,
        "temperature": torch.exp(warmth),
    }


def unrolled(reward, tilt, warmth):
    """J by soft value iteration and a linear solve, in the precision of its arguments."""
    m, v = in_torch(reward, tilt, warmth), reward.new_zeros(2)
    gamma, beta = CONSTANTS.values()
    tau = m["temperature"]
    for _ in range(300):
        v = tau * torch.logsumexp((m["follower_reward"] + gamma * m["transition"] @ v) / tau, 1)
    policy = torch.softmax((m["follower_reward"] + gamma * m["transition"] @ v) / tau, 1)
    chain = torch.einsum("sa,sat->st", policy, m["transition"])
    eye = torch.eye(2, dtype=reward.dtype)
    return m["initial"] @ torch.linalg.solve(eye - beta * chain, (policy * m["leader_reward"]).sum(1))


def numpy_s():
    """The same model in autograd.numpy."""

    def build(t):
        return bg.TabularModel(
            bg.softmax(MOVE + t["w"]), [0.6, 0.4], t["r"], np.array([[0.0, 0.0], [1.0, 1.0]]) - 0.5 * t["r"] ** 2,
            temperature=anp.exp(t["b"]), **CONSTANTS,
        )  # fmt: skip

    return bg.ConfigurableMDP(build, like=PIECES)


@pytest.fixture(scope="module")
def exact():
    """The gradient piece by piece."""
    return list(bg.hypergradient(numpy_s(), PIECES).tree.values())


class Params(NamedTuple):
    w: Any
    head: Any


# How the pieces are put into a container, how they are got out, and the leaf of the reward.
FORMS = {
    "dict": (lambda r, w, b: {"w": w, "r": r, "b": b}, lambda p: (p["r"], p["w"], p["b"]), "['r']"),
    "list": (lambda r, w, b: [w, r, b], lambda p: (p[1], p[0], p[2]), "[1]"),
    "NamedTuple": (
        lambda r, w, b: Params(w, {"out": [r, (b,)]}),
        lambda p: (p.head["out"][0], p.w, p.head["out"][1][0]),
        ".head['out'][0]",
    ),
}


def case(name="dict", dtype=torch.float64):
    make, read, _ = FORMS[name]
    params = make(*(torch.tensor(x, dtype=dtype) for x in PIECES.values()))
    return params, adapter.configurable_mdp(lambda p: in_torch(*read(p)), like=params, **CONSTANTS), read


def by_backward(read, params):
    """The gradient's pieces as most PyTorch code has them: requires_grad, backward, .grad."""
    leaves = [x.clone().requires_grad_() for x in read(params)]
    unrolled(*leaves).backward()
    return [x.grad for x in leaves]


def close(pieces, exact, rel):
    for found, expected in zip(pieces, exact, strict=True):
        assert isinstance(found, torch.Tensor)
        assert tuple(found.shape) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=rel, atol=rel)


@pytest.mark.parametrize("name", FORMS)
def test_it_is_the_problem_of_its_pieces(name, exact):
    """Its gradient has θ's own structure, in float64; a vector (d,) has the leaves in order."""
    params, problem, read = case(name)
    reference = bg.hypergradient(problem, params)
    assert type(reference.tree) is type(params)
    close(read(reference.tree), exact, 1e-10)
    assert {x.dtype for x in read(reference.tree)} == {torch.float64}
    vector = problem.tree.pack(params)
    np.testing.assert_array_equal(bg.hypergradient(problem, vector).gradient, reference.gradient)
    read(reference.tree)[0].mul_(2.0)
    close(read(reference.tree), exact, 1e-10)  # a tree of its own
    assert adapter.assert_hypergradient(lambda p: FORMS[name][0](*by_backward(read, p)), problem, params).ok


def test_every_route_confirms_it():
    params, problem, _ = case("NamedTuple")
    report = bg.verify(problem, params)
    assert report.ok, str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_candidate_in_either_precision(dtype):
    """It is given tensors of the precision asked for, here not that of θ, and is judged by its own."""
    params, problem, read = case(dtype=torch.float64 if dtype == "float32" else torch.float32)
    seen = []

    def gradient(p):
        seen.append(p)
        return torch.func.grad(lambda q: unrolled(*read(q)))(p)

    check = adapter.assert_hypergradient(gradient, problem, params, dtype=getattr(torch, dtype))
    assert check.precision == dtype
    assert {x.dtype for x in seen[0].values()} == {getattr(torch, dtype)}
    assert check.difference < (1e-11 if dtype == "float64" else 1e-3)
    np.testing.assert_array_equal(check.reference.theta, problem.tree.pack(params).astype(dtype).astype(float))


def test_a_tree_of_both_precisions_is_judged_by_the_lower():
    params, problem, _ = case()
    tree = bg.hypergradient(problem, params).tree
    assert adapter.assert_hypergradient(tree, problem, params).precision == "float64"
    assert adapter.assert_hypergradient({**tree, "w": tree["w"].float()}, problem, params).precision == "float32"


def test_a_wrong_leaf_is_named():
    params, problem, read = case("NamedTuple")

    def gradient(p):
        reward, tilt, warmth = by_backward(read, p)
        reward[1, 0] *= 1.01
        return FORMS["NamedTuple"][0](reward, tilt, warmth)

    with pytest.raises(bg.errors.GradientMismatch) as caught:
        adapter.assert_hypergradient(gradient, problem, params)
    assert "coordinate 4, theta.head['out'][0][1, 0]: yours" in str(caught.value)
    assert "1 of 7 coordinates are off (1 of 4 in theta.head['out'][0]);" in str(caught.value)


def test_gradients_in_a_tuple():
    """`torch.autograd.grad` returns one for a list; for a dict it has no names, and is refused."""

    def gradient(p):
        leaves = [x.clone().requires_grad_() for x in (p.values() if isinstance(p, dict) else p)]
        r, w, b = (1, 0, 2)
        return torch.autograd.grad(unrolled(leaves[r], leaves[w], leaves[b]), leaves)

    params, problem, _ = case("list")
    assert adapter.assert_hypergradient(gradient, problem, params).ok
    params, problem, _ = case("dict")
    with pytest.raises(bg.errors.InvalidCandidate, match=r"gradient is a tuple; expected a dict with 'w', 'r', 'b'$"):
        adapter.assert_hypergradient(gradient, problem, params)
    both = torch.func.grad_and_value(lambda p: unrolled(p["r"], p["w"], p["b"]))
    with pytest.raises(
        bg.errors.InvalidCandidate, match=r"is it value_and_grad, .* Use lambda theta: f\(theta\)\[0\]$"
    ):
        adapter.assert_hypergradient(both, problem, params)


def test_the_reference_inside_of_torch(exact):
    params, problem, read = case("NamedTuple")
    j = adapter.value(problem)
    for dtype, rel in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        at = FORMS["NamedTuple"][0](*(torch.tensor(x, dtype=dtype, requires_grad=True) for x in PIECES.values()))
        value = 3.0 * j(at)
        value.backward()
        assert value.dtype == dtype
        close([x.grad / 3.0 for x in read(at)], exact, rel)
        assert {x.grad.dtype for x in read(at)} == {dtype}
    assert j(params).item() == pytest.approx(bg.hypergradient(problem, params).value, rel=1e-12)
    vector = torch.from_numpy(problem.tree.pack(params))
    np.testing.assert_allclose(torch.func.grad(j)(vector), bg.hypergradient(problem, params).gradient, rtol=1e-12)


def test_leaves_of_two_precisions_inside_of_torch():
    """Each gets its gradient in its own."""
    params, problem, _ = case()
    at = {name: x.to(torch.float32 if name == "w" else torch.float64).requires_grad_() for name, x in params.items()}
    adapter.value(problem)(at).backward()
    assert [str(x.grad.dtype) for x in at.values()] == ["torch.float32", "torch.float64", "torch.float64"]


def test_a_problem_that_is_not_written_in_torch(exact):
    same = numpy_s()
    at = {name: torch.tensor(x, requires_grad=True) for name, x in PIECES.items()}
    adapter.value(same)(at).backward()
    close([x.grad for x in at.values()], exact, 1e-10)
    plain = {name: x.detach() for name, x in at.items()}
    for dtype in (torch.float32, torch.float64):
        gradient = torch.func.grad(
            lambda p: unrolled(**dict(zip(("reward", "tilt", "warmth"), p.values(), strict=True)))
        )
        check = adapter.assert_hypergradient(gradient, same, plain, dtype=dtype)
        assert check.precision == str(dtype).removeprefix("torch.")


def test_a_single_tensor_of_any_shape(exact):
    tilt, warmth, at = torch.tensor(TILT), torch.tensor(WARMTH), torch.tensor(REWARD)
    problem = adapter.configurable_mdp(lambda r: in_torch(r, tilt, warmth), like=at, **CONSTANTS)
    gradient = torch.func.grad(lambda r: unrolled(r, tilt, warmth))
    close(
        [bg.hypergradient(problem, at).tree, torch.func.grad(adapter.value(problem))(at)], [exact[0], exact[0]], 1e-10
    )
    assert adapter.assert_hypergradient(gradient, problem, at).ok
    assert not bg.testing.check_hypergradient(lambda r: gradient(r).T, problem, at).ok


def test_the_parameters_of_a_module():
    """A network from what is seen of a state to its rewards; gradients by backward on the module itself agree."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    seen = torch.tensor([[1.0, 0.2], [-0.4, 1.0]], dtype=torch.float64)
    tilt, warmth = torch.tensor(TILT), torch.tensor(WARMTH)

    def arrays(parameters):
        return in_torch(torch.func.functional_call(net, parameters, (seen,)), tilt, warmth)

    parameters = dict(net.named_parameters())
    problem = adapter.configurable_mdp(arrays, like=parameters, **CONSTANTS)
    reference = bg.hypergradient(problem, parameters)
    assert list(reference.tree) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    np.testing.assert_array_equal(reference.theta, torch.nn.utils.parameters_to_vector(net.parameters()).detach())
    unrolled(net(seen), tilt, warmth).backward()
    gradients = {name: x.grad for name, x in net.named_parameters()}
    adapter.assert_hypergradient(gradients, problem, parameters)
    adapter.assert_hypergradient(
        torch.func.grad(lambda p: unrolled(torch.func.functional_call(net, p, (seen,)), tilt, warmth)),
        problem,
        parameters,
    )
    optimiser, j, values = torch.optim.SGD(net.parameters(), lr=0.05, maximize=True), adapter.value(problem), []
    for _ in range(5):
        optimiser.zero_grad()
        value = j(dict(net.named_parameters()))
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values == sorted(values)
    assert values[-1] > values[0]
    swapped = {**gradients, "2.bias": -gradients["2.bias"]}
    with pytest.raises(bg.errors.GradientMismatch, match=r"theta\['2\.bias'\]\[\d\]: yours"):
        adapter.assert_hypergradient(swapped, problem, reference.problem.tree.unpack(reference.theta))


def without(tree, key):
    return {k: x for k, x in tree.items() if k != key}


ODD = {
    "a leaf missing": (lambda p: without(p, "b"), r"{} is \['r', 'w'\]; expected a dict with 'w', 'r', 'b'$"),
    "a leaf too many": (lambda p: {**p, "x": p["b"]}, r"{} is \['b', 'r', 'w', 'x'\]; expected a dict with 'w', 'r', 'b'$"),
    "another container": (lambda p: tuple(p.values()), r"{} is a tuple; expected a dict with 'w', 'r', 'b'$"),
    "another shape": (lambda p: {**p, "r": p["r"].ravel()}, r"{}\['r'\] has shape \(4,\), expected \(2, 2\)$"),
    "one level more": (lambda p: {**p, "w": {"k": p["w"]}}, r"{}\['w'\] is a dict"),
    "integers": (lambda p: {**p, "w": torch.zeros(2, dtype=torch.int64)}, r"{}\['w'\] (holds|is a tensor of) .*int64"),
    "booleans": (lambda p: {**p, "w": p["w"] > 0}, r"{}\['w'\] (holds|is a tensor of) .*bool"),
    "complex": (lambda p: {**p, "w": p["w"] + 1j}, r"{}\['w'\] (holds|is a tensor of) .*complex128"),
    "half precision": (lambda p: {**p, "w": p["w"].half()}, r"{}\['w'\] (holds|is a tensor of) .*float16"),
    "brain floats": (lambda p: {**p, "w": p["w"].bfloat16()}, r"{}\['w'\] (holds|is a tensor of) .*bfloat16"),
    "elsewhere": (lambda p: {**p, "w": p["w"].to("meta")}, r"{}\['w'\] lies on the device 'meta'"),
    "a module": (lambda p: {**p, "w": torch.nn.Linear(1, 1)}, r"{}\['w'\] is a (module, )?Linear"),
    "text": (lambda p: {**p, "b": "warm"}, r"{}\['b'\] (holds <U4 values|is a str)"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_theta_that_does_not_fit_is_named(name):
    params, problem, _ = case()
    spoil, words = ODD[name]
    theta = spoil(params)
    asks = [
        lambda: bg.hypergradient(problem, theta),
        lambda: adapter.assert_hypergradient(torch.zeros(7, dtype=torch.float64), problem, theta),
        lambda: adapter.value(problem)(theta),
    ]
    for ask in asks[: 2 if name == "elsewhere" else 3]:  # the reference inside of PyTorch takes tensors of any device
        with pytest.raises(bg.errors.InvalidTheta, match=words.format("theta")):
            ask()


@pytest.mark.parametrize("name", ODD)
def test_a_gradient_that_does_not_fit_is_named(name):
    params, problem, _ = case()
    spoil, words = ODD[name]
    tree = bg.hypergradient(problem, params).tree
    with pytest.raises(bg.errors.InvalidCandidate, match=words.format("the candidate")):
        adapter.assert_hypergradient(spoil(tree), problem, params)
    with pytest.raises(bg.errors.InvalidCandidate, match=words.format("your function's gradient")):
        adapter.assert_hypergradient(lambda p: spoil(tree), problem, params)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"w": torch.zeros(2, dtype=torch.int64)}, r"like\['w'\] holds int64 values, expected float64 or float32"),
        ({"w": [torch.zeros(2), 3]}, r"like\['w'\]\[1\] holds int64 values"),
        (torch.nn.Linear(2, 1), r"like is a module, Linear; expected tensors: dict\(module\.named_parameters\(\)\)"),
        ({"w": object()}, r"like\['w'\] is a object and holds no numbers"),
        ({"w": torch.zeros(2, 0)}, "like holds no numbers"),
        ({}, "like holds no numbers"),
    ],
)
def test_a_like_that_is_none(like, words):
    for make in (
        lambda: adapter.configurable_mdp(in_torch, like=like, **CONSTANTS),
        lambda: adapter.linear_quadratic(in_torch, like=like, **CONSTANTS, temperature=0.1),
        lambda: adapter.leader_policy(in_torch, like=like),
    ):
        with pytest.raises(bg.errors.InvalidOption, match=words):
            make()


def test_a_function_that_changes_a_leaf():
    params, problem, _ = case()
    tree = bg.hypergradient(problem, params).tree

    def gradient(p):
        p["r"][0, 1] += 1.0
        return tree

    with pytest.raises(
        bg.errors.InvalidCandidate,
        match=r"changed the theta that it was given: theta\['r'\]\[0, 1\] was -0\.2 and is 0\.8",
    ):
        adapter.assert_hypergradient(gradient, problem, params)
    taken = adapter.assert_hypergradient(lambda p: p.clear() or tree, problem, params)  # the dict is its own
    assert taken.ok


def test_a_function_that_takes_other_parameters():
    params, _, _ = case()
    odd = adapter.configurable_mdp(lambda p: in_torch(p["r"], p["w"], p["x"]), like=params, **CONSTANTS)
    with pytest.raises(bg.errors.InvalidModel, match=r"theta, which is theta\['w'\] \(2,\), .*, as in like: KeyError"):
        bg.hypergradient(odd, params)


def test_a_cut_graph_is_told_with_the_leaf():
    params, problem, read = case()
    cut = adapter.configurable_mdp(
        lambda p: {**in_torch(*read(p)), "temperature": torch.exp(p["b"].detach())}, like=params, **CONSTANTS
    )
    tree = bg.hypergradient(problem, params).tree
    with pytest.raises(
        bg.errors.GradientMismatch, match=r"model's derivative is wrong.*\(theta\[6\] is theta\['b'\]\)"
    ):
        adapter.assert_hypergradient(tree, cut, params)


def test_leaders_of_games_and_linear_quadratic_problems():
    base = bg.problems.load("random-game")
    shape = (base.n_states, base.n_leader_actions)
    game = bg.MarkovGame(
        base.joint.transition,
        base.joint.initial,
        base.joint.follower_reward.reshape(*shape, -1),
        base.joint.leader_reward.reshape(*shape, -1),
        policy=adapter.leader_policy(
            lambda p: torch.softmax(p[0] + p[1], -1), like=[torch.zeros(shape), torch.zeros(shape[1])]
        ),
        **base._constants(),
    )
    table, bias = base.initial_theta(seed=0).reshape(shape), np.array([0.1, -0.2, 0.3])
    exact = bg.hypergradient(base, (table + bias).ravel()).gradient.reshape(shape)
    found = bg.hypergradient(game, [torch.tensor(table), torch.tensor(bias)])
    np.testing.assert_allclose(found.tree[0], exact, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found.tree[1], exact.sum(axis=0), rtol=1e-9, atol=1e-11)

    def matrices(p):
        return {
            "A": p["A"], "B": p["B"], "W": 0.1 * np.eye(2), "Q": np.eye(2), "R": torch.exp(p["log_cost"]).reshape(1, 1),
            "mean": np.array([1.0, 0.0]), "covariance": np.zeros((2, 2)), "leader_Q": np.eye(2),
        }  # fmt: skip

    options = {"follower_discount": 0.9, "leader_discount": 0.9, "temperature": 0.1}
    like = {"A": np.array([[0.9, 0.1], [0.0, 0.8]]), "B": np.array([[0.1], [1.0]]), "log_cost": -0.2}
    report = bg.verify(adapter.linear_quadratic(matrices, like=like, **options), like)
    assert report.ok, str(report)
    assert tuple(report.reference.tree["B"].shape) == (2, 1)
