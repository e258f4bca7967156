"""pAUC of PreFIQs and of its first order over sparsity, a panel for each benchmark.

The paper's ablation of the sparsity as curves, same-model, one figure a mask and rate.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_figures.areas import PRUNED, UNIT, pruned_areas, rates
from paper_figures.record import COLUMN_IN, PAGE_IN, Drawn, Item, Missing
from paper_figures.runs import Material
from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.tables import THOUSANDTHS
from prefiqs_jax.plots.labels import plain
from prefiqs_jax.plots.shared import aside

_ACROSS = 3


def make(material: Material) -> Iterator[Drawn]:
    """Draw a figure for each mask and rate of which a benchmark can tell."""
    areas = pruned_areas(material, list(PRUNED))
    areas = areas.loc[areas["tells"].to_numpy(np.bool_)]
    drawn = 0
    for mask, own in areas.groupby("mask", sort=False):
        for fmr in rates(own):
            at = own.loc[own["fmr"] == fmr]
            if len(set(at["sparsity"])) > 1:
                drawn += 1
                yield _draw(str(mask), fmr, at)
    if not drawn:
        message = "no evaluation has two sparsities and errors enough to compare them"
        raise Missing(message)


def _draw(mask: str, fmr: float, areas: pd.DataFrame) -> Drawn:
    groups: list[Any] = list(areas.groupby(["benchmark", "verifier"], sort=False))
    several = len(set(areas["verifier"])) > 1
    columns = min(_ACROSS, len(groups))
    lines = math.ceil(len(groups) / columns)
    width = COLUMN_IN if columns == 1 else PAGE_IN
    figure = Figure(figsize=(width, 1.9 * lines + 0.2))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in axes[len(groups) :]:
        ax.remove()
    parts, levels = [], np.unique(areas["sparsity"].to_numpy(np.float64))
    for ax, ((benchmark, verifier), own) in zip(axes, groups, strict=False):
        own = own.rename(columns={"pauc": "value"}).assign(statistic="pauc")
        own[["value", "low", "high"]] *= THOUSANDTHS
        for place, (method, label) in enumerate(PRUNED.items()):
            chosen = own.loc[own["method"] == method]
            step = 1.5 * aside(levels, place, len(PRUNED))
            plots.statistic_against_sparsity(
                ax, chosen, "pauc", label=label, style=place, shift=step
            )
        ax.set_title(plain(f"{benchmark}, {verifier}" if several else benchmark))
        ax.set(xlabel="sparsity", ylim=(0, None))
        parts.append(own)
    for ax in axes[::columns]:
        ax.set_ylabel(UNIT)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, handlelength=3)
    caption = (
        f"{UNIT} over sparsity at FMR {fmr:g}, mask {mask}, same-model; lower is "
        "better. Whiskers are 95 % intervals, each by itself."
    )
    drawing = plots.Drawing(
        as_folder(f"figure_3_sparsities_{mask}_fmr{fmr:g}"),
        figure,
        "Areas over sparsity",
        caption,
        "Line plots of the area under the error-versus-discard curve over sparsity.",
    )
    return Drawn(drawing, {"": pd.concat(parts, ignore_index=True)})


ITEM = Item("figure_3_sparsities", make)
