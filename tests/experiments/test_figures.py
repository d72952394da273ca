"""Figures: what is drawn is what was measured, in its own colour, with what was published, the same bytes every time."""

import sys

import numpy as np
import pytest

from boltzgrad.errors import MissingExtra
from boltzgrad.experiments import figures
from boltzgrad.experiments.experiment import Curve, Experiment, objective, objective_end
from tests_helpers import optional

to_hex = optional("matplotlib.colors").to_hex

POINTS = list(range(0, 50, 10))


def rows_of(values, seeds=3, spread=0.1, cosine=0.5):
    """Seeds at values + spread·(−1, 0, 1): standard error spread/√3 for three."""
    return [
        {
            "seed": s,
            "key": "",
            "iteration": POINTS,
            "objective": [v + spread * (s - (seeds - 1) / 2) for v in values],
            "end": values[-1],
            "cosine": [cosine] * len(POINTS),
            "exact_norm": [1.0] * len(POINTS),
        }
        for s in range(seeds)
    ]


def experiment(lower=False):
    return Experiment(
        "toy", "Toy", "nowhere", "the quantity", lambda p: [], {"smoke": 3}, objective, objective_end, lower
    )


def several(count=3, **more):
    """The reference last, as some experiments list it."""
    out = {
        Curve("one", f"method {i}", {}, published=i / 2): rows_of(np.linspace(0, i / 2, 5), **more)
        for i in range(count)
    }
    out[Curve("one", "exact", {}, reference=True)] = rows_of(np.linspace(0, 2, 5), **more)
    return out


def drawn(curves, lower=False):
    (figure,) = figures.draw(experiment(lower), curves).values()
    figure.draw_without_rendering()
    return figure, *figure.axes


def line(axes, label):
    (found,) = [x for x in axes.get_lines() if x.get_label() == label]
    return found


def marks(axes):
    return [x for x in axes.get_lines() if x.get_gid() == "published"]


def test_a_figure_a_setting():
    curves = several() | {Curve("two", "exact", {}, reference=True): rows_of(np.zeros(5))}
    made = figures.draw(experiment(), curves)
    assert list(made) == ["one", "two"]
    assert "Toy: one" in made["one"].get_suptitle()
    assert len(made["one"].axes) == 2


def test_curves_are_the_means_over_seeds():
    curves = several()
    _, left, _ = drawn(curves)
    for curve, rows in curves.items():
        found = line(left, curve.label)
        np.testing.assert_array_equal(found.get_xdata(), POINTS)
        np.testing.assert_allclose(found.get_ydata(), np.mean([r["objective"] for r in rows], axis=0), atol=1e-15)
    assert not np.allclose(line(left, "exact").get_ydata(), line(left, "method 1").get_ydata())  # control
    assert left.get_ylabel() == "the quantity"


@pytest.mark.parametrize("seeds", [1, 3])
def test_bands_are_standard_errors(seeds):
    curves = {Curve("one", "exact", {}, reference=True): rows_of(np.zeros(5), seeds)}
    _, left, _ = drawn(curves)
    (band,) = left.collections
    half = np.ptp(band.get_paths()[0].vertices[:, 1]) / 2
    np.testing.assert_allclose(half, 0.1 / np.sqrt(3) if seeds == 3 else 0.0, atol=1e-15)
    x, mean, error = figures.band(rows_of(np.ones(5), 3), [np.array([1.0, 2.0]), np.array([3.0, 2.0])])
    np.testing.assert_allclose(mean, [2.0, 2.0])
    np.testing.assert_allclose(error, [1.0, 0.0])  # |a − b|/2 for two seeds
    assert list(x) == POINTS


def test_the_reference_is_black_and_first_and_the_others_differ():
    figure, left, right = drawn(several(9))
    assert to_hex(line(left, "exact").get_color()) == "#000000"
    others = [line(left, f"method {i}") for i in range(9)]
    assert "#000000" not in [to_hex(x.get_color()) for x in others]  # control
    assert line(left, "exact").get_linewidth() > max(x.get_linewidth() for x in others)
    assert len({to_hex(x.get_color()) for x in others}) == 9
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts[0] == "exact"
    assert texts[-1] == "published end value"
    in_cosines = [to_hex(x.get_color()) for x in right.get_lines()]
    for x in [*others, line(left, "exact")]:
        assert to_hex(x.get_color()) in in_cosines


def test_many_methods_are_told_apart_and_fit():
    figure, left, _ = drawn(several(40))
    looks = {(to_hex(x.get_color()), x.get_linestyle()) for x in left.get_lines() if x.get_label().startswith("method")}
    assert len(looks) >= 33  # eleven colours, three dashes
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    assert box.y0 >= page.y0 - 1
    assert box.x1 <= page.x1 + 1


@pytest.mark.parametrize(("lower", "best"), [(False, "rate 0.5"), (True, "rate 0.01")])
def test_the_best_of_a_methods_grid_stands_for_it(lower, best):
    curves = several(1)
    for rate, end in [(0.01, 1.0), (0.5, 2.0), (0.1, 1.5)]:
        curves[Curve("one", f"BC-HG sarsa 0.1 rate {rate}", {}, published=3.0)] = rows_of(np.linspace(0, end, 5))
    figure, left, _ = drawn(curves, lower)
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == ["exact", "method 0", f"BC-HG (best of 3: sarsa 0.1 {best})", "published end value"]
    assert len(marks(left)) == 2  # one for the grid
    pale = [x for x in left.get_lines() if x.get_alpha() == 0.35]
    assert sorted(x.get_ydata()[-1] for x in pale) == ([1.5, 2.0] if lower else [1.0, 1.5])
    own = to_hex(line(left, f"BC-HG sarsa 0.1 {best}").get_color())
    assert {to_hex(x.get_color()) for x in pale} == {own}
    assert len(drawn(several())[1].collections) == 4  # control: without a grid all have their band


@pytest.mark.parametrize("count", [2, 13, 40])
def test_the_legend_covers_no_panel(count):
    figure, left, right = drawn(several(count))
    legend = figure.legends[0].get_window_extent()
    for axes in (left, right):
        assert not legend.overlaps(axes.get_window_extent())
    assert left.get_window_extent().width > 0.25 * figure.bbox.width
    assert left.get_window_extent().overlaps(left.bbox)  # control


def test_published_values_are_marked_outside_the_panel_in_their_colour():
    _, left, _ = drawn(several(3))
    found = marks(left)
    assert [float(m.get_ydata()[0]) for m in found] == [0.0, 0.5, 1.0]
    for i, mark in enumerate(found):
        assert to_hex(mark.get_color()) == to_hex(line(left, f"method {i}").get_color())
        assert mark.get_xdata()[0] > 1.0  # in widths of the panel
        low, high = left.get_ylim()
        assert low <= mark.get_ydata()[0] <= high
    bare = {Curve("one", "exact", {}, reference=True): rows_of(np.zeros(5))}
    assert not marks(drawn(bare)[1])  # control


def test_published_values_that_are_close_stand_side_by_side():
    curves = several(0) | {
        Curve("one", f"m{i}", {}, published=p): rows_of(np.zeros(5)) for i, p in enumerate([0.526, 0.53, 0.53, 1.9])
    }
    _, left, _ = drawn(curves)
    places = [float(m.get_xdata()[0]) for m in marks(left)]
    assert len(set(places[:3])) == 3
    assert places[3] == places[0]  # control: what is far away needs no place of its own


@pytest.mark.parametrize("wild", [1e6, -1e6])
def test_a_curve_that_runs_away_does_not_hide_the_others(wild):
    curves = several()
    usual = drawn(curves)[1].get_ylim()
    curves[Curve("one", "wild", {})] = rows_of([0.0, 1.0, wild / 10, wild / 2, wild])
    low, high = drawn(curves)[1].get_ylim()
    assert -10 < low < 0
    assert 2 < high < 10
    assert usual[1] - usual[0] < 10
    harmless = several() | {Curve("one", "mild", {}): rows_of([0.0, 1.0, 2.0, 3.0, 6.0])}
    assert drawn(harmless)[1].get_ylim()[1] > 6  # control: what can be shown is shown


@pytest.mark.parametrize(
    ("lower", "low", "scale"), [(True, 1e-3, "log"), (True, -1.0, "linear"), (False, 1e-3, "linear")]
)
def test_log_scale_only_for_what_falls_over_decades_and_is_positive(lower, low, scale):
    curves = {Curve("one", "exact", {}, reference=True): rows_of([100.0, 10.0, 1.0, 0.1, low], spread=0.0)}
    assert drawn(curves, lower)[1].get_yscale() == scale


def test_cosines_are_means_over_seeds_and_leave_gaps_where_there_are_none():
    curve = Curve("one", "exact", {}, reference=True)
    rows = rows_of(np.zeros(5), 2)
    rows[0]["cosine"], rows[1]["cosine"] = [1.0, 0.5, np.nan, np.nan, 0.0], [0.0, np.nan, np.nan, -1.0, 0.0]
    _, _, right = drawn({curve: rows})
    (found,) = [x for x in right.get_lines() if to_hex(x.get_color()) == "#000000" and len(x.get_xdata()) == 5]
    np.testing.assert_array_equal(found.get_ydata(), [0.5, 0.5, np.nan, -1.0, 0.0])
    for row in rows:
        row["cosine"] = [np.nan] * 5
    _, _, right = drawn({curve: rows})
    assert all(len(x.get_xdata()) == 2 for x in right.get_lines())  # the zero line only


def test_running_means():
    y = np.array([1.0, np.nan, 3.0, 5.0, np.nan])
    np.testing.assert_allclose(figures.smooth(y, 3), [1.0, 2.0, 4.0, 4.0, 5.0])
    np.testing.assert_array_equal(figures.smooth(y, 1), y)
    assert np.isnan(figures.smooth(np.full(4, np.nan), 3)).all()
    assert not np.allclose(figures.smooth(np.arange(9.0) ** 2, 3), np.arange(9.0) ** 2)  # control


def test_the_same_rows_give_the_same_bytes(tmp_path):
    written = {}
    for name, curves in [("a", several()), ("b", several()), ("c", several(spread=0.2))]:
        paths = figures.save(figures.draw(experiment(), curves), tmp_path / name, "toy")
        written[name] = {path.name: path.read_bytes() for path in paths}
    assert list(written["a"]) == ["toy-one.svg", "toy-one.png"]
    assert written["a"] == written["b"]
    assert all(written["a"][name] != written["c"][name] for name in written["a"])  # control
    svg = written["a"]["toy-one.svg"].decode()
    assert "Toy: one" in svg  # text stays text
    assert "<dc:date>" not in svg


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("temperature 0.003, batch 100", "temperature-0.003-batch-100"),
        ("γ = 0.9", "0.9"),
        ("../../etc/passwd", "..-..-etc-passwd"),
        ("bonus 1 (R1)", "bonus-1-r1"),
    ],
)
def test_names_of_files(text, name):
    assert figures.slug(text) == name
    assert "/" not in figures.slug(text)


def test_without_matplotlib(monkeypatch):
    figures.require()  # control
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"figures need matplotlib .or --no-plots.: pip install"):
        figures.draw(experiment(), several())


def test_pyplot_is_not_touched():
    before = "matplotlib.pyplot" in sys.modules
    drawn(several())
    assert ("matplotlib.pyplot" in sys.modules) == before
