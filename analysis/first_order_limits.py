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
from from_runs import Analysis
from from_runs import main as run_main
from in_figures import label_sparsities, legend_over, whiskers
from in_words import (
    from_to,
    listed,
    main_stratum,
    most,
    pick,
    records,
    rows_of,
    span,
    title,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from measured import (
    FEWEST_IMAGES,
    Level,
    Lines,
    Measured,
    Values,
    labelled,
    levels,
    strata,
)

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
    """Say how far the first order holds, and what the other orders add, and why."""
    parts = [pick(part, stratum=main_stratum(part)) for part in rows_of(table)]
    reached, never = [], 0
    for part in parts:
        value = one_of(part, "reach", "order 1")["value"]
        if np.isfinite(value) or value > 0:
            reached.append(f"{_reach(value, part)} ({title(part)})")
        else:
            never += 1
    far = f"up to a sparsity of {listed(reached)}" if reached else ""
    if never:
        where = f"not even at the lowest sparsity in {never} of {len(parts)} runs"
        far = f"{far}, and {where}" if far else where
    counts = []
    for order in (2, 3):
        gains = [line for part in parts for line in _gains(part, order)]
        less = sum(line["high"] < 1 for line in gains)
        more = sum(line["low"] > 1 for line in gains)
        counts.append(
            f"order {order} leaves less than order {order - 1} in {less} of "
            f"{len(gains)} and more in {more}"
        )
    ranked = [
        line
        for part in parts
        for line in records(part, statistic="spearman", of="predicted_error")
    ]
    sure = sum(line["low"] > 0 for line in ranked)
    low, high = (_kinks_at(parts, end) for end in (0, -1))
    return (
        f"By the first order the relative residual is within {BOUND:.0%} for "
        f"{MOST:.0%} of the images {far}. Of all runs and sparsities, "
        f"{' and '.join(counts)}; kinks, which no Taylor order contains, are {low} of "
        f"the first order's squared error at the lowest sparsity and {high} at the "
        f"highest; `predicted_error`, known before pruning, ranks the images by their "
        f"relative residual in {sure} of {len(ranked)}."
    )


def one_of(part: "pd.DataFrame", statistic: str, of: str) -> dict[Any, Any]:
    """Give the one line of a statistic that has no sparsity."""
    (line,) = records(part, statistic=statistic, of=of)
    return line


def _gains(part: "pd.DataFrame", order: int) -> list[dict[Any, Any]]:
    return records(part, statistic="gain", of=f"order {order}")


def _kinks_at(parts: Sequence["pd.DataFrame"], place: int) -> str:
    lines = [records(part, statistic="kink_part")[place] for part in parts]
    return span([line["value"] for line in lines], ".0%")


def _reach(sparsity: float, part: "pd.DataFrame") -> str:
    """Write a sparsity that may be outside of those that were swept."""
    swept = part["sparsity"].dropna().to_numpy(np.float64)
    if sparsity < swept.min():
        return f"below {swept.min():g}"
    return f"above {swept.max():g}" if sparsity > swept.max() else f"{sparsity:.2g}"


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out how far each order holds, what it gains, kinks, and what warns."""
    own = pick(part, stratum=main_stratum(part))
    cells = {}
    for order in (1, 2, 3):
        line = one_of(own, "reach", f"order {order}")
        value, *ends = (_reach(line[name], own) for name in ("value", "low", "high"))
        same = len({value, *ends}) == 1
        cells[f"order {order} within {BOUND:.0%} up to"] = (
            value if same else f"{value} [{', '.join(ends)}]"
        )
    for order in (2, 3):
        gains = from_to(_gains(own, order), ".2f")
        cells[f"order {order} over order {order - 1}"] = gains
    cells["kinks"] = from_to(records(own, statistic="kink_part"), ".0%")
    other = pick(part, stratum="degraded")
    cells["kinks, degraded"] = from_to(records(other, statistic="kink_part"), ".0%")
    lines = records(own, statistic="spearman", of="predicted_error")
    cells["`predicted_error`: Spearman"] = from_to(lines, ".2f")
    lines = records(own, statistic="auroc", of="predicted_error")
    areas = from_to(lines, ".2f")
    if lines:
        at = " → ".join(
            f"{level:g}"
            for level in dict.fromkeys(lines[place]["sparsity"] for place in (0, -1))
        )
        areas += f" at {at}"
    return cells | {"its AUROC": areas, "ranks best": _ranks_best(own)}


def _ranks_best(own: "pd.DataFrame") -> str:
    """Name what ranks the images best by relative residual, on average."""
    mean = {
        str(name): float(np.mean(part["value"].to_numpy()))
        for name, part in pick(own, statistic="spearman").groupby("of")
    }
    best = max(mean, key=lambda name: abs(mean[name]))
    return f"`{best}` ({mean[best]:.2f})"


LEGEND = f"""\
Up to: the sparsity at which the relative residual ‖change − sum of the series‖ /
‖change‖ ceases to be within {BOUND:.0%} for {MOST:.0%} of the images. Over: geometric
mean over images of one order's residual over that of the order before; below 1 it
helps. Kinks: their part of the first order's squared error, Σ ⟨k, r⟩ / Σ ‖r‖². Spearman
with the relative residual; AUROC for being off by more than {BOUND:.0%}, where enough
images are and are not. Ranks best: the largest Spearman correlation, mean over
sparsities, of `{"`, `".join(BEFORE)}` (known without pruning) and
`{"`, `".join(AFTER)}`. a → b: at the lowest and at the highest sparsity."""


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
    row,
    LEGEND,
    draw,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
