"""Error-versus-discard curves, benchmarks side by side, one figure a rate and network.

The paper's curves of PreFIQs among other methods, same- and cross-model.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_figures.areas import printed, rates
from paper_figures.record import COLUMN_IN, PAGE_IN, Drawn, Item, Missing
from paper_figures.runs import Evaluation, Material
from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.figures import group_qualities
from prefiqs_jax.fiqa import EDC, PROTOCOLS
from prefiqs_jax.plots.labels import plain

_ACROSS = 3
_COUNTS = ("discard_fraction", "fnmr", "threshold", "mated_count", "non_mated_count")


def make(material: Material) -> Iterator[Drawn]:
    """Draw a figure for each evaluation, pair of networks and rate."""
    if not material.evaluations:
        message = "no folder of prefiqs edc is given"
        raise Missing(message)
    for evaluation in material.evaluations:
        pairs = evaluation.curves[["verifier", "scorer"]].drop_duplicates()
        for verifier, scorer in pairs.itertuples(index=False, name=None):
            for fmr in rates(evaluation.curves):
                yield _draw(evaluation, verifier, scorer, fmr)


def _draw(evaluation: Evaluation, verifier: str, scorer: str, fmr: float) -> Drawn:
    table = evaluation.curves
    at = (table["verifier"] == verifier) & (table["scorer"] == scorer)
    table = table.loc[at & (table["fmr"] == fmr)]
    (shown, *_) = group_qualities(list(dict.fromkeys(table["quality"]))).values()
    table = table.loc[table["quality"].isin(shown)]
    end = float(evaluation.areas["max_discard"].iloc[0])
    benchmarks = list(dict.fromkeys(table["benchmark"]))
    columns = min(_ACROSS, len(benchmarks))
    lines = math.ceil(len(benchmarks) / columns)
    width, entries = (COLUMN_IN, 2) if columns == 1 else (PAGE_IN, 4)
    height = 1.95 * lines + 0.16 * math.ceil(len(shown) / entries)
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in axes[len(benchmarks) :]:
        ax.remove()
    silent = []
    for ax, benchmark in zip(axes, benchmarks, strict=False):
        own = table.loc[table["benchmark"] == benchmark]
        plots.edc_panel(ax, curves_of(own, shown), max_discard=end)
        ax.get_legend().remove()
        ax.set_title(plain(benchmark))
        if not own["tells"].all():
            plots.note(ax, "cannot tell:\ntoo few errors")
            silent.append(benchmark)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=entries)
    who = verifier if verifier == scorer else f"{verifier}_scored_by_{scorer}"
    name = as_folder(f"figure_1_edc_{evaluation.name}_{who}_fmr{fmr:g}")
    told = f" Cannot tell, for too few errors: {', '.join(silent)}." * bool(silent)
    caption = (
        f"Error versus discard at FMR {fmr:g}: {verifier} verifies, {scorer} scores. "
        f"The data have the 95 % intervals.{told}"
    )
    drawing = plots.Drawing(
        name,
        figure,
        "Error versus discard",
        caption,
        "Error-versus-discard curves, a panel for each benchmark.",
    )
    return Drawn(drawing, {"": table})


def curves_of(table: pd.DataFrame, names: list[str]) -> dict[str, EDC]:
    """Make the curves of one benchmark, pair of networks and rate, by printed name."""
    curves = {}
    for name in names:
        rows = table.loc[table["quality"] == name]
        protocol, fmr = str(rows["protocol"].iloc[0]), float(rows["fmr"].iloc[0])
        curves[printed(name)] = EDC(
            *(rows[each].to_numpy(np.float64) for each in _COUNTS),
            protocol=protocol,
            switches=PROTOCOLS[protocol],
            fmr=fmr,
            threshold_from=f"FMR {fmr:g}",
            tied_fraction=np.zeros(len(rows)),  # not kept, and not drawn
        )
    return curves


ITEM = Item("figure_1_edc", make)
