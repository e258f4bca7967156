"""Count the units that change side of a kink, and what that does to the drift.

Tabulates flips by layer and sparsity (units whose input changes sign between dense and
pruned network; mean over images), those that the tangents predict, and their ratio; how
alike the two rank images; and the kinks' part of the first order's squared error.
Images with an input within rounding of a kink in the dense network are named in
``near_kinks.csv``: their first order may jump.

    prefiqs sweep … --with kinks --out RUN
    python analysis/kinks.py RUN … --out DIR
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from first_order_limits import kink_panel, kink_part
from from_runs import Analysis
from from_runs import main as run_main
from in_figures import label_sparsities, legend_over
from in_words import from_to, main_stratum, most, pick, records, rows_of, span, title
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from measured import Lines, Measured, labelled, levels

from prefiqs_jax.plots.labels import plain, shorten
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import spearman
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

ALL = "all layers"
_NAME_LENGTH = 24
_MOST_DRAWN = 4
"""Sparsities that are drawn, from the highest down."""


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate flips by layer, and what they do.

    Statistics: ``flips`` and ``predicted_flips`` (means over images; a layer
    without any has no interval), ``predicted_ratio`` (Σ
    predicted / Σ real), ``spearman`` (of the two, over images), ``kink_part`` (Σ ⟨k, r⟩
    / Σ ‖r‖², see :mod:`first_order_limits`), ``near_kinks`` (share of images that have
    any) and ``near_units`` (of these units, in mean).
    """
    lines = Lines(measured)
    for level in levels(measured):
        table = pick(measured.tables["kinks"], sparsity=level.sparsity)
        images = level.rows["image"].tolist()
        names = list(dict.fromkeys(table["activation"]))
        real, predicted = (
            table.pivot(index="image", columns="activation", values=name).loc[images]
            for name in ("flips", "predicted_flips")
        )
        for name in (ALL, *names):
            own, guess = (
                (level.column(column) if name == ALL else wide[name].to_numpy(float))
                for column, wide in (("flips", real), ("predicted_flips", predicted))
            )
            lines.add(level, "flips", name, level.mean(own), "log")
            lines.add(level, "predicted_flips", name, level.mean(guess), "log")
            both = ratio(level.weights @ guess, level.weights @ own)
            lines.add(level, "predicted_ratio", name, both, "log")
        ranks = spearman(
            level.column("flips"), level.column("predicted_flips"), level.weights
        )
        lines.add(level, "spearman", ALL, ranks, "fisher")
        lines.add(level, "kink_part", ALL, kink_part(level), "linear")
        near = level.column("near_kinks")
        lines.add(
            level, "near_kinks", ALL, level.mean((near > 0).astype(float)), "logit"
        )
        lines.add(level, "near_units", ALL, level.mean(near), "log")
    return lines.table()


def near_images(measured: Measured) -> "pd.DataFrame":
    """List images with an input within rounding of a kink, and how many such inputs."""
    import pandas as pd

    found = dict(zip(measured.rows["image"], measured.rows["near_kinks"], strict=True))
    near = [(image, units) for image, units in found.items() if units > 0]
    near.sort(key=lambda pair: (-pair[1], pair[0]))
    table = pd.DataFrame(near, columns=["image", "units"])
    return labelled(table, measured)


def finding(table: "pd.DataFrame") -> str:
    """Say what kinks do to the first order, and whether their flips are foreseen."""
    runs = [_by_statistic(part) for part in rows_of(table)]
    moved = [lines for lines in runs if lines["flips"][-1]["value"] > 0]
    if not moved:
        return "No unit changes side of a kink in any run, at any sparsity."
    least, most = (
        span([lines["kink_part"][place]["value"] for lines in moved], ".0%")
        for place in (0, -1)
    )
    predicted = [line["value"] for lines in moved for line in lines["predicted_ratio"]]
    ranks = [line["value"] for lines in moved for line in lines["spearman"]]
    near = [_near(lines) for lines in runs]
    count, images = sum(near), sum(lines["near_kinks"][0]["images"] for lines in runs)
    return (
        f"Units that change side of a kink make {least} of the first order's squared "
        f"error at the lowest sparsity, and {most} at the highest. Their number is "
        f"known before pruning: the tangents predict {span(predicted, '.3g')} times as "
        f"many, and rank the images as the real number does (Spearman "
        f"{span(ranks, '.2f')}); {count} of {images} images have an input within "
        "rounding of a kink in the dense network, where only `--precision double` is "
        "sure of its side (`near_kinks.csv` names them)."
    )


def _by_statistic(part: "pd.DataFrame") -> dict[str, list[dict[Any, Any]]]:
    """Give the lines of all layers together, over sparsity."""
    own = pick(part, stratum=main_stratum(part), of=ALL)
    return {
        str(name): records(lines, stratum=main_stratum(part))
        for name, lines in own.groupby("statistic")
    }


def _near(lines: dict[str, list[dict[Any, Any]]]) -> int:
    """Count the images that have an input within rounding of a kink."""
    line = lines["near_kinks"][0]
    return round(line["value"] * line["images"])


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out how many units flip, where, whether that is foreseen, what it does."""
    lines = _by_statistic(part)
    per_layer = pick(part, stratum=main_stratum(part), statistic="flips")
    at = float(np.max(per_layer["sparsity"].to_numpy()))
    layers = records(per_layer.loc[per_layer["of"] != ALL], sparsity=at)
    largest = max(layers, key=lambda line: line["value"])
    total = lines["flips"][-1]["value"]
    where = f"`{largest['of']}` ({largest['value'] / total:.0%})" if total else "–"
    near = lines["near_kinks"][0]
    return {
        "flips": from_to(lines["flips"], ",.0f"),
        "most, at the highest sparsity": where,
        "predicted over real": from_to(lines["predicted_ratio"], ".3g"),
        "Spearman": from_to(lines["spearman"], ".3f"),
        "kinks' part": from_to(lines["kink_part"], ".0%"),
        "images near a kink": f"{_near(lines)} of {near['images']}",
        "units near": f"{lines['near_units'][0]['value']:.2g}",
    }


LEGEND = """\
Flips: units whose activation input changes sign between dense and pruned network,
mean over images; most: the layer with the largest part of them. Predicted: inputs a
+ ȧ of another sign than a, known from the tangents alone; Spearman: of the predicted
and the real number, over images. Kinks' part: of the first order's squared error, Σ
⟨k, r⟩ / Σ ‖r‖²; the rest is smooth curvature. Near: inputs of the dense network
within rounding of 0, in float32; units near, mean over images. a → b: at the lowest
and at the highest sparsity."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw flips by depth, real and predicted, and the kinks' part of the error."""
    parts = rows_of(table)
    counts = [len(set(part["of"])) - 1 for part in parts]
    heights = [max(1.9, 0.7 + 0.115 * count) for count in counts]
    figure.set_figheight(float(0.6 + sum(heights)))
    axes = figure.subplots(
        len(parts),
        2,
        squeeze=False,
        gridspec_kw={"width_ratios": [1.7, 1], "height_ratios": heights},
    )
    for row, part in zip(axes, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        _flips_panel(row[0], own)
        kind = f"{main_stratum(part)} images, n = {most(own, 'images')}"
        row[0].set_title(f"{title(part)}: {kind}", loc="left")
        kink_panel(row[1], part)
        label_sparsities(row[1], own)
    legend_over(axes[0, 0], _MOST_DRAWN + 1)
    legend_over(axes[0, 1], 2)
    return figure


def _flips_panel(ax: Axes, own: "pd.DataFrame") -> None:
    """Draw a symbol a sparsity for real flips, and a bar across it for predicted."""
    layers = own.loc[own["of"] != ALL]
    names = list(dict.fromkeys(layers["of"]))
    down = np.arange(len(names))
    swept = np.unique(layers["sparsity"].to_numpy(np.float64))[-_MOST_DRAWN:]
    for place, sparsity in enumerate(swept.tolist()):
        here = pick(layers, sparsity=sparsity)
        real = pick(here, statistic="flips")
        guess = pick(here, statistic="predicted_flips")["value"].to_numpy(np.float64)
        low, high, value = (
            real[name].to_numpy(np.float64) for name in ("low", "high", "value")
        )
        style: dict[str, Any] = look(place)
        known = np.isfinite(low) & (low > 0)
        ax.hlines(down[known], low[known], high[known], color=style["color"], lw=0.9)
        ax.plot(value, down, ls="", ms=3, label=f"at {sparsity:g}", **style)
        label = "predicted" if place == len(swept) - 1 else None
        ax.plot(guess, down, ls="", marker="|", ms=6, mew=0.9, color="k", label=label)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    # Within a decade or two, powers of ten are too few, and all ticks too many.
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high < 100 * low else (1,)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(down, [plain(shorten(n, _NAME_LENGTH)) for n in names], fontsize=6)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("flips (units, mean over images)")


ANALYSIS = Analysis(
    "kinks",
    "What kinks do to the drift",
    ("kinks",),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    near_images,
    "near_kinks",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
