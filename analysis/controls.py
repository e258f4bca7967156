"""Ask whether the pruning direction is special, beside directions of the same norm.

Every control has the norm of the pruning direction δ in every layer. Of each, over
sparsity: how much farther pruning moves the embeddings, what of it the first order
misses, and how alike the drifts rank the images: pruning's and a control's, beside two
controls'. If pruning is nothing special, ratios are 1, and a control is as like pruning
as it is like another control.

    prefiqs sweep … --with controls --out RUN
    python analysis/controls.py RUN … --out DIR
"""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_runs import Analysis
from from_runs import main as run_main
from in_figures import label_sparsities, ratio_axis, whiskers
from in_words import from_to, main_stratum, most, pick, records, rows_of, span, title
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measured import FEWEST_IMAGES, Measured, labelled, strata

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look
from prefiqs_jax.sensitivity import CONTROLS
from prefiqs_jax.statistics import compare_with_controls

if TYPE_CHECKING:
    import pandas as pd

GROWTH = "growth"
"""The opposite direction, -δ: no null distribution, and told apart in words."""


class Bounds(NamedTuple):
    """Within which a difference of pruning and a control is none that matters."""

    none: float
    """What the value is where there is no difference."""
    least: float
    largest: float
    words: str
    what: str


DRIFT = Bounds(1, 1 / 1.1, 1.1, "10%", "how far it moves faces")
"""Of ratios of mean drifts."""
EXCESS = Bounds(0, -0.3, 0.3, "±0.3", "how it ranks them")
"""Of differences of rank correlations."""
_PAIR, _BETWEEN = "pruning, control", "control, control"


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate pruning against each control.

    Statistics: ``drift``, ``first_order``, ``residual`` and ``relative_residual``
    (ratio of the means over images, pruning's to the control's), ``cosine`` (difference
    of the means); with observed and control_mean, and lowest and highest of the
    control's replicates. ``spearman`` (of images by drift, ``pair`` says of which two)
    and ``excess`` (of pruning and a control over two controls). Intervals hold together
    for all sparsities and controls of one statistic and stratum, Bonferroni-adjusted
    for the strata.
    """
    import pandas as pd

    table = measured.tables["controls"]
    drawn = table.assign(
        control=[name.rpartition("/")[0] for name in table["control"]],
        replicate=[int(name.rpartition("/")[2]) for name in table["control"]],
    )
    chosen = {
        name: own
        for name, own in strata(measured.rows).items()
        if len(set(measured.rows.loc[own, "image"])) >= FEWEST_IMAGES
    }
    if not chosen:
        message = f"{measured.run}: fewer than {FEWEST_IMAGES} images; sweep more"
        raise InputError(message)
    parts = []
    for name, own in chosen.items():
        rows = measured.rows.loc[own]
        found = compare_with_controls(
            rows,
            drawn.loc[drawn["image"].isin(rows["image"].tolist())],
            level=1 - 0.05 / len(chosen),
            rounding=measured.rounding,
        )
        by = "identity" if bool(rows["identity"].notna().all()) else "copy_of"
        for lines in (_means(found.means), _ranks(found.ranks)):
            parts.append(lines.assign(stratum=name, people=rows[by].nunique()))
    columns = ["stratum", "sparsity", "statistic", "of", "pair", "value", "low", "high"]
    columns += ["observed", "control_mean", "lowest", "highest", "replicates"]
    columns += ["images", "people"]
    both = pd.concat(parts, ignore_index=True).loc[:, columns]
    return labelled(both, measured)


def _means(means: "pd.DataFrame") -> "pd.DataFrame":
    names = {"quantity": "statistic", "control": "of", "change": "value"}
    return means.rename(columns=names).assign(pair="")


def _ranks(ranks: "pd.DataFrame") -> "pd.DataFrame":
    """Lay correlations out, and their excess as lines of their own."""
    import pandas as pd

    plain = ranks.rename(columns={"control": "of", "spearman": "value"})
    beyond = pick(ranks, pair=_PAIR).rename(columns={"control": "of"})
    given = {"value": "excess", "low": "excess_low", "high": "excess_high"}
    beyond = beyond.assign(**{name: beyond[own] for name, own in given.items()})
    beyond = beyond.assign(statistic="excess", lowest=np.nan, highest=np.nan)
    both = pd.concat([plain.assign(statistic="spearman"), beyond], ignore_index=True)
    return both.assign(observed=np.nan, control_mean=np.nan, replicates=np.nan)


def finding(table: "pd.DataFrame") -> str:
    """Say whether pruning moves embeddings, and ranks images, as its controls do."""
    parts = [_drawn(part) for part in rows_of(table)]
    drift = [line for part in parts for line in records(part, statistic="drift")]
    excess = [line for part in parts for line in _excess(part)]
    ratios = span([line["value"] for line in drift], ".2f")
    said = (
        f"Along pruning the mean drift is {ratios} times that along directions of the "
        f"same norm in every layer: {_verdict(drift, DRIFT)}."
    )
    if not excess:
        return f"{said} One draw of a control does not tell how alike it ranks images."
    return (
        f"{said} By their drifts, pruning and a control rank the images beside two "
        f"draws of that control: {_verdict(excess, EXCESS)}."
    )


def _drawn(part: "pd.DataFrame") -> "pd.DataFrame":
    """Give the lines of controls that are drawn at random."""
    own = pick(part, stratum=main_stratum(part))
    return own.loc[own["of"] != GROWTH]


def _excess(own: "pd.DataFrame") -> list[dict[Any, Any]]:
    lines = records(own, statistic="excess")
    return [line for line in lines if np.isfinite(line["value"])]


def _sorted_out(
    lines: Sequence[dict[Any, Any]], bounds: Bounds
) -> tuple[list[dict[Any, Any]], list[dict[Any, Any]]]:
    """Choose the lines that are alike, and those apart; the others are neither.

    Alike is where the whole interval lies within the bounds, apart where it excludes
    that there is no difference, and is not within them.
    """
    alike = [
        line
        for line in lines
        if line["low"] >= bounds.least and line["high"] <= bounds.largest
    ]
    apart = [
        line
        for line in lines
        if line not in alike
        and (line["low"] > bounds.none or line["high"] < bounds.none)
    ]
    return alike, apart


def _verdict(lines: Sequence[dict[Any, Any]], bounds: Bounds) -> str:
    """Say plainly in how many comparisons pruning is, or is not, as its control."""
    alike, apart = _sorted_out(lines, bounds)
    said = []
    if alike:
        said.append(
            f"alike to {bounds.words} in {len(alike)} of {len(lines)} comparisons, "
            f"where, against the claim, the pruning direction is not special in "
            f"{bounds.what}"
        )
    counts = Counter(line["of"] for line in apart).most_common()
    kinds = [f"{kind} {count}" for kind, count in counts]
    among = "" if alike else f" of {len(lines)} comparisons"
    named = f" ({', '.join(kinds)})" if apart else ""
    said.append(f"not alike in {len(apart)}{among}{named}")
    unknown = len(lines) - len(alike) - len(apart)
    return "; ".join([*said, *[f"too uncertain to tell: {unknown}"] * bool(unknown)])


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out drifts beside each control, what the first order misses, and ranks."""
    own = _drawn(part)
    cells = {
        f"drift over {kind}": from_to(records(own, statistic="drift", of=kind), ".2f")
        for kind in CONTROLS
        if kind != GROWTH
    }
    cells["alike, not"] = _counted(records(own, statistic="drift"), DRIFT)
    pruning, controls = [], []
    missed = records(own, statistic="relative_residual")
    for sparsity in dict.fromkeys(line["sparsity"] for line in missed):
        here = [line for line in missed if line["sparsity"] == sparsity]
        pruning.append(format(here[0]["observed"], ".0%"))
        controls.append(span([line["control_mean"] for line in here], ".0%"))
    cells["first order misses"] = _first_to_last(pruning)
    cells["along controls"] = _first_to_last(controls)
    for heading, pair in (("Spearman", _PAIR), ("of two draws", _BETWEEN)):
        lines = records(own, statistic="spearman", pair=pair)
        cells[heading] = span([line["value"] for line in lines], ".2f")
    excess = _excess(own)
    return cells | {"ranks alike, not": _counted(excess, EXCESS) if excess else "–"}


def _first_to_last(words: Sequence[str]) -> str:
    return " → ".join([words[0], *words[1:][-1:]]) if words else "–"


def _counted(lines: Sequence[dict[Any, Any]], bounds: Bounds) -> str:
    alike, apart = _sorted_out(lines, bounds)
    return f"{len(alike)}, {len(apart)} of {len(lines)}"


LEGEND = f"""\
Drift over a control: ratio of the mean drifts over images, pruning's to that along
directions with the norm of δ in every layer (gaussian: independent normal numbers;
signs: δ with random signs; shuffled-mask: as many weights of each layer, chosen at
random; permuted: the numbers of δ in other places). Alike, not: of the comparisons
at all sparsities, those whose whole interval is within {DRIFT.words} of 1, and those
that exclude 1 and are not. Misses: mean residual over mean change. Spearman: of the
images by drift, pruning and a control, over sparsities and controls; of two draws:
of one control. Ranks alike, not: whether the difference of the two is within
{EXCESS.words}, or excludes 0 and is not. a → b: at the lowest and at the highest
sparsity."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw ratios of drift and of relative residual, and ranks; a row for each run."""
    parts = rows_of(table)
    figure.set_figheight(0.55 + 2.05 * len(parts))
    axes = figure.subplots(len(parts), 3, squeeze=False)
    for row, part in zip(axes, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        names = list(dict.fromkeys(own["of"]))
        _ratio_panel(row[0], own, names, "drift", "mean drift:\npruning / control")
        _ratio_panel(
            row[1],
            own,
            names,
            "relative_residual",
            "relative residual:\npruning / control",
        )
        _rank_panel(row[2], own, [name for name in names if name != GROWTH])
        row[0].set_title(title(part), loc="left")
        count = f"{main_stratum(part)} images, n = {most(own, 'images')}"
        row[1].set_title(count, loc="left")
        for ax in row:
            label_sparsities(ax, own)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=5, handlelength=1.4)
    return figure


def _ratio_panel(
    ax: Axes, own: "pd.DataFrame", names: Sequence[str], statistic: str, label: str
) -> None:
    for place, name in enumerate(names):
        lines = pick(own, statistic=statistic, of=name)
        whiskers(ax, lines, place, len(names), label=name, **look(place))
    ratio_axis(ax)
    ax.set_ylabel(label)


def _rank_panel(ax: Axes, own: "pd.DataFrame", names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        lines = pick(own, statistic="excess", of=name)
        whiskers(ax, lines, place, len(names), label=name, **look(place))
    ax.axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
    label = "Spearman ρ of drifts: pruning and\ncontrol − two draws of the control"
    ax.set(ylim=(-2, 2), ylabel=label)  # all that differences of two can be


ANALYSIS = Analysis(
    "controls",
    "Whether the pruning direction is special",
    ("controls",),
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
