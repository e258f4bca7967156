"""Figures draw what they are given, on the axes they are given, and nothing else."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots.theme import CYCLE
from prefiqs_jax.statistics import (
    STATISTICS,
    quantiles,
    reach,
    summarise,
    within_strata,
)

BOUNDED = ("spearman", "kendall", "pearson", "mean_cosine")


def _rows(images=20, sparsities=(0.1, 0.4)):
    rng = np.random.default_rng(0)
    frames = []
    for sparsity in sparsities:
        first_order = rng.random(images) * sparsity
        drift = first_order * (1 + 0.2 * sparsity * rng.random(images))
        frames.append(
            pd.DataFrame(
                {
                    "backbone": "toy",
                    "mask": "global/magnitude",
                    "image": [f"{i}.png" for i in range(images)],
                    "identity": None,
                    "sparsity": sparsity,
                    "first_order": first_order,
                    "drift": drift,
                    "cosine": 0.9,
                    "residual": 0.1 * drift,
                    "below_rounding": drift == 0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_scatter_has_equal_log_axes_the_diagonal_and_the_ratio():
    figure = plots.drift_scatter(Figure((4, 4)), _rows(sparsities=(0.1, 0.4, 0.7)))
    upper, lower = figure.axes
    assert (upper.get_xscale(), upper.get_yscale()) == ("log", "log")
    assert upper.get_xlim() == upper.get_ylim() == lower.get_xlim()
    line = upper.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    rows = _rows(sparsities=(0.1, 0.4, 0.7))
    for ax, values in (
        (upper, rows["drift"]),
        (lower, rows["drift"] / rows["first_order"]),
    ):
        drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
        order = np.argsort(drawn[:, 0])
        wanted = np.argsort(rows["first_order"].to_numpy())
        np.testing.assert_allclose(drawn[order, 1], np.asarray(values)[wanted])
    assert "n = 20 images" in upper.get_title(loc="left")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.1", "0.4", "0.7"]


def test_scatter_tells_degraded_images_apart():
    rows = _rows(images=4, sparsities=(0.1,))
    figure = plots.drift_scatter(Figure((4, 4)), rows, degraded=np.arange(4) == 0)
    hollow, filled = figure.axes[0].collections
    assert len(np.asarray(hollow.get_offsets())) == 1
    assert len(np.asarray(filled.get_offsets())) == 3
    assert len(hollow.get_facecolor()) == 0
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.1", "clean", "degraded"]


def _segments(collection):
    return np.array([segment[:, 1] for segment in collection.get_segments()])


def test_statistics_show_value_and_interval():
    table = summarise(_rows())
    ax = Figure().add_subplot()
    plots.statistic_against_sparsity(ax, table, "slope")
    chosen = table[table["statistic"] == "slope"]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), chosen["value"])
    drawn = _segments(ax.collections[0])
    np.testing.assert_allclose(drawn, np.asarray(chosen[["low", "high"]]))


def test_correlations_of_one_run_share_a_fixed_axis():
    table = summarise(_rows())
    upper, lower = plots.agreement_panels(Figure(), [table]).axes
    assert upper.get_ylim() == (-0.03, 1.03)
    assert lower.get_ylim()[0] == 0
    assert len(upper.lines) == 1 + 4
    assert len(lower.lines) == 1 + 2
    looks = {
        (ln.get_color(), ln.get_marker(), ln.get_linestyle()) for ln in upper.lines
    }
    assert len(looks) == 5
    negative = table.assign(value=-table["value"])
    assert plots.agreement_panels(Figure(), [negative]).axes[0].get_ylim()[0] == -1.03


@pytest.mark.parametrize("runs", [2, 3, 8])
def test_runs_are_told_apart(runs):
    table = summarise(_rows())
    names = [f"run {i}" for i in range(runs)]
    figure = plots.agreement_panels(Figure(), [table] * runs, names)
    assert len(figure.axes) == len(STATISTICS)
    styles = {(ln.get_color(), ln.get_marker()) for ln in figure.axes[0].lines[1:]}
    assert len(styles) == runs
    assert len(figure.legends) == 1
    limits = {figure.axes[list(STATISTICS).index(s)].get_ylim() for s in BOUNDED}
    assert limits == {(-0.03, 1.03)}


def test_strata_stand_beside_the_pooled_line():
    rows = _rows().assign(severity=lambda r: r["image"].map(lambda n: int(n[0]) % 2))
    pooled, strata = summarise(rows), within_strata(rows, ["severity"])
    upper, lower = plots.strata_panels(Figure(), pooled, strata).axes
    assert lower.get_ylim() == (-0.03, 1.03)
    _ideal, every, *own = upper.lines
    chosen = pooled[pooled["statistic"] == "median_relative_residual"]
    np.testing.assert_allclose(np.asarray(every.get_ydata()), chosen["value"])
    assert len(own) == 2
    assert str(own[0].get_label()).startswith("0, n = ")


def _residual(rows, norms):
    mask = pd.DataFrame({"sparsity": [0.1, 0.4], "delta_norm_relative": norms})
    return plots.relative_residual_panels(
        Figure(), quantiles(rows), summarise(rows), reach(rows), mask
    )


def test_relative_residual_has_reference_slopes_and_where_it_holds():
    rows = _rows()
    rows["residual"] *= 0.5
    rows.loc[rows["sparsity"] == 0.4, "residual"] *= np.linspace(4, 8, 20)
    left, right = _residual(rows, [0.01, 0.1]).axes
    assert (left.get_xscale(), left.get_yscale()) == ("linear", "log")
    assert right.get_xscale() == "log"
    for line, slope in zip(right.lines[-2:], (1, 0.5), strict=True):
        x, y = (np.log(np.asarray(each)) for each in line.get_data())
        assert np.diff(y)[0] / np.diff(x)[0] == pytest.approx(slope)
    diamond = left.lines[-1]
    value = reach(rows)["value"].iloc[0]
    assert diamond.get_xdata() == pytest.approx([value])
    assert diamond.get_ydata() == pytest.approx([0.1])


def test_relative_residual_without_norms_has_one_panel():
    assert len(_residual(_rows(), [np.nan, np.nan]).axes) == 1


def test_figures_of_nothing_above_zero():
    rows = _rows(sparsities=(0.0,))
    levels = plots.drift_beside_first_order(Figure().add_subplot(), quantiles(rows))
    mask = pd.DataFrame({"sparsity": [0.0], "delta_norm_relative": [0.0]})
    residual = plots.relative_residual_panels(
        Figure(), quantiles(rows), summarise(rows), reach(rows), mask
    )
    for ax in (levels, residual.axes[0]):
        assert ax.texts[0].get_text() == "no change above rounding"


def test_distances_are_drawn_over_the_median_drift():
    table = quantiles(_rows())
    ax = plots.drift_beside_first_order(Figure().add_subplot(), table)
    wide = table.pivot(index="quantity", columns="sparsity", values="q50")
    drawn = [np.asarray(line.get_ydata()) for line in ax.lines[:3]]
    wanted = (wide / wide.loc["drift"]).loc[["first_order", "drift", "residual"]]
    np.testing.assert_allclose(drawn, wanted)
    assert ax.get_ylim()[0] == 0
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[0] == f"0.1\n{wide.loc['drift', 0.1]:.2g}"


def test_distances_of_one_image_are_marks():
    ax = plots.drift_beside_first_order(
        Figure().add_subplot(), quantiles(_rows(images=1))
    )
    assert all(len(np.asarray(line.get_ydata())) == 2 for line in ax.lines[:3])


def test_faces_carry_their_scores():
    face = plots.Face(np.zeros((8, 8, 3), np.uint8), "a" * 40, quality=0.9, drift=0.2)
    figure = plots.stability_grid(Figure(), [face] * 3, [face], sparsity=0.4, columns=2)
    labels = [ax.get_xlabel() for ax in figure.axes if ax.images]
    assert len(labels) == 4
    assert all("quality 0.900\ndrift 0.200" in label for label in labels)
    assert all(len(line) <= 20 for line in labels[0].splitlines())


def test_grid_without_one_end():
    face = plots.Face(np.zeros((8, 8), np.uint8), "a", quality=1.0, drift=0.0)
    figure = plots.stability_grid(Figure(), [face], [], sparsity=0.1)
    assert sum(len(ax.images) for ax in figure.axes) == 1


def test_layers_keep_their_order():
    ax = Figure().add_subplot()
    achieved = np.array([[0.1, 0.2], [0.3, 0.9]])
    plots.layer_sparsity_map(ax, ["conv", "fc"], [10, 30], [0.2, 0.6], achieved)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == ["conv  25.0 %", "fc  75.0 %"]
    np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), achieved)


def test_theme_leaves_no_trace():
    before = dict(mpl.rcParams)
    with plots.theme():
        assert mpl.rcParams["font.size"] == 8
    assert dict(mpl.rcParams) == before


def test_colours_differ_in_lightness():
    # Rec. 709 luma: lines must be told apart in grey print and by the colour-blind.
    luma = sorted(np.dot(to_rgb(c), (0.2126, 0.7152, 0.0722)) for c in CYCLE[:3])
    assert min(np.diff(luma)) > 0.02
    assert luma[-1] < 0.7
