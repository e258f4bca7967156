"""Show which layers carry the first-order drift of clean and of degraded faces.

The first-order drift of an image is the sum of its layers' contributions. Of each
layer, over sparsity: its share of that (mean over images), its share of ‖δ‖², the
difference of the two, and the difference of a degraded copy's share to the clean
original's, paired.

    prefiqs sweep … --degraded 1 --with layers --out RUN
    python analysis/layers.py RUN … --out DIR
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from from_runs import Analysis
from from_runs import main as run_main
from in_words import (
    main_stratum,
    most,
    nearest,
    pick,
    records,
    rows_of,
    span,
    title,
    told,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measured import FEWEST_IMAGES, Level, Lines, Measured, Values, levels, pairs

from prefiqs_jax.plots.labels import plain, shorten
from prefiqs_jax.plots.theme import look

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 3
"""Layers that a row names."""
_NAME_LENGTH = 24


def weight_shares(measured: Measured) -> "pd.DataFrame":
    """Give each layer's share of ‖δ‖²: layers down, sparsities across.

    Raises InputError if run.json has no norms of the layers.
    """
    import pandas as pd

    places = measured.indices()
    sparsities = measured.manifest["settings"]["sparsities"]
    squares = pd.DataFrame(
        {
            layer["name"]: np.square(layer["delta_norm"])[places]
            for layer in measured.manifest["layers"]
        },
        index=sparsities,
    ).T
    return squares / squares.sum()


def shares(measured: Measured, level: Level) -> "pd.DataFrame":
    """Give each layer's share of each image's first-order drift: images down."""
    table = pick(measured.tables["layers"], sparsity=level.sparsity)
    wide = table.pivot(index="image", columns="layer", values="contribution")
    names = list(dict.fromkeys(table["layer"]))
    wide = wide.loc[level.rows["image"].tolist(), names]
    return wide.div(level.column("first_order"), axis=0)


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate shares of layers, by depth.

    Statistics: ``share`` of the first-order drift, ``weight_share`` of ‖δ‖² (the same
    for all images, no interval), ``excess`` of the first over the second,
    ``difference`` of the shares of a degraded copy and its original (stratum all).
    """
    lines = Lines(measured)
    weight = weight_shares(measured)
    for level in levels(measured):
        own = shares(measured, level)
        for layer in own:
            values = level.mean(own[layer].to_numpy(np.float64))
            given = float(weight.loc[str(layer), level.sparsity])  # type: ignore[arg-type]
            lines.add(level, "share", str(layer), values, "linear")
            lines.add(level, "excess", str(layer), values - given, "linear")
            constant = np.full_like(values, given)
            lines.add(level, "weight_share", str(layer), constant, "linear")
        if level.stratum == "all":
            _differences(lines, level, own)
    return lines.table()


def _differences(lines: Lines, level: Level, own: "pd.DataFrame") -> None:
    """Pair each degraded copy with its original."""
    copies, originals = pairs(level)
    if len(copies) < FEWEST_IMAGES:
        return
    paired = level.at(copies)
    for layer in own:
        values = own[layer].to_numpy(np.float64)
        difference = paired.mean(values[copies] - values[originals])
        lines.add(paired, "difference", str(layer), difference, "linear")


def shown(table: "pd.DataFrame") -> float:
    """Choose the sparsity that is drawn."""
    return nearest(np.unique(table["sparsity"].to_numpy(np.float64)).tolist())


def finding(table: "pd.DataFrame") -> str:
    """Say whether few layers carry the drift, and whether degraded faces differ."""
    parts = rows_of(table)
    here = [pick(part, sparsity=shown(part)) for part in parts]
    owns = [pick(own, stratum=main_stratum(own)) for own in here]
    tops = [_largest(own)[0] for own in owns]
    weights = [_weights(own)[top["of"]] for own, top in zip(owns, tops, strict=True)]
    shares = [top["value"] for top in tops]
    excess = [line for own in owns for line in records(own, statistic="excess")]
    more = sum(line["low"] > 0 for line in excess)
    less = sum(line["high"] < 0 for line in excess)
    each = "in each run " if len(parts) > 1 else ""
    at = span([shown(part) for part in parts], "g")
    said = (
        f"At sparsity {at} one layer carries {each}{span(shares, '.0%')} of the "
        f"first-order drift, with {span(weights, '.0%')} of ‖δ‖²: how much a layer "
        f"loses does not say how much it matters, for of {len(excess)} layers {more} "
        f"have a larger share of the drift than of ‖δ‖², {less} a smaller one"
    )
    differences = [_differences_of(own) for own in here]
    paired = [lines for lines in differences if lines]
    if not paired:
        return f"{said}. There are no degraded copies to compare with."
    every = [line for lines in paired for line in lines]
    marked = _marked(every)
    if not marked:
        return f"{said}. No layer's share differs between degraded and clean faces."
    largest = max(100 * abs(line["value"]) for line in marked)
    return (
        f"{said}. Between degraded copies and their originals {len(marked)} of "
        f"{len(every)} shares differ, by at most {largest:.1f} points."
    )


def _largest(own: "pd.DataFrame") -> list[dict[Any, Any]]:
    """Give the layers with the largest shares of the drift."""
    lines = records(own, statistic="share")
    return sorted(lines, key=lambda line: -line["value"])[:_NAMED]


def _weights(own: "pd.DataFrame") -> dict[str, float]:
    lines = records(own, statistic="weight_share")
    return {line["of"]: line["value"] for line in lines}


def _differences_of(own: "pd.DataFrame") -> list[dict[Any, Any]]:
    return records(own, statistic="difference")


def _marked(lines: Sequence[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Choose those that exclude 0, the largest first."""
    found = [line for line in lines if line["low"] > 0 or line["high"] < 0]
    return sorted(found, key=lambda line: -abs(line["value"]))


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out the layers that carry most, and those where degraded copies differ."""
    at = shown(part)
    here = pick(part, sparsity=at)
    own = pick(here, stratum=main_stratum(part))
    weight = _weights(own)
    carried = [
        f"{_name(line)} {told(line, '.0%')} ({weight[line['of']]:.0%})"
        for line in _largest(own)
    ]
    excess = records(own, statistic="excess")
    more = sum(line["low"] > 0 for line in excess)
    less = sum(line["high"] < 0 for line in excess)
    differences = _differences_of(here)
    marked = _marked(differences)
    named = [f"{_name(line)} {_points(line)}" for line in marked[:_NAMED]]
    counted = f"{len(marked)} of {len(differences)}" if differences else "–"
    return {
        "at sparsity": f"{at:g}",
        "largest shares (of ‖δ‖²)": ", ".join(carried),
        "larger, smaller than of ‖δ‖²": f"{more}, {less} of {len(excess)}",
        "degraded differ": ": ".join([counted, *[", ".join(named)] * bool(named)]),
    }


LEGEND = f"""\
Share: contribution ⟨u, Jδ_l⟩ of a layer l over ‖Jδ‖, mean over images; the shares of
all layers sum to 1. In brackets behind it the layer's share of ‖δ‖². Degraded
differ: layers whose share differs between degraded copies and their originals,
paired, in points; the {_NAMED} largest are named."""


def _name(line: dict[Any, Any]) -> str:
    return f"`{line['of'].removesuffix('/kernel')}`"


def _points(line: dict[Any, Any]) -> str:
    value, low, high = (100 * line[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw shares by depth, and differences of degraded copies; a row for each run."""
    at = shown(table)
    parts = [pick(part, sparsity=at) for part in rows_of(table)]
    counts = [len(set(part["of"])) for part in parts]
    figure.set_figheight(float(0.5 + sum(0.9 + 0.115 * n for n in counts)))
    grid = figure.add_gridspec(
        len(parts), 2, width_ratios=[1.5, 1], height_ratios=[5 + n for n in counts]
    )
    for row, part in enumerate(parts):
        paired = bool((part["statistic"] == "difference").any())
        ax = figure.add_subplot(grid[row, 0] if paired else grid[row, :])
        _share_panel(ax, part)
        ax.set_title(f"{title(part)}, sparsity {at:g}", loc="left")
        if paired:
            _difference_panel(figure.add_subplot(grid[row, 1], sharey=ax), part)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3)
    return figure


def _bars(ax: Axes, lines: "pd.DataFrame", offset: float, **style: Any) -> None:
    value, low, high = (
        lines[name].to_numpy(np.float64) for name in ("value", "low", "high")
    )
    down = np.arange(len(lines)) + offset
    known = np.isfinite(low)
    ax.hlines(down[known], low[known], high[known], color=style["color"], lw=0.9)
    ax.plot(value, down, ls="", ms=2.8, **style)


def _share_panel(ax: Axes, part: "pd.DataFrame") -> None:
    names = [n for n in ("clean", "degraded") if n in set(part["stratum"])] or ["all"]
    weight = pick(part, statistic="weight_share", stratum=names[0])
    down: Values = np.arange(len(weight), dtype=float)
    ax.barh(
        down,
        weight["value"],
        height=0.85,
        color="0.85",
        zorder=0,
        label="share of ‖δ‖²",
    )
    for place, name in enumerate(names):
        lines = pick(part, statistic="share", stratum=name)
        label = f"share of the first-order drift, {name} (n = {most(lines, 'images')})"
        offset = 0.36 * (place - (len(names) - 1) / 2)
        _bars(ax, lines, offset, label=label, **look(place))
    ax.axvline(0, color="0.5", lw=0.6, zorder=0)
    ax.set_xscale("symlog", linthresh=0.01, linscale=0.6)
    ticks = [-0.1, -0.01, 0, 0.01, 0.1, 1]
    ax.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(-0.03, 1.3)
    names_of = [str(name).removesuffix("/kernel") for name in weight["of"]]
    labels = [plain(shorten(name, _NAME_LENGTH)) for name in names_of]
    ax.set_yticks(down, labels, fontsize=6)
    ax.set_ylim(len(weight) - 0.5, -0.5)
    ax.set_xlabel("share, % (mean over images; logarithmic beyond 1 %)")


def _difference_panel(ax: Axes, part: "pd.DataFrame") -> None:
    lines = pick(part, statistic="difference")
    scaled = lines.assign(**{n: 100 * lines[n] for n in ("value", "low", "high")})
    _bars(ax, scaled, 0, **look(1))
    ax.axvline(0, color="0.5", lw=0.6, zorder=0)
    ax.tick_params(axis="y", labelleft=False)
    ax.set_xlabel("degraded copy − original, points")
    ax.set_title(f"n = {most(lines, 'images')} pairs", loc="left")


ANALYSIS = Analysis(
    "layers",
    "Which layers carry the first-order drift",
    ("layers",),
    measure,
    finding,
    row,
    LEGEND,
    draw,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
