"""Figures draw what they are given, on the axes they are given, and nothing else."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots.theme import CYCLE
from prefiqs_jax.statistics import STATISTICS, quantiles, summarise


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
                    "density": 1.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_scatter_has_equal_axes_from_zero_and_the_diagonal():
    ax = Figure().add_subplot()
    first_order, drift = np.array([0.1, 0.2]), np.array([0.1, 0.5])
    density = np.array([1.0, 0.5])
    assert plots.drift_against_first_order(ax, first_order, drift, density) is ax
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlim()[1] > 0.5
    line = ax.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    drawn = ax.collections[-1]
    assert drawn.get_rasterized()
    # The densest is drawn last, on top.
    np.testing.assert_array_equal(np.asarray(drawn.get_offsets())[:, 1], [0.5, 0.1])


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_one_panel_per_sparsity(count):
    rows = _rows(5, np.linspace(0.05, 0.95, count))
    figure = plots.drift_panels(Figure((7, 3)), rows, summarise(rows))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == count
    assert all(r"$\rho$" in title for title in titles)
    assert figure.get_figwidth() <= 7.2


def test_statistics_show_value_and_band():
    table = summarise(_rows())
    ax = Figure().add_subplot()
    plots.statistic_against_sparsity(ax, table, "slope")
    chosen = table[table["statistic"] == "slope"]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), chosen["value"])
    band = np.asarray(ax.collections[0].get_paths()[0].vertices)
    assert np.min(band[:, 1]) == pytest.approx(chosen["low"].min())
    assert np.max(band[:, 1]) == pytest.approx(chosen["high"].max())


@pytest.mark.parametrize("runs", [1, 3, 8])
def test_runs_are_told_apart(runs):
    table = summarise(_rows())
    names = [f"run {i}" for i in range(runs)]
    figure = plots.agreement_panels(Figure(), [table] * runs, names)
    assert len(figure.axes) == len(STATISTICS)
    styles = {(ln.get_color(), ln.get_marker()) for ln in figure.axes[0].lines[1:]}
    assert len(styles) == runs
    assert len(figure.legends) == (runs > 1)


def test_residual_axes_are_logarithmic():
    ax = Figure().add_subplot()
    plots.residual_against_sparsity(ax, quantiles(_rows(sparsities=(0.0, 0.1, 0.4))))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_xdata()), [0.1, 0.4])


def test_figures_of_nothing_above_zero():
    rows = _rows(sparsities=(0.0,))
    for draw, data in (
        (plots.residual_against_sparsity, quantiles(rows)),
        (plots.drift_distribution, rows),
    ):
        ax = draw(Figure().add_subplot(), data)
        assert ax.texts[0].get_text() == "no change above rounding"


def test_distribution_has_one_place_per_sparsity():
    ax = plots.drift_distribution(Figure().add_subplot(), _rows())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "0.4"]
    assert len(ax.collections) == 2
    assert ax.get_yscale() == "log"


def test_distribution_of_one_image_is_a_mark():
    ax = plots.drift_distribution(Figure().add_subplot(), _rows(images=1))
    assert len(ax.lines) == 2
    assert len(ax.collections) == 0


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
