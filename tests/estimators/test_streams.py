"""Named random streams: a seed and a path of names fix the numbers, and nothing else moves them."""

import numpy as np
import pytest

from boltzgrad.errors import InvalidOption
from boltzgrad.estimators import Stream
from boltzgrad.estimators.streams import Draws


def numbers(stream, n=4):
    return stream.generator().random(n)


def draws(seeds=(0, 1, 2)):
    return Draws([Stream(s) for s in seeds], len(seeds))


@pytest.mark.parametrize("path", [(), ("a",), ("a", "b"), ("rollout", 7), ("θ",)])
def test_a_path_is_reproducible_and_its_own(path):
    stream = Stream(5).split(*path)
    np.testing.assert_array_equal(numbers(stream), numbers(Stream(5).split(*path)))
    others = [Stream(6).split(*path), stream.split("more"), Stream(5).split("other", *path)]
    for other in others:
        assert not np.array_equal(numbers(stream), numbers(other))


def test_splitting_in_steps_is_splitting_at_once():
    assert Stream(1).split("a").split("b", 3) == Stream(1).split("a", "b", 3)
    assert Stream(1).split("a", "b") != Stream(1).split("b", "a")
    assert not np.array_equal(numbers(Stream(1).split("a", "b")), numbers(Stream(1).split("ab")))


def test_streams_of_different_names_are_independent():
    """Correlations of 400 streams of 100 numbers: the largest of 79,800 stays below 6/√100."""
    rows = np.stack([numbers(Stream(s).split(name), 100) for s in range(20) for name in range(20)])
    correlation = np.corrcoef(rows)
    np.fill_diagonal(correlation, 0.0)
    assert np.abs(correlation).max() < 6.0 / np.sqrt(100)
    rows[1] = rows[0] + 0.5 * rows[1]  # control
    assert abs(np.corrcoef(rows[:2])[0, 1]) > 6.0 / np.sqrt(100)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_draw_under_one_name_moves_none_under_another(kind):
    plain, busy = draws(), draws()
    for size in (3, 1, 10):
        getattr(busy, kind)("something else", size)
    np.testing.assert_array_equal(getattr(plain, kind)("mine", 5), getattr(busy, kind)("mine", 5))
    # The control: a draw under the same name does move it.
    assert not np.array_equal(getattr(plain, kind)("mine", 5), getattr(draws(), kind)("mine", 5))


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_lane_draws_the_same_alone(kind):
    many, alone = draws((3, 4, 5)), draws((4,))
    for shape in ((), (2,), (2, 3)):
        found = getattr(many, kind)("x", *shape)
        assert found.shape == (3, *shape)
        np.testing.assert_array_equal(found[1:2], getattr(alone, kind)("x", *shape))
    assert not np.array_equal(found[0], found[1])


def test_next_is_a_fresh_place_for_every_call():
    frugal, lavish = draws(), draws()
    frugal.next("call").uniform("u", 1)
    lavish.next("call").uniform("u", 100)
    np.testing.assert_array_equal(frugal.next("call").uniform("u", 3), lavish.next("call").uniform("u", 3))
    # The control: without `next`, how much was drawn before shows.
    frugal.uniform("u", 1)
    lavish.uniform("u", 100)
    assert not np.array_equal(frugal.uniform("u", 3), lavish.uniform("u", 3))


def test_next_counts_by_name_and_below_does_not_count():
    one, two = draws(), draws()
    two.next("other")
    first = one.next("mine").uniform("u", 3)
    np.testing.assert_array_equal(first, two.next("mine").uniform("u", 3))
    assert not np.array_equal(first, one.next("mine").uniform("u", 3))
    np.testing.assert_array_equal(one.below("a").uniform("u", 3), one.below("a").uniform("u", 3))
    assert not np.array_equal(one.below("a").uniform("u", 3), one.below("b").uniform("u", 3))


def test_one_generator_is_shared_by_all_lanes_and_names():
    shared = Draws(np.random.default_rng(0), 3)
    plain = np.random.default_rng(0)
    np.testing.assert_array_equal(shared.uniform("a", 2), plain.random((3, 2)))
    np.testing.assert_array_equal(shared.next("b").normal("c"), plain.standard_normal(3))
    assert shared.below("d") is shared


@pytest.mark.parametrize("seed", [-1, 1.0, True, "1", None])
def test_bad_seeds(seed):
    with pytest.raises(InvalidOption, match="expected a non-negative integer"):
        Stream(seed)


def test_good_seeds():
    assert Stream(np.int64(3)).split("a") == Stream(3).split("a")
    np.testing.assert_array_equal(numbers(Stream(np.int64(3))), numbers(Stream(3)))
    assert numbers(Stream(2**70)).shape == (4,)
