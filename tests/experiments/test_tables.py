"""The summary table: its statistics, and its numbers as text."""

import json

import numpy as np
import pytest

from boltzgrad.experiments import tables
from boltzgrad.experiments.experiment import Curve, Experiment, cosines, objective, objective_end

ENDS = [1.0, 2.0, 6.0]


def made(ends=ENDS, *, published=None, setting="one", label="method", rejected=0, steps=12, cosine=(0.5, np.nan)):
    curve = Curve(setting, label, {"iterations": 9}, published)
    rows = [
        {
            "end": e,
            "cosine": list(cosine),
            "exact_norm": [1.0] * len(cosine),
            "total_steps": steps,
            "rejected": rejected,
            "seed": i,
            "objective": [e, e],
        }
        for i, e in enumerate(ends)
    ]
    return {curve: rows}


def experiment(lower=False):
    return Experiment(
        "toy", "Toy", "nowhere", "J", lambda preset: [], {"smoke": 3}, objective, objective_end, lower_is_better=lower
    )


def summary(curves, lower=False):
    return tables.summary(experiment(lower), curves)


def test_statistics():
    """Mean 3, sample variance (4 + 1 + 9)/2 = 7, standard error √(7/3)."""
    (row,) = summary(made(published=2.5))
    assert (row["setting"], row["method"], row["seeds"], row["iterations"]) == ("one", "method", 3, 9)
    assert row["end"] == 3.0
    np.testing.assert_allclose(row["standard_error"], np.sqrt(7 / 3), rtol=1e-15)
    assert row["standard_error"] != pytest.approx(np.std(ENDS) / np.sqrt(3))  # control: not the population's
    assert row["published"] == 2.5
    assert row["cosine"] == 0.5  # where it is not NaN
    assert row["steps"] == 12
    assert row["rejected"] == 0


@pytest.mark.parametrize(("lower", "worst", "best"), [(False, 1.0, 6.0), (True, 6.0, 1.0)])
def test_best_and_worst(lower, worst, best):
    (row,) = summary(made(), lower)
    assert (row["worst"], row["best"]) == (worst, best) != (best, worst)


def test_missing_seeds_are_counted_out_and_one_has_no_error():
    full, two, one = (summary(made(ends))[0] for ends in (ENDS, ENDS[:2], ENDS[:1]))
    assert [row["seeds"] for row in (full, two, one)] == [3, 2, 1]
    assert (two["end"], two["standard_error"]) == (1.5, pytest.approx(0.5))  # |a − b|/2 for two
    assert (one["end"], one["standard_error"]) == (1.0, None)
    assert tables.cells(one)[1] == "1.000"
    assert tables.cells(two)[1] == "1.500 ± 0.500"  # control


def test_no_cosine_anywhere():
    (row,) = summary(made(cosine=(np.nan, np.nan)))
    assert row["cosine"] is None
    assert tables.cells(row)[4] == ""
    assert tables.cells(summary(made())[0])[4] == "0.50"  # control


def test_refused_steps_and_model_based_methods_show():
    (row,) = summary(made(rejected=2, steps=0))
    assert tables.cells(row)[0] == "method (6 steps refused)"
    assert tables.cells(row)[5] == "model-based"
    (row,) = summary(made(steps=1234567))
    assert tables.cells(row)[0] == "method"
    assert tables.cells(row)[5] == "1,234,567"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.54612, "0.546"),
        (-0.7264, "-0.726"),
        (0.001, "0.001"),
        (0.00099, "9.9e-04"),
        (-3.2e-5, "-3.2e-05"),
        (99.9991, "99.999"),
        (100.0, "100.0"),
        (-196.23, "-196.2"),
        (99999.0, "99999.0"),
        (123456.0, "1.2e+05"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value, text):
    assert tables.number(value) == text


@pytest.mark.parametrize("value", [0.54612, -196.23, 3.2e-5, 58.9, 12345.678])
def test_a_number_is_read_back_to_its_digits(value):
    assert float(tables.number(value)) == pytest.approx(value, rel=2e-3)
    assert float(tables.number(1.1 * value)) != pytest.approx(value, rel=2e-3)  # control


def several():
    return {**made(label="a"), **made(label="much longer", published=1.25), **made(setting="two", label="b")}


def test_as_text_is_aligned_one_block_a_setting():
    table = summary(several())
    blocks = tables.as_text(table).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["one", "two"]
    lines = blocks[0].splitlines()[1:]
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    at = lines[0].index("published") + len("published")
    assert lines[3][:at].endswith(" 1.250")
    assert lines[2][:at].endswith(" ")  # control: nothing published for the other


def test_as_markdown_is_a_table_of_the_same_cells():
    table = summary(several())
    blocks = tables.as_markdown(table).split("\n\n")
    assert [blocks[0], blocks[2]] == ["**one**", "**two**"]
    head, rule, *rows = blocks[1].splitlines()
    assert len(rows) == 2
    for line in (head, rule, *rows):
        assert line.count("|") == len(tables.HEADINGS) + 1
    assert [cell.strip() for cell in rows[1].strip("|").split("|")] == list(tables.cells(table[1]))
    assert rows[0] != rows[1]  # control


def test_the_table_is_json():
    table = summary(several())
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_cosines_with_a_gradient_that_is_rounding_are_left_out():
    row = {"cosine": [1.0, 0.5, -1.0], "exact_norm": [2.0, 1e-3, 1e-12]}
    assert np.array_equal(cosines(row), [1.0, 0.5, np.nan], equal_nan=True)
    # The control: the same cosine counts where the gradient has a size.
    assert np.array_equal(cosines({**row, "exact_norm": [2.0, 1e-3, 1e-3]}), [1.0, 0.5, -1.0])
