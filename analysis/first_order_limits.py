"""Find where orders 1, 2 and 3 stop helping, why, and whether one can know before.

Compares the residual of each order k with the change itself and with the residual of
order k - 1, over sparsity, and finds the sparsity up to which it is within 10 % of the
change for 95 % of the images. Splits the first order's error into kinks and smooth
curvature. Holds numbers that may warn of that error against it: Spearman's correlation
with the relative residual, and the area under the ROC curve for "off by more than
10 %".

    prefiqs sweep … --with taylor3,kinks --out RUN
    python analysis/first_order_limits.py RUN … --out DIR
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from from_runs import (
    FEWEST_IMAGES,
    Analysis,
    Level,
    Lines,
    Measured,
    Values,
    ends,
    label_sparsities,
    labelled,
    legend_over,
    levels,
    main_stratum,
    most,
    pick,
    rows_of,
    strata,
    title,
    told,
    whiskers,
    who,
)
from from_runs import main as run_main
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import TOLERANCE, auroc, reach, spearman
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

BOUND = TOLERANCE
"""Relative residual up to which a prediction is good."""
MOST = 0.95
"""Share of the images for which it has to be."""
RESIDUALS = {1: "residual", 2: "second_order_residual", 3: "third_order_residual"}
BEFORE = ("predicted_error", "first_order", "predicted_flips", "severity")
"""What may warn and is known without pruning."""
AFTER = ("drift", "flips")
_FLOOR = 0.1
"""Rounding itself as a part of the change that is called rounding: no residual is
taken to be smaller."""


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate residuals by order, kinks' part of the error, and what warns of it.

    Statistics: ``relative_residual`` (geometric mean over images; of order 1, 2, 3),
    ``gain`` (of order k: geometric mean of its residual over that of order k - 1, below
    1 where it helps), ``within`` (share of images within :data:`BOUND`), ``reach``
    (sparsity up to which :data:`MOST` of them are); ``kink_part`` (of kinks: Σ ⟨k, r⟩ /
    Σ ‖r‖² of the error r = s + k, so that smooth and kink part sum to 1),
    ``square_ratio`` and ``norm_ratio`` (of kinks and smooth: Σ ‖k‖² / Σ ‖r‖²,
    Σ ‖k‖ / Σ ‖r‖); ``spearman`` and ``auroc`` of what may warn.
    """
    import pandas as pd

    lines = Lines(measured)
    for level in levels(measured):
        _orders(lines, level, _FLOOR * measured.rounding)
        _kinks(lines, level)
        _warnings(lines, level)
    return pd.concat([lines.table(), reaches(measured)], ignore_index=True)


def _orders(lines: Lines, level: Level, floor: float) -> None:
    drift = level.column("drift")
    logs = {
        order: np.log(np.maximum(level.column(name), floor))
        for order, name in RESIDUALS.items()
    }
    for order, own in logs.items():
        relative = own - np.log(drift)
        mean = np.exp(level.mean(relative))
        lines.add(level, "relative_residual", f"order {order}", mean, "log")
        within = level.mean((relative <= np.log(BOUND)).astype(float))
        lines.add(level, "within", f"order {order}", within, "logit")
        if order > 1:
            gain = np.exp(level.mean(own - logs[order - 1]))
            lines.add(level, "gain", f"order {order}", gain, "log")


def kink_part(level: Level) -> Values:
    """Give Σ ⟨k, r⟩ / Σ ‖r‖², of r = s + k: ⟨k, r⟩ = (‖r‖² + ‖k‖² - ‖s‖²) / 2."""
    whole, smooth, kink = _parts(level)
    along = (whole**2 + kink**2 - smooth**2) / 2
    return ratio(level.weights @ along, level.weights @ whole**2)


def _parts(level: Level) -> tuple[Values, Values, Values]:
    names = ("residual", "smooth_residual", "kink_residual")
    whole, smooth, kink = (level.column(name) for name in names)
    return whole, smooth, kink


def _kinks(lines: Lines, level: Level) -> None:
    lines.add(level, "kink_part", "kinks", kink_part(level), "linear")
    whole, smooth, kink = _parts(level)
    for of, part in (("kinks", kink), ("smooth", smooth)):
        for name, power in (("square_ratio", 2), ("norm_ratio", 1)):
            value = ratio(level.weights @ part**power, level.weights @ whole**power)
            lines.add(level, name, of, value, "log")


def _warnings(lines: Lines, level: Level) -> None:
    relative = level.column("relative_residual")
    off = relative > BOUND
    for name in (*BEFORE, *AFTER):
        if name not in level.rows:
            continue
        known = level.column(name)
        if len(np.unique(known)) == 1:  # severity of clean images
            continue
        value = spearman(known, relative, level.weights)
        lines.add(level, "spearman", name, value, "fisher")
        if min(off.sum(), (~off).sum()) >= FEWEST_IMAGES:
            value = auroc(known, off, level.weights)
            lines.add(level, "auroc", name, value, "logit")


def reaches(measured: Measured) -> "pd.DataFrame":
    """Tabulate up to which sparsity each order is good for most of the images.

    As :func:`prefiqs_jax.statistics.reach`, at a level that all lines hold together
    (Bonferroni). An end of -inf is below the lowest sparsity, inf above the highest.
    """
    import pandas as pd

    rows = measured.rows
    chosen = {
        name: own
        for name, own in strata(rows).items()
        if len(set(rows.loc[own, "image"])) >= FEWEST_IMAGES
    }
    level = 1 - 0.05 / (len(chosen) * len(RESIDUALS))
    found = []
    for order, residual in RESIDUALS.items():
        for stratum, own in chosen.items():
            part = rows.loc[own]
            line = reach(
                part.assign(residual=part[residual]),
                tolerance=BOUND,
                shares=[MOST],
                level=level,
                rounding=measured.rounding,
            )
            names = {"stratum": stratum, "statistic": "reach", "of": f"order {order}"}
            found.append(line.assign(**names, people=line["clusters"]))
    columns = ["stratum", "statistic", "of", "value", "low", "high", "images", "people"]
    both = pd.concat(found, ignore_index=True).loc[:, columns]
    return labelled(both.assign(sparsity=np.nan), measured)


def finding(table: "pd.DataFrame") -> str:
    """Say in three sentences where orders help, what the error is, and what warns."""
    stratum = main_stratum(table)
    own = pick(table, stratum=stratum)
    swept = sorted(own["sparsity"].dropna().unique().tolist())
    far = pick(own, statistic="reach")
    good = [
        f"{_reach(line, swept)} by order {place}"
        for place, line in enumerate(far.to_dict("records"), 1)
    ]
    helps = "; ".join(_helps(pick(own, of=f"order {k}"), k) for k in (2, 3))
    parts = pick(own, statistic="kink_part").to_dict("records")
    kinks = ends(parts, ".0%")
    kind = "clean " if stratum == "clean" else ""
    said = (
        f"{who(table)}: the relative residual is within {BOUND:.0%} for {MOST:.0%} of "
        f"the {kind}images up to a sparsity of {', '.join(good)}; "
        f"{helps}. Kinks are {kinks} of the first order's squared error"
    )
    other = pick(table, stratum="degraded", statistic="kink_part").to_dict("records")
    if other:
        said += f" (degraded images: {ends(other, '.0%')})"
    return f"{said}. {_warned(own)}"


def _reach(line: Any, swept: Sequence[float]) -> str:
    """Write a sparsity with its interval.

    >>> _reach({"value": -np.inf, "low": -np.inf, "high": 0.123}, [0.1, 0.7])
    'below 0.1 [below 0.1, 0.12]'
    """
    ends = [
        f"below {swept[0]:g}"
        if end < swept[0]
        else f"above {swept[-1]:g}"
        if end > swept[-1]
        else f"{end:.2g}"
        for end in (line["value"], line["low"], line["high"])
    ]
    return ends[0] if len(set(ends)) == 1 else f"{ends[0]} [{ends[1]}, {ends[2]}]"


def _helps(lines: "pd.DataFrame", order: int) -> str:
    """Say at which sparsities an order leaves less than the one before."""
    gains = pick(lines, statistic="gain").sort_values("sparsity").to_dict("records")
    start = f"order {order} leaves less than order {order - 1}"
    better = [line for line in gains if line["high"] < 1]
    said = f"{start} at no sparsity"
    if better:
        each = [f"{line['sparsity']:g} (× {told(line, '.2f')})" for line in better]
        said = f"{start} at {', '.join(each)}"
    worse = [f"{x['sparsity']:g} (× {told(x, '.2f')})" for x in gains if x["low"] > 1]
    if worse:
        said += f", more at {', '.join(worse)}"
    equal = [x for x in gains if not (x["high"] < 1 or x["low"] > 1)]
    if equal and better:
        levels = ", ".join(f"{line['sparsity']:g}" for line in equal)
        said += f", and no difference is seen at {levels}"
    return said


def _warned(own: "pd.DataFrame") -> str:
    """Say how well predicted_error warns, and what does so better."""
    ranks = pick(own, statistic="spearman")
    lines = pick(ranks, of="predicted_error").sort_values("sparsity")
    sure = lines["low"] > 0
    many = f"{np.sum(sure.to_numpy())} of {len(lines)} sparsities"
    said = (
        f"`predicted_error` ranks the images by relative residual with Spearman "
        f"{ends(lines.to_dict('records'), '.2f')} (above 0 at {many})"
    )
    areas = pick(own, statistic="auroc")
    warned = pick(areas, of="predicted_error").sort_values("sparsity")
    if len(warned):
        said += (
            f", and tells those off by more than {BOUND:.0%} with an AUROC of "
            f"{ends(warned.to_dict('records'), '.2f')}"
        )
    mean = {
        str(name): float(np.mean(part["value"].to_numpy()))
        for name, part in ranks.groupby("of")
    }
    best = max(mean, key=lambda name: abs(mean[name]))
    if best == "predicted_error":
        return f"{said}: nothing else here ranks them better on average."
    word = "known without pruning" if best in BEFORE else "known after pruning"
    return (
        f"{said}; `{best}` ({word}) ranks them better, with {mean[best]:.2f} against "
        f"{mean['predicted_error']:.2f} on average."
    )


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw residuals by order, the kinks' part, and what warns; a row for each run."""
    parts = rows_of(table)
    figure.set_figheight(0.4 + 2.05 * len(parts))
    axes = figure.subplots(len(parts), 3, squeeze=False)
    for row, part in zip(axes, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        _residual_panel(row[0], own)
        kink_panel(row[1], part)
        _warning_panel(row[2], own)
        count = f"{main_stratum(part)} images, n = {most(own, 'images')}"
        row[0].set_title(title(part), loc="left")
        row[2].set_title(count, loc="left")
        row[0].text(
            0.97, 0.03, count, transform=row[0].transAxes, ha="right", fontsize=7
        )
        for ax in row:
            label_sparsities(ax, own)
    for ax, columns in zip(axes[0], (3, 2, 3), strict=True):
        legend_over(ax, columns)
    return figure


def _residual_panel(ax: Axes, own: "pd.DataFrame") -> None:
    for place in range(3):
        name = f"order {place + 1}"
        lines = pick(own, statistic="relative_residual", of=name)
        whiskers(ax, lines, place, 3, label=name, **look(place))
    ax.axhline(BOUND, color="0.5", lw=0.7, ls="--", zorder=0)
    top = pick(own, statistic="relative_residual")[["value", "high"]].max().max()
    ax.set(yscale="log", ylim=(2e-3, max(3, 1.5 * float(top))))
    ax.set_ylabel("relative residual\n(geometric mean)")


def kink_panel(ax: Axes, part: "pd.DataFrame") -> None:
    """Draw the kinks' part of the first order's squared error over sparsity."""
    lines = pick(part, statistic="kink_part")
    names = [n for n in ("clean", "degraded") if n in set(lines["stratum"])] or ["all"]
    counts = []
    for place, name in enumerate(names):
        own = pick(lines, stratum=name)
        whiskers(ax, own, place, len(names), label=name, **look(place))
        counts.append(f"{name} {most(own, 'images')}")
    for end in (0, 1):
        ax.axhline(end, color="0.5", lw=0.7, ls="--", zorder=0)
    ax.set(ylim=(-0.15, 1.15), ylabel="kinks' part of the\nfirst order's squared error")
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_title(f"n = {', '.join(counts)}", loc="left")


def _warning_panel(ax: Axes, own: "pd.DataFrame") -> None:
    for place, name in enumerate(("predicted_error", "first_order", "flips")):
        lines = pick(own, statistic="spearman", of=name)
        label = name.replace("_", " ")
        whiskers(ax, lines, place, 3, label=label, **look(place))
    ax.axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
    ax.set(ylim=(-1, 1), ylabel="Spearman ρ with the\nrelative residual")


ANALYSIS = Analysis(
    "first_order_limits",
    "Where orders 1, 2 and 3 stop helping",
    ("taylor2", "taylor3", "kinks"),
    measure,
    finding,
    draw,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
