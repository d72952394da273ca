"""Balls entry by entry: whatever numbers are inside of the inputs, the exact result is inside of the output."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boltzgrad.core.kernel import DenseKernel, SparseKernel, SparsePattern
from boltzgrad.solvers.entrywise import BallArithmetic, Entrywise, ball

EPS_OF_MODEL = 1e-6
RIM = 1.0 - 1e-10  # all but: the numbers that are held against a ball round, too
OPS = BallArithmetic(EPS_OF_MODEL)
S, A = 3, 4


def balls(rng, *shape, size=1e-3):
    return Entrywise(rng.normal(size=shape), size * rng.uniform(size=shape))


def inside(rng, x):
    """Extended-precision numbers of a ball, most of them all but on its rim."""
    return x.mid.astype(np.longdouble) + x.rad * rng.choice([-RIM, -RIM, RIM, RIM, 0.3], size=x.mid.shape)


def kernel(rng, sparse=False):
    p = rng.dirichlet(np.ones(S), (S, A))
    if not sparse:
        return DenseKernel(p)
    pattern = SparsePattern(np.arange(S * A + 1) * S, np.tile(np.arange(S), S * A), n_states=S, n_actions=A)
    return SparseKernel(pattern, p.ravel())


def moved(rng, k):
    """The kernel's entries (S, A, S), each off by at most the model's ε."""
    values = np.asarray(k.values).reshape(S, A, S).astype(np.longdouble)
    return values * (1.0 + RIM * EPS_OF_MODEL * rng.choice([-1.0, 1.0], size=values.shape))


def soft(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    total = e.sum(axis=1, keepdims=True)
    lse = x.max(axis=1) + np.log(total[:, 0])
    return x - lse[:, None], e / total, lse


def cases(rng, sparse):
    """(name, the ball, an exact result of numbers inside of the inputs)."""
    a, b, far = balls(rng, S, A), balls(rng, S, A), balls(rng, S, A)
    far = Entrywise(np.abs(far.mid) + 0.5, far.rad)
    x, y, z = (inside(rng, v) for v in (a, b, far))
    k = kernel(rng, sparse)
    p, v, q = moved(rng, k), balls(rng, S), balls(rng, S, A)
    inner_v, inner_q = inside(rng, v), inside(rng, q)
    logs = balls(rng, S, A, size=0.3)
    wide = inside(rng, logs)
    policy_ball = OPS.soften(logs, None)[1]
    policy = soft(wide)[1]
    w, u = balls(rng, S, A), balls(rng, S)
    inner_w, inner_u = inside(rng, w), inside(rng, u)
    summed = x[:, :, None] * inner_v + inner_w[:, :, None] * inner_u
    yield from (
        ("+", a + b, x + y), ("-", a - b, x - y), ("2 - ", 2.0 - a, 2.0 - x), ("*", a * b, x * y), ("3 *", 3.0 * a, 3.0 * x),
        ("/", a / far, x / z), ("sum", a.sum(axis=1), x.sum(axis=1)), ("total", OPS.total(a), x.sum()), ("[]", a[1], x[1]),
        ("expect", OPS.expect(k, v), p @ inner_v), ("accumulate", OPS.accumulate(k, q), np.einsum("sa,saz->z", inner_q, p)),
        ("outer", OPS.outer(k, [a, w], [v, u]), summed.reshape(np.shape(k.values))),
        ("array", OPS.array(a.mid), a.mid * (1.0 + np.longdouble(RIM * EPS_OF_MODEL))),
        ("logarithm", OPS.logarithm(np.log(far.mid)), np.log(far.mid * (1.0 - np.longdouble(RIM * EPS_OF_MODEL)))),
        *zip(("log", "softmax", "lse"), OPS.soften(logs, None), soft(wide), strict=True),
        ("mean", OPS.mean(policy_ball, q), (policy * inner_q).sum(axis=1)),
        ("centred", OPS.centred(policy_ball, q), inner_q - (policy * inner_q).sum(axis=1, keepdims=True)),
        ("stacked", OPS.stacked([a, b], False), x + y),
    )  # fmt: skip


NAMES = sorted({name for name, *_ in cases(np.random.default_rng(0), False)})


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_exact_result_is_inside(seed, sparse):
    for name, found, exact in cases(np.random.default_rng(seed), sparse):
        off = np.abs(exact - found.mid)
        assert (off <= found.rad).all(), (name, float((off - found.rad).max()))


@pytest.mark.parametrize("name", NAMES)
def test_no_radius_can_be_left_out(name):
    """The rims of the inputs reach half of some radius, so that one which is lost, or ten times too small, shows."""
    reached = 0.0
    for seed in range(200):
        for other, found, exact in cases(np.random.default_rng(seed), False):
            if other == name:
                reached = max(reached, float(np.max(np.abs(exact - found.mid) / found.rad)))
    assert 0.3 < reached <= 1.0


def test_an_action_that_is_not_there_is_exact():
    logs = balls(np.random.default_rng(1), S, A, size=0.3)
    there = np.ones((S, A), bool)
    there[0, 2] = False
    log, policy, lse = OPS.soften(logs, there)
    assert (log.rad[0, 2], policy.mid[0, 2]) == (0.0, 0.0)
    assert policy.rad[0, 2] <= 5e-324
    beside = OPS.soften(Entrywise(logs.mid[:1, [0, 1, 3]], logs.rad[:1, [0, 1, 3]]), None)
    np.testing.assert_allclose(lse.rad[0], beside[2].rad[0], rtol=1e-9)


def test_what_is_not_known_stays_so_unless_it_does_not_matter():
    unknown = Entrywise(np.array([1.0, 2.0]), np.array([np.inf, 0.1]))
    assert np.isinf((unknown + 1.0).rad[0])
    assert np.isinf((unknown * 3.0).rad[0])
    assert (unknown * np.array([0.0, 1.0])).rad[0] <= 1e-300
    assert np.isinf((ball(np.ones(2)) / Entrywise(np.array([0.1, 1.0]), np.array([0.2, 0.0]))).rad[0])
    k = kernel(np.random.default_rng(0))
    assert np.isinf(OPS.expect(k, Entrywise(np.zeros(S), np.array([np.inf, 0.0, 0.0]))).rad).all()
