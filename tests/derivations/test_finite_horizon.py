"""Horizons of other lengths and without discounts, and a wrong letter of a recursion that is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from boltzgrad import derivations
from boltzgrad.derivations.instances import finite
from boltzgrad.derivations.results import REJECTS
from boltzgrad.derivations.symbols import finite as f

ADJOINT = derivations.get("finite-horizon-adjoint")
COUNTED = derivations.get("counted-leader-adjoint")


def horizon(seed, **options):
    arrays = finite.drawn(np.random.default_rng(seed), **options)
    return finite.letters(arrays, finite.backward(arrays))


@pytest.mark.parametrize("gammas", [(0.8, 0.6), (1.0, 1.0)])
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_the_recursions_hold_for_any_number_of_steps(steps, gammas):
    check = ADJOINT.check_on([horizon(seed, steps=steps, gammas=gammas) for seed in range(3)])
    assert check, str(check)


def test_a_leader_who_counts_without_a_discount():
    arrays = finite.still_drawn(np.random.default_rng(1))
    arrays["gammas"] = (arrays["gammas"][0], 1.0)
    solution = finite.solved(*(arrays[x] for x in ("rho", "p", "r_F", "r_L")), gammas=(arrays["gammas"][0], 0.9),
                             tau=arrays["tau"])  # fmt: skip
    check = COUNTED.check_on([finite.counted(arrays, solution, finite.counted_values(arrays, solution["policy"]))])
    assert check, str(check)


@pytest.mark.parametrize("letter", [f.y, f.y_H, f.m, f.w, f.visits, f.V_next, f.U_next])
def test_a_wrong_letter_of_a_recursion_is_noticed(letter):
    instance = horizon(0)
    wrong = replace(instance, values={**instance.values, letter: instance.values[letter] * (1 + 1e-4)}, cache={})
    assert ADJOINT.check_on([wrong]).defect > REJECTS


def test_at_one_step_there_is_no_adjoint():
    instance = horizon(3, steps=1)
    np.testing.assert_array_equal(instance.values[f.y], 0.0)
    assert np.abs(instance.values[f.y_H]).max() > 0.0  # what is paid after the step is still met
