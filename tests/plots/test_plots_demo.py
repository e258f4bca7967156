"""Figures of the demo: nothing cut off, every image in its place."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prefiqs_jax import plots


@pytest.fixture
def levels():
    lines = [
        (name, severity, drift, 0.9 * drift, 1.2 * drift, rises)
        for name, drifts in {"calm": (1, 1.1, 1.05), "wild": (1, 5, 40)}.items()
        for severity, drift, rises in zip(
            (0.0, 0.5, 1.0), drifts, (True, True, drifts[2] > drifts[1]), strict=True
        )
    ]
    names = ["degradation", "severity", "drift", "low", "high", "rises"]
    return pd.DataFrame(lines, columns=names)


def test_every_point_and_band_is_within_its_panel(levels):
    with plots.theme():
        figure = plots.drift_against_severity(Figure(figsize=(7, 2)), levels)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["calm", "wild"]
    for ax in figure.axes[:2]:
        low, high = ax.get_ylim()
        assert low == 0
        assert high > 48
        left, right = ax.get_xlim()
        assert left < 0
        assert right > 1


def test_only_what_falls_has_a_cross(levels):
    with plots.theme():
        figure = plots.drift_against_severity(Figure(figsize=(7, 2)), levels)
    crosses = [
        [tuple(point) for point in np.asarray(line.get_xydata())]
        for ax in figure.axes[:2]
        for line in ax.lines
        if line.get_marker() == "x"
    ]
    assert crosses == [[(1.0, 1.05)], []]


def test_sheet_shows_each_picture_in_its_row_and_column():
    grey = np.array([[30, 90, 150], [60, 120, 180], [200, 220, 240]], np.uint8)
    pictures = np.broadcast_to(grey[..., None, None, None], (3, 3, 20, 20, 3))
    with plots.theme():
        figure = plots.image_sheet(
            Figure(figsize=(3, 3), dpi=100),
            pictures,
            rows=["", "", ""],
            columns=["", "", ""],
        )
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., 0]
    assert shown.shape == (300, 300)
    assert shown[45::100, 45::100].tolist() == grey.tolist()


def test_blocks_stand_side_by_side():
    pictures = np.zeros((5, 2, 8, 8, 3), np.uint8)
    with plots.theme():
        figure = plots.image_sheet(
            Figure(figsize=(6, 3)),
            pictures,
            rows=list("abcde"),
            columns=["x", "y"],
            blocks=2,
        )
    at = {text.get_text(): text.get_position() for text in figure.texts}
    assert at["d"][0] - at["a"][0] == pytest.approx(0.5)
    assert at["a"][1] == pytest.approx(at["d"][1])
    assert at["c"][1] < at["b"][1] < at["a"][1]


def test_words_must_be_as_many_as_pictures():
    with pytest.raises(ValueError, match="1 × 2 words for 2 × 2 images"):
        plots.image_sheet(
            Figure(),
            np.zeros((2, 2, 4, 4, 3), np.uint8),
            rows=["a"],
            columns=["x", "y"],
        )
