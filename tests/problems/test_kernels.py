"""A dense and a sparse kernel of the same numbers do the same, in every operation; transposes are transposes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from boltzgrad.errors import InvalidModel
from boltzgrad.problems import DenseKernel, SparseKernel, TabularModel
from tests_helpers import examples


def pair(seed, S, A, *, holes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(S), size=(S, A))
    p[rng.uniform(size=p.shape) < holes] = 0.0
    return DenseKernel(p), SparseKernel.from_scipy(sparse.csr_array(p.reshape(S * A, S)), A), rng


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 4), st.sampled_from([0.0, 0.5, 0.95]))
def test_dense_and_sparse_agree(seed, S, A, holes):
    dense, thin, rng = pair(seed, S, A, holes=holes)
    v, x, policy = rng.standard_normal(S), rng.standard_normal((S, A)), rng.dirichlet(np.ones(A), size=S)
    same = lambda a, b: np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-13, atol=1e-14)  # noqa: E731
    same(dense.expect(v), thin.expect(v))
    same(dense.expect_extended(v), thin.expect_extended(v))
    same(dense.expect(v), dense.expect_extended(v))
    same(dense.accumulate(x), thin.accumulate(x))
    same(dense.row_sums, thin.row_sums)
    same(dense.under(policy), thin.under(policy).toarray())
    same(dense.under(policy), thin.under_merged(policy).toarray())
    where = dense.values.reshape(S * A, S).nonzero()
    same(dense.outer(x, v).reshape(S * A, S)[where], thin.outer(x, v))


def test_accumulate_is_the_transpose_of_expect(rng):
    dense, thin, _ = pair(3, 6, 3, holes=0.4)
    v, x = rng.standard_normal(6), rng.standard_normal((6, 3))
    for kernel in (dense, thin):
        np.testing.assert_allclose((kernel.expect(v) * x).sum(), kernel.accumulate(x) @ v, rtol=1e-13)


def test_merged_entries_have_no_duplicates():
    _, thin, rng = pair(1, 8, 4, holes=0.3)
    merged = thin.under_merged(rng.dirichlet(np.ones(4), size=8))
    assert merged.has_canonical_format


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_extended_products_do_not_depend_on_the_block(monkeypatch, block):
    import boltzgrad.core.kernel as module

    dense, thin, rng = pair(5, 9, 2, holes=0.5)
    v = rng.standard_normal(9)
    exact = np.einsum("sat,t->sa", dense.values.astype(np.longdouble), v.astype(np.longdouble))
    monkeypatch.setattr(module, "_BLOCK", block)
    for kernel in (DenseKernel(dense.values), thin):
        np.testing.assert_allclose(kernel.expect_extended(v), exact, rtol=1e-17, atol=1e-18)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.2, 0.9])
def test_sums_in_extended_precision_leave_out_zeros_alone(share, seed):
    """Few entries that are not zero, or many, and empty rows wherever: the same sums as of every entry."""
    rng = np.random.default_rng(seed)
    values = rng.random((5, 3, 5)) * (rng.random((5, 3, 5)) < share)
    empty = rng.random((5, 3)) < 0.3
    empty[-1, -1], empty[-1, -2] = seed % 2, False
    values[empty] = 0.0
    v = rng.normal(size=5).astype(np.longdouble)
    exact = (values.astype(np.longdouble) * v).sum(axis=2)
    found = DenseKernel(values).expect_extended(v)
    assert found.dtype == np.longdouble
    assert np.abs(found - exact).max() <= 4.0 * np.finfo(np.longdouble).eps


def test_a_kernel_that_was_checked_is_taken_as_it_is_and_other_numbers_are_not():
    p = np.full((2, 2, 2), 0.5)

    def model(transition, states=2):
        return TabularModel(
            transition,
            np.eye(states)[0],
            np.zeros((states, 2)),
            np.zeros((states, 2)),
            follower_discount=0.9,
            leader_discount=0.9,
            temperature=0.1,
        )

    once = model(p)
    again = model(once.kernel)
    assert again.kernel is once.kernel
    # The controls: the same kernel with other numbers, one made by hand, and one of another shape are all looked through.
    with pytest.raises(InvalidModel, match=r"transition\[0, 0\] sums to 1.2"):
        model(once.kernel.with_values(np.full((2, 2, 2), 0.6)))
    with pytest.raises(InvalidModel, match=r"sums to 1\.2"):
        model(DenseKernel(np.full((2, 2, 2), 0.6)))
    with pytest.raises(InvalidModel, match=r"expected \(3, 2, 3\)"):
        model(once.kernel, states=3)
    thin = model(sparse.csr_array(p.reshape(4, 2))).kernel
    assert model(thin).kernel is thin
    with pytest.raises(InvalidModel, match=r"sums to 1\.2"):
        model(thin.with_values(np.full(8, 0.6)))
    with pytest.raises(InvalidModel, match="2 states"):
        model(thin, states=3)
