"""Figures of Taylor orders, kinks, flips and controls draw the numbers of tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.statistics import (
    compare_with_controls,
    flip_table,
    relative_medians,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    frames = []
    for sparsity in (0.1, 0.4):
        drift = sparsity * (1 + rng.random(12))
        frames.append(
            pd.DataFrame(
                {
                    "image": [f"{i:02d}" for i in range(12)],
                    "identity": [f"p{i % 6}" for i in range(12)],
                    "sparsity": sparsity,
                    "achieved_sparsity": sparsity,
                    "first_order": drift * (1 - 0.1 * rng.random(12)),
                    "drift": drift,
                    "cosine": 0.9 + 0.1 * rng.random(12),
                    "residual": drift * sparsity,
                    "second_order_residual": drift * sparsity**2,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_orders_are_medians_over_the_drift(rows):
    table = relative_medians(rows, ["residual", "second_order_residual"])
    ax = plots.medians_against_sparsity(Figure().add_subplot(), table, plots.ORDERS)
    assert ax.get_yscale() == "log"
    first, second = ax.lines[2:]
    np.testing.assert_allclose(np.asarray(first.get_ydata()), [0.1, 0.4])
    np.testing.assert_allclose(np.asarray(second.get_ydata()), [0.01, 0.16])
    assert [first.get_label(), second.get_label()] == ["order 1", "order 2"]


def test_nothing_moved_has_no_medians(rows):
    still = rows.assign(first_order=0.0, drift=0.0)
    table = relative_medians(still, ["residual"])
    assert np.all(table["value"].isna())
    ax = plots.medians_against_sparsity(Figure().add_subplot(), table, plots.ORDERS)
    assert ax.texts[0].get_text() == "no change above rounding"


def test_flips_stand_beside_predictions_by_depth():
    lines = [
        (image, person, 0.4, name, count * scale, count)
        for image, person, scale in (("a", "p", 0.5), ("b", "q", 1.0), ("c", "r", 1.5))
        for name, count in (("stem", 10.0), ("head", 20.0))
    ]
    columns = ["image", "identity", "sparsity", "activation", "flips"]
    table = flip_table(pd.DataFrame(lines, columns=[*columns, "predicted_flips"]))
    np.testing.assert_allclose(table["flips"], [10, 20])
    # Student's interval of the mean of 5, 10 and 15.
    np.testing.assert_allclose(table["high"].iloc[0], 10 + 4.302653 * 5 / 3**0.5)
    ax = plots.flips_by_depth(Figure().add_subplot(), table, sparsity=0.4)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["stem", "head"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_xdata()), [10, 20])


def test_controls_stand_beside_pruning(rows):
    rng = np.random.default_rng(1)
    controls = pd.concat(
        [
            rows.assign(
                control=kind,
                replicate=k,
                drift=rows["drift"] * (2 + 0.1 * rng.random(24)),
            )
            for kind in ("gaussian", "signs")
            for k in range(3)
        ]
    )
    found = compare_with_controls(rows, controls)
    figure = plots.control_panels(Figure(), found.means, found.ranks)
    drift, cosine, ranks = figure.axes
    means = found.means[found.means["quantity"] == "drift"]
    for line, (_, own) in zip(drift.lines, means.groupby("control"), strict=True):
        wanted = own["control_mean"] / own["observed"]
        np.testing.assert_allclose(np.asarray(line.get_ydata()), wanted)
        assert 2 < np.min(np.asarray(line.get_ydata())) < 2.1
    np.testing.assert_allclose(
        np.asarray(cosine.lines[0].get_ydata()),
        rows.groupby("sparsity")["cosine"].mean(),
    )
    # Filled marks of pruning and a control, hollow ones of two controls.
    fills = [str(line.get_markerfacecolor()) for line in ranks.lines[:4]]
    assert [fill == "white" for fill in fills] == [False, True] * 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["gaussian", "signs", "pruning"]
