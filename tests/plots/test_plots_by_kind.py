"""Panels over sparsity and a scatter, with a mark for each kind of image."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Panel

LEVELS = [0.1, 0.4, 0.7]


@pytest.fixture
def table():
    lines = [
        {
            "sparsity": level,
            "achieved_sparsity": level,
            "stratum": kind,
            "quantity": name,
            "value": value * level * factor,
            "low": 0.9 * value * level * factor,
            "high": 1.1 * value * level * factor,
            "images": 30,
        }
        for kind, factor in (("clean", 1), ("degraded", 3))
        for name, value in (("one", 1.0), ("two", 2.0), ("error", 0.1))
        for level in LEVELS
    ]
    return pd.DataFrame(lines)


def test_each_kind_has_its_curves(table):
    names = {"one": "first", "two": "second"}
    panels = Panel(table, names, "ratio", (1,)), Panel(table, {"one": ""}, "rank")
    upper, lower = plots.kind_panels(Figure(), *panels).axes
    reference, *curves = upper.lines
    assert list(np.asarray(reference.get_ydata())) == [1, 1]
    for line, scale in zip(curves, (1, 2, 3, 6), strict=True):
        np.testing.assert_allclose(
            np.asarray(line.get_ydata()), np.multiply(LEVELS, scale)
        )
    # The second quantity is hollow; colours are those of the kinds.
    assert [str(c.get_markerfacecolor()) == "white" for c in curves] == [0, 1, 0, 1]
    colors = [to_hex(curve.get_color()) for curve in curves]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    np.testing.assert_allclose(np.asarray(curves[0].get_xdata()), LEVELS, atol=0.02)
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("ratio", "rank")
    (legend,) = upper.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "clean, n = 30 images",
        "degraded, n = 30 images",
        "first",
        "second",
    ]


def test_a_band_is_twice_the_largest_standard_error(table):
    panel = Panel(table, {"one": ""}, "", (2,), error="error", is_log=True)
    (ax,) = plots.kind_panels(Figure(), panel).axes
    corners = np.asarray(ax.collections[0].get_paths()[0].vertices)
    for level in LEVELS:
        ends = corners[np.isclose(corners[:, 0], level), 1]
        np.testing.assert_allclose(
            [ends.min(), ends.max()], [2 - 1.2 * level, 2 + 1.2 * level]
        )
    assert ax.get_yscale() == "log"
    # Less than a decade has more than its 1, 2 and 5.
    assert len([t for t in ax.get_yticks() if np.diff(ax.get_ylim()) > 0]) > 3


def test_a_panel_of_rounding_says_so_and_leaves_the_others(table):
    still = table.assign(value=np.nan)
    panels = Panel(still, {"one": ""}, "a"), Panel(table, {"one": ""}, "b")
    upper, lower = plots.kind_panels(Figure(), *panels).axes
    assert upper.texts[0].get_text() == "no change above rounding"
    assert len(lower.lines) == 2
    assert len(lower.get_xticks()) > 1


def test_gradients_are_drawn_image_by_image():
    rows = pd.DataFrame(
        {
            "stratum": ["clean", "degraded", "clean", "clean"],
            "first_order": [0.1, 0.2, 0.3, 0.4],
            "pixel_gradient": [1.0, 2.0, 0.0, np.nan],
        }
    )
    ax = plots.gradient_scatter(
        Figure().add_subplot(), rows, {"clean": "clean ones", "degraded": "others"}
    )
    clean, degraded = (c for c in ax.collections if isinstance(c, PathCollection))
    assert np.asarray(clean.get_offsets()).tolist() == [[0.1, 1.0]]
    assert np.asarray(degraded.get_offsets()).tolist() == [[0.2, 2.0]]
    assert (clean.get_label(), ax.get_xscale(), ax.get_yscale()) == (
        "clean ones",
        "log",
        "log",
    )
    empty = plots.gradient_scatter(
        Figure().add_subplot(), rows.iloc[2:], {"clean": "c"}
    )
    assert empty.texts[0].get_text() == "no change above rounding"
