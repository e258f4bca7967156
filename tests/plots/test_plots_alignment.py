"""The figure of the alignment study: every point in its panel, on its line."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots.alignment import ERRORS, ROWS, alignment_panels


@pytest.fixture
def table():
    lines = []
    for place, kind in enumerate(("shift_x", "scale")):
        neutral = 1.0 if kind == "scale" else 0.0
        for amount in (neutral + 2, neutral, neutral - 0.5):
            for sparsity in (0.4, 0.1):
                for row, statistic in enumerate(
                    ("mean_quality", "rank_agreement", "mean_drift")
                ):
                    value = 100 * place + 10 * row + amount + sparsity
                    lines.append((kind, amount, sparsity, statistic, value))
            lines.append((kind, amount, np.nan, "mean_similarity", 0.5 + amount / 9))
    columns = ["kind", "amount", "sparsity", "statistic", "value"]
    table = pd.DataFrame(lines, columns=columns)
    return table.assign(
        low=table["value"] - 0.25,
        high=table["value"] + 0.5,
        images=30,
        clusters=7,
        resampled_by="identity",
    )


@pytest.fixture
def figure(table):
    with plots.theme():
        figure = alignment_panels(Figure(figsize=(plots.PAGE_IN, 1)), table)
        FigureCanvasAgg(figure).draw()
    return figure


def test_a_panel_for_each_kind_and_statistic_that_is_there(figure):
    assert len(figure.axes) == 2 * 3
    assert [ax.get_xlabel() for ax in figure.axes[-2:]] == [
        ERRORS["shift_x"],
        ERRORS["scale"],
    ]
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == [
        ROWS[name] for name in ("mean_quality", "rank_agreement", "mean_similarity")
    ]


def test_lines_hold_the_table(figure):
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    assert set(lines) == {"0.1", "0.4"}
    np.testing.assert_allclose(lines["0.1"].get_xdata(), [0.5, 1, 3])
    np.testing.assert_allclose(lines["0.1"].get_ydata(), [100.6, 101.1, 103.1])
    (grey,) = (line for line in figure.axes[4].lines if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(grey.get_ydata(), 0.5 + np.array([-0.5, 0, 2]) / 9)


def test_bands_are_within_the_panels(figure):
    for ax in figure.axes:
        low, high = ax.get_ylim()
        for band in ax.collections:
            ys = band.get_paths()[0].vertices[:, 1]
            assert low <= ys.min()
            assert ys.max() <= high


def test_the_legend_names_each_sparsity_once(figure):
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0.1", "0.4"]
    title = legend.get_title().get_text()
    assert title.startswith("sparsity (30 images; bands: 95 %")
    assert title.endswith("over 7 identities)")


def test_every_row_is_explained():
    assert set(ERRORS) == {"shift_x", "shift_y", "rotation", "scale"}
    assert next(iter(ROWS)) == "mean_quality"
