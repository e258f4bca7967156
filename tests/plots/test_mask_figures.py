"""What the figures of a comparison of masks hold."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from prefiqs_jax import plots
from prefiqs_jax.plots.end_labels import spread


def masks_table(count=8, levels=(0.1, 0.3, 0.9)):
    lines = []
    for place in range(count):
        for sparsity in levels:
            drift = 0.5 * sparsity * (1 + place / 10)
            lines.append(
                {
                    "mask": f"erk/mask_{place}",
                    "sparsity": sparsity,
                    "mean_drift": drift,
                    "delta_norm_relative": sparsity,
                    "median_relative_residual": 0.3 * drift,
                    "median_relative_residual_low": 0.2 * drift,
                    "median_relative_residual_high": 0.4 * drift,
                    "spearman": 1 - drift,
                    "spearman_low": 0.9 - drift,
                    "spearman_high": 1.0,
                }
            )
    return pd.DataFrame(lines)


@pytest.mark.parametrize("x", ["mean_drift", "delta_norm_relative"])
def test_curves_hold_the_table(x):
    table = masks_table(2)
    with plots.theme():
        figure = Figure(figsize=(4.4, 2))
        plots.mask_curve_panels(
            figure, table, x, ["median_relative_residual", "spearman"]
        )
        residual, rank = figure.axes
        figure.savefig(io.BytesIO(), format="png")
    assert (residual.get_xscale(), residual.get_yscale()) == ("log", "log")
    assert (rank.get_xscale(), rank.get_yscale()) == ("log", "linear")
    first, second = residual.lines
    own = table[table["mask"] == "erk/mask_1"]
    assert np.asarray(second.get_xdata()).tolist() == own[x].tolist()
    assert (
        np.asarray(second.get_ydata()).tolist()
        == own["median_relative_residual"].tolist()
    )
    assert first.get_color() != second.get_color()
    whiskers = residual.collections[1]
    assert isinstance(whiskers, LineCollection)
    ends = [own[f"median_relative_residual_{end}"] for end in ("low", "high")]
    for segment, *own_ends in zip(whiskers.get_segments(), *ends, strict=True):
        assert list(segment[:, 1]) == own_ends


def test_every_curve_has_its_name_and_none_covers_another():
    table = masks_table(8)
    with plots.theme():
        figure = Figure(figsize=(4.4, 2))
        plots.mask_curve_panels(figure, table, "mean_drift", ["spearman"])
        FigureCanvasAgg(figure).draw()
        (ax,) = figure.axes
        words = [each for each in ax.texts if isinstance(each, Annotation)]
        boxes = [Text.get_window_extent(each) for each in words]  # less the lines
        page = figure.bbox
    assert sorted(each.get_text() for each in words) == sorted(set(table["mask"]))
    boxes.sort(key=lambda box: box.y0)
    for below, above in itertools.pairwise(boxes):
        assert below.y1 <= above.y0 + 2  # ascenders may touch
    assert all(box.x1 <= page.x1 and box.y0 >= page.y0 for box in boxes)


def test_a_statistic_that_nobody_has():
    table = masks_table(2).assign(spearman=np.nan)
    ax = plots.mask_curves(Figure().add_subplot(), table, "mean_drift", "spearman")
    assert [text.get_text() for text in ax.texts] == ["not defined"]


def test_places_are_spread():
    rng = np.random.default_rng(0)
    for _ in range(50):
        wanted = rng.random(6)
        found = spread(wanted.tolist(), 0.12)
        assert (np.argsort(found) == np.argsort(wanted)).all()
        assert np.diff(np.sort(found)).min() >= 0.12 - 1e-9
        assert 0 <= found.min() <= found.max() <= 1 + 1e-9
    assert spread([0.1, 0.5, 0.9], 0.2).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_a_layer_that_loses_all_is_marked():
    achieved = np.array([[0.25, 1.0], [0.5, 0.0]])
    ax = plots.layer_profiles(
        Figure().add_subplot(), ["a", "b"], [10, 30], ["m", "n"], achieved
    )
    words = [text.get_text() for text in ax.texts]
    assert words == [".25", "×", ".50", ".00"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a 25.0 %", "b 75.0 %"]


def test_overlap():
    jaccard = np.array([[1.0, np.nan], [np.nan, 1.0]])
    ax = plots.overlap_map(Figure().add_subplot(), ["m", "n"], jaccard)
    assert [text.get_text() for text in ax.texts] == ["1.00", "–", "–", "1.00"]


def test_faces():
    pixels = np.full((8, 8, 3), 100, np.uint8)
    face = plots.MissedFace(pixels, "a_rather_long_name_0001.png", 0.123, 0.4)
    with plots.theme():
        figure = plots.worst_faces(
            Figure(figsize=(4.4, 2)), {"one": [face] * 6, "other": [face] * 2}
        )
        figure.savefig(io.BytesIO(), format="png")
    (ax,) = figure.axes
    assert len(ax.images) == 8
    words = [text.get_text() for text in ax.texts]
    assert [each for each in words if "\n" not in each] == ["one", "other"]
    assert "residual 0.12\ndrift 0.4" in words[1]
