"""Pictures of checks: what they show is what was found, whatever the verdict, and nothing of pyplot's state is used."""

import builtins
import io
import sys

import numpy as np
import pytest

from boltzgrad.errors import InvalidOption, MissingExtra
from boltzgrad.verify import check_samples
from boltzgrad.verify import estimator_pictures as pictures
from tests_helpers import optional

optional("matplotlib")

G = np.array([3.0, -1.0, 0.5])


def noise(n, size):
    return size * np.random.default_rng(0).standard_normal((n, 3))


CHECKS = {
    "unbiased": check_samples(G + noise(300, 0.5), G),
    "too short": check_samples(0.5 * G + noise(300, 0.5), G),
    "few": check_samples(G + noise(30, 5.0), G),
    "exact": check_samples(np.tile(G, (30, 1)), G),
    "wrong without noise": check_samples(np.tile(2.0 * G, (30, 1)), G),
    "zero": check_samples(noise(300, 0.5), np.zeros(3)),
    "nothing at all": check_samples(np.zeros((30, 3)), np.zeros(3)),
    "heavy": check_samples(G + np.random.default_rng(1).standard_t(2, (300, 3)), G),
}


def drawn(figure):
    """The figure is drawn as a whole; the size of the PNG says that there is something on it."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    assert len(out.getvalue()) > 5000
    return figure


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("picture", [pictures.projections, pictures.convergence])
def test_every_check_can_be_drawn(picture, name):
    assert len(drawn(picture(CHECKS[name])).axes) == 2


def test_all_estimators_on_one_picture():
    (axes,) = drawn(pictures.bias_variance(CHECKS)).axes
    assert [text.get_text() for text in axes.texts] == list(CHECKS)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("name", CHECKS)
def test_one_estimator_alone(name):
    drawn(pictures.bias_variance({name: CHECKS[name]}))


def test_a_biased_estimator_stands_at_its_bias_and_an_unbiased_one_at_its_bound():
    (axes,) = pictures.bias_variance(CHECKS).axes
    at = {text.get_text(): text.xy for text in axes.texts}
    assert at["too short"] == pytest.approx((0.5 * np.sqrt(3) / np.linalg.norm(G), 0.5), rel=0.1)
    assert at["unbiased"][1] == pytest.approx(CHECKS["unbiased"].relative_interval[1])


def test_the_exact_value_and_the_mean_are_drawn_in():
    check = CHECKS["too short"]
    left, _ = pictures.projections(check).axes
    lines = {line.get_label(): line.get_xdata()[0] for line in left.lines}
    assert lines["exact"] == pytest.approx(1.0)
    assert lines["mean ± 2 standard errors"] == pytest.approx(0.5, abs=0.05)
    left, right = pictures.convergence(check).axes
    curves = {line.get_label(): line.get_ydata() for line in left.lines}
    np.testing.assert_allclose(curves["‖running mean − ∇J‖"][-1], np.linalg.norm(check.bias) / check.norm)
    np.testing.assert_allclose(curves["√(tr Σ/n): no bias"][-1], np.linalg.norm(check.standard_error) / check.norm)
    assert next(line for line in right.lines if line.get_label() == "exact").get_ydata()[0] == pytest.approx(1.0)


def test_no_batch_is_lost_from_a_histogram():
    check = CHECKS["heavy"]
    for axes in pictures.projections(check).axes:
        assert sum(bar.get_height() for bar in axes.patches if bar.get_width() < 100 and bar.get_y() == 0) >= check.n
        assert "outliers clipped" in axes.get_title(loc="left")


def test_nothing_to_draw_is_refused():
    with pytest.raises(InvalidOption, match="checks is empty"):
        pictures.bias_variance({})


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(MissingExtra, match="pip install 'boltzgrad\\[experiments\\]'"):
        pictures.projections(CHECKS["unbiased"])
