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
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from from_runs import (
    FEWEST_IMAGES,
    Analysis,
    Measured,
    ends,
    label_sparsities,
    labelled,
    main_stratum,
    most,
    pick,
    ratio_axis,
    rows_of,
    strata,
    title,
    whiskers,
    who,
)
from from_runs import main as run_main
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import compare_with_controls

if TYPE_CHECKING:
    import pandas as pd

GROWTH = "growth"
"""The opposite direction, -δ: no null distribution, and told apart in words."""
ALIKE = 0.3
"""Difference of two rank correlations up to which they are called alike, if all of its
interval is."""
EQUAL = 0.1
"""Part by which two mean drifts may differ and are called alike, in the same way."""
_WORDS = {
    0: ("how it ranks faces", f"±{ALIKE:g}"),
    1: ("how far it moves them", f"{EQUAL:.0%}"),
}
"""What a difference from 0, or a ratio from 1, is one of; and the bounds in words."""
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
    """Say whether pruning moves embeddings, or ranks images, as its controls do."""
    own = pick(table, stratum=main_stratum(table))
    drawn = own.loc[own["of"] != GROWTH]
    drift = _records(drawn, "drift")
    each = [
        f"{ends(pick(drawn, statistic='drift', of=name).to_dict('records'), '.2f')} "
        f"({name})"
        for name in dict.fromkeys(drawn["of"])
    ]
    far = _verdict(drift, 1, 1 / (1 + EQUAL), 1 + EQUAL)
    said = (
        f"{who(table)}: the mean drift along pruning, over that along directions of "
        f"its norm in every layer, is {'; '.join(each)}. {far} "
        f"{_residuals(drawn)}"
    )
    excess = [x for x in _records(drawn, "excess") if np.isfinite(x["value"])]
    if not excess:
        return said
    shared, between = (
        _records(pick(drawn, pair=pair), "spearman") for pair in (_PAIR, _BETWEEN)
    )
    ranked = _verdict(excess, 0, -ALIKE, ALIKE)
    return (
        f"{said} Drifts along pruning and a control rank the images alike to Spearman "
        f"{_span(shared, '.2f')}, those along two draws of a control to "
        f"{_span(between, '.2f')}. {ranked}"
    )


def _apart(lines: Sequence[dict[Any, Any]], none: float) -> list[dict[Any, Any]]:
    """Choose the lines whose interval excludes that there is no difference."""
    return [line for line in lines if line["low"] > none or line["high"] < none]


def _verdict(
    lines: Sequence[dict[Any, Any]], none: int, least: float, largest: float
) -> str:
    """Say plainly in how many comparisons pruning is, or is not, as its control.

    It is where the whole interval lies within bounds of no difference.
    """
    what, bounds = _WORDS[none]
    apart = _apart(lines, none)
    kinds = ", ".join(dict.fromkeys(line["of"] for line in apart))
    alike = [
        line
        for line in lines
        if line not in apart and line["low"] >= least and line["high"] <= largest
    ]
    named = f" ({kinds})" if apart else ""
    said = f"Of {len(lines)} comparisons the two differ in {len(apart)}{named}"
    if alike:
        said += (
            f"; in {len(alike)} they are alike to {bounds}: there, against the claim, "
            f"the pruning direction is not special in {what}"
        )
    unknown = len(lines) - len(apart) - len(alike)
    return f"{said}; too uncertain to tell: {unknown}." if unknown else f"{said}."


def _records(table: "pd.DataFrame", statistic: str) -> list[dict[Any, Any]]:
    return pick(table, statistic=statistic).to_dict("records")


def _span(lines: Sequence[dict[Any, Any]], form: str) -> str:
    """Write the least and the largest value.

    >>> _span([{"value": 0.4}, {"value": 0.7}], ".1f"), _span([{"value": 2}], "g")
    ('0.4 to 0.7', '2')
    """
    values = [line["value"] for line in lines if np.isfinite(line["value"])]
    if not values:
        return "(not defined)"
    both = [format(min(values), form), format(max(values), form)]
    return both[0] if both[0] == both[1] else " to ".join(both)


def _residuals(drawn: "pd.DataFrame") -> str:
    """Say what the first order misses along pruning and along controls."""
    lines = _records(drawn, "relative_residual")
    each = []
    for sparsity in sorted({line["sparsity"] for line in lines}):
        own = [line for line in lines if line["sparsity"] == sparsity]
        controls = _span([{"value": line["control_mean"]} for line in own], ".0%")
        seen = own[0]["observed"]
        each.append(f"{seen:.0%} (controls {controls}) at {sparsity:g}")
    cosine = _records(drawn, "cosine")
    return (
        f"The first order misses {', '.join(each)} of the change; "
        f"{len(_apart(lines, 1))} of {len(lines)} ratios of these differ from 1, and "
        f"{len(_apart(cosine, 0))} of {len(cosine)} cosines."
    )


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
    draw,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
