"""The panel draws the curves that it is given, tells them apart, and hides none."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import all_pairs, edc, edc_intervals, pair_quality

# Each image's comparisons tie, and there are few images.
pytestmark = pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    who = np.arange(90) // 3
    noise = 0.3 + 1.5 * rng.random(90) ** 3
    embeddings = rng.normal(size=(30, 12))[who]
    embeddings = embeddings + noise[:, None] * rng.normal(size=(90, 12))
    return all_pairs(embeddings, who), who, {"good": -noise, "chance": rng.random(90)}


def _curves(sample, protocol, fmr=0.01):
    pairs, _, quality = sample
    return {
        name: edc(
            pairs.similarity,
            pairs.mated,
            pair_quality(values, pairs),
            fmr=fmr,
            protocol=protocol,
        )
        for name, values in quality.items()
    }


def _panel(curves, **options):
    ax = Figure().add_subplot()
    assert plots.edc_panel(ax, curves, **options) is ax
    return ax


def test_lines_carry_the_published_points(sample):
    curves = _curves(sample, "crfiqa")
    ax = _panel(curves)
    for line, curve in zip(ax.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), curve.discard_fraction)
        np.testing.assert_array_equal(line.get_ydata(), curve.fnmr)
        assert line.get_drawstyle() == "default"
        assert line.get_marker() in ["o", "s"]
    assert ax.get_xlabel() == "fraction of comparisons\ndiscarded (crfiqa)"
    assert ax.get_ylabel() == "FNMR at FMR 0.01"


def test_steps_are_drawn_as_steps_and_end_without_a_fall(sample):
    curves = _curves(sample, "fiqat")
    ax = _panel(curves)
    for line, curve in zip(ax.lines, curves.values(), strict=True):
        y = np.asarray(line.get_ydata())
        np.testing.assert_array_equal(y[:-1], curve.fnmr[:-1])
        assert y[-1] == curve.fnmr[-2]
        assert line.get_drawstyle() == "steps-post"
    assert ax.get_xlabel() == "fraction of mated comparisons\ndiscarded (fiqat)"


def test_bands_hold_their_intervals(sample):
    bands = edc_intervals(*sample, fmr=0.01, replicates=40)
    ax = _panel(bands, max_discard=0.5)
    assert len(ax.collections) == 2
    for drawn, band in zip(ax.collections, bands.values(), strict=True):
        shown = band.discard_fraction <= 0.5
        height = np.asarray(drawn.get_paths()[0].vertices)[:, 1]
        assert height.min() == band.fnmr.low[shown].min()
        assert height.max() == band.fnmr.high[shown].max()
        assert ax.get_ylim()[1] > height.max()
    # One thick line and two thin edges for each.
    assert len(ax.lines) == 6


@pytest.mark.parametrize(
    ("protocol", "label"),
    [
        ("crfiqa", "fraction of comparisons\ndiscarded (crfiqa)"),
        (
            "proportional",
            "fraction of either kind of comparison\ndiscarded (proportional)",
        ),
    ],
)
def test_bands_name_their_protocol(sample, protocol, label):
    bands = edc_intervals(*sample, fmr=0.01, protocol=protocol, replicates=10)
    ax = _panel(bands)
    assert ax.get_xlabel() == label
    assert ax.get_ylabel() == "FNMR at FMR 0.01"
    line = next(line for line in ax.lines if line.get_label() == "good")
    assert line.get_drawstyle() == "default"
    with pytest.raises(InputError, match="has another protocol or FMR"):
        _panel({"one": bands["good"], "two": _curves(sample, "fiqat")["good"]})


def test_the_axis_says_what_set_the_threshold(sample):
    pairs, _, quality = sample
    values = pair_quality(quality["good"], pairs)
    for options, label in (
        ({"fnmr0": 0.05}, "FNMR (0.05 before any discard)"),
        ({"threshold": 0.3}, "FNMR at threshold 0.3"),
    ):
        curve = edc(pairs.similarity, pairs.mated, values, protocol="fiqat", **options)
        assert _panel({"one": curve}).get_ylabel() == label


def test_zero_is_on_the_axis_and_visible(sample):
    ax = _panel(_curves(sample, "fiqat"))
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] < 0
    perfect = edc([0.9, 0.1], [1, 0], [1, 1], protocol="fiqat")
    low, high = _panel({"perfect": perfect}).get_ylim()
    assert low < 0 < high


class _Recorder(Axes):
    """Axes that keep the line styles that they are asked for."""

    def plot(self, *args, **kwargs):
        self.looks = [*getattr(self, "looks", []), (kwargs["ls"], kwargs["color"])]
        return super().plot(*args, **kwargs)


def test_lines_differ_without_colour(sample):
    curve = _curves(sample, "fiqat")["good"]
    ax = Figure().add_subplot(axes_class=_Recorder)
    plots.edc_panel(ax, {f"quality {i}": curve for i in range(12)})
    looks = getattr(ax, "looks")  # noqa: B009  # pyright does not know the class
    assert len({line for line, _ in looks[:5]}) == 5
    assert len(set(looks)) == 12


def test_legend_lies_above_the_axes(sample):
    figure = Figure((3.5, 3), layout="constrained")
    ax = figure.add_subplot()
    plots.edc_panel(ax, {"a $5 one": _curves(sample, "crfiqa")["good"]})
    figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y0 >= ax.get_window_extent().y1
    assert legend.get_window_extent().y1 <= figure.bbox.y1
    assert [text.get_text() for text in legend.get_texts()] == [r"a \$5 one"]


def test_long_curves_are_thinned_on_their_steps():
    rng = np.random.default_rng(0)
    mated = np.arange(20_000) < 15_000
    similarity = rng.normal(size=20_000) + 2 * mated
    curve = edc(similarity, mated, rng.random(20_000), fmr=0.01, protocol="fiqat")
    line = _panel({"long": curve}, max_discard=0.5).lines[0]
    x, y = (np.asarray(part) for part in line.get_data())
    assert len(x) <= 2000
    places = np.searchsorted(curve.discard_fraction, x, side="right") - 1
    np.testing.assert_array_equal(y, curve.fnmr[places])


def test_what_does_not_belong_on_one_panel(sample):
    curves = _curves(sample, "crfiqa")
    with pytest.raises(InputError, match="no curves to draw"):
        _panel({})
    for other in (_curves(sample, "fiqat"), _curves(sample, "crfiqa", fmr=0.1)):
        mixed = {"one": curves["good"], "two": other["good"]}
        with pytest.raises(InputError, match="curve 'two' has another protocol or FMR"):
            _panel(mixed)
