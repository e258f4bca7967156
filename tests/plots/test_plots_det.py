"""The panel draws the curve that it is given, thinned or not."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import det


def _curve(count=500, seed=0, gap=2.0):
    rng = np.random.default_rng(seed)
    mated = np.arange(count) < count // 3
    return det(rng.normal(size=count) + gap * mated, mated)


def _panel(curves):
    figure = Figure(layout="constrained")
    ax = figure.add_subplot()
    assert plots.det_panel(ax, curves) is ax
    figure.draw_without_rendering()
    return ax


def test_the_line_holds_the_curve():
    curve = _curve()
    ax = _panel({"a $5 one": curve})
    line, equal = ax.lines
    x, y = (np.asarray(part) for part in line.get_data())
    inside = (curve.fmr > 0) & (curve.fnmr > 0) & (curve.fmr < 1) & (curve.fnmr < 1)
    np.testing.assert_array_equal(x, curve.fmr[inside])
    np.testing.assert_array_equal(y, curve.fnmr[inside])
    np.testing.assert_array_equal(*equal.get_data())
    assert ax.get_xlim() == (1 / curve.non_mated_count, 0.5)
    assert ax.get_ylim() == (1 / curve.mated_count, 0.5)
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [r"a \$5 one", "FMR = FNMR"]


def test_normal_similarities_are_straight_on_probit_axes():
    ax = _panel({"one": _curve(60_000)})
    points = np.transpose(np.asarray(ax.lines[0].get_data()))
    points = points[points[:, 0] >= 1e-3]  # below, few errors are left
    x, y = ax.transData.transform(points).T
    shown = (x > ax.bbox.x0) & (y > ax.bbox.y0) & (x < ax.bbox.x1) & (y < ax.bbox.y1)
    x, y = x[shown], y[shown]
    slope, start = np.polyfit(x, y, 1)
    assert np.abs(y - start - slope * x).max() < 0.04 * ax.bbox.height


def test_long_curves_are_thinned_on_their_steps():
    curve = _curve(200_000, gap=1.0)
    assert len(curve.fmr) > 20_000
    line = _panel({"one": curve}).lines[0]
    x, y = (np.asarray(part) for part in line.get_data())
    assert len(x) <= 3000
    points = set(zip(curve.fmr, curve.fnmr, strict=True))
    assert points.issuperset(zip(x, y, strict=True))
    # Nowhere on the shown axes is it off by what an eye could see.
    fmr = np.geomspace(1e-4, 0.5, 300)
    drawn = np.interp(fmr, x[::-1], y[::-1])
    wanted = curve.fnmr[np.searchsorted(-curve.fmr, -fmr)]
    np.testing.assert_allclose(drawn, wanted, rtol=0.02)


def test_a_curve_without_errors_is_named_and_not_in_the_legend():
    similarity = np.concatenate([np.linspace(0.5, 1, 30), np.linspace(-1, 0.2, 60)])
    perfect = det(similarity, np.arange(90) < 30)
    ax = _panel({"mine": perfect, "other": _curve()})
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["other", "FMR = FNMR"]
    (words,) = [text.get_text() for text in ax.texts]
    assert words.startswith("mine:\nno threshold has errors of both kinds")
    alone = _panel({"mine": perfect})
    assert [text.get_text() for text in alone.texts] == [words]
    # One error has one point, which shows.
    similarity[0] = 0.19
    one = _panel({"one": det(similarity, np.arange(90) < 30)}).lines[0]
    assert len(np.asarray(one.get_xdata())) >= 1
    assert one.get_marker() == "o"


def test_what_cannot_be_drawn():
    with pytest.raises(InputError, match="no curves to draw"):
        _panel({})
