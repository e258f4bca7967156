"""Show how far the first order holds under many masks, at equal sparsity and drift.

At one sparsity masks differ many times over in drift, and the first order fails where
much moves, whatever the mask. So masks are compared at equal mean drift as well, by
interpolation between sparsities; differences to magnitude hold together.

    python experiments/sweep_masks.py FACES --out RUN --backbone sface --weights FILE
    python analysis/mask_ablation.py RUN … --out DIR
"""

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_runs import Analysis, open_runs
from from_runs import main as run_main
from in_words import listed, most, pick, span, title, told, told_count
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import CYCLE, look
from prefiqs_jax.statistics import (
    FEWEST_FOR_INTERVAL,
    ROUNDING,
    deletion_groups,
    jackknife_interval,
    spearman,
    without_each,
)
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "global/magnitude"
BOUND = 0.25
"""Part of the change that the first order may miss where it is said to hold."""
DRIFTS = (0.05, 0.1, 0.2, 0.4)
TOLD = 0.1
"""Mean drift at which masks are compared in words."""
_MEASURABLE = 10 * ROUNDING
"""Mean drift below which a hundredth of it may be rounding, and no ratio is taken."""
_STATISTICS = ("relative_residual", "spearman", "severity_correlation")


class Ablation(NamedTuple):
    """All masks of a run."""

    run: str
    rows: "pd.DataFrame"


def open_ablations(paths: Sequence[Path], needs: Sequence[str]) -> list[Ablation]:
    """Read runs, a record of all masks for each; InputError as :func:`open_runs`."""
    import pandas as pd

    return [
        Ablation(run, pd.concat([each.rows for each in masks]))
        for run, masks in itertools.groupby(
            open_runs(paths, needs), key=lambda each: each.run
        )
    ]


def measure(ablation: Ablation) -> "pd.DataFrame":
    """Tabulate every mask of a run, as :func:`summarise`, with its name in front."""
    table = summarise(ablation.rows)
    table.insert(0, "run", ablation.run)
    return table


class Curves(NamedTuple):
    """One mask's statistics, arrays (replicates, sparsities); the first is of all."""

    sparsity: NDArray[np.float64]
    mean_drift: NDArray[np.float64]
    relative_residual: NDArray[np.float64]
    spearman: NDArray[np.float64]
    severity_correlation: NDArray[np.float64]


def curves(rows: "pd.DataFrame") -> Curves:
    """Compute the statistics of one mask on all people, then without each of them.

    Parameters
    ----------
    rows
        Rows of one network and mask, with the columns of a run, and severity: 0 for
        clean images, above for degraded copies.

    Returns
    -------
    Curves
        ``relative_residual`` is √(Σ ‖Δz - Jδ‖² / Σ ‖Δz‖²), and ``spearman`` is of first
        order and drift, both over clean images: together with degraded ones a
        correlation is flattered. ``severity_correlation`` is Spearman's of drift and
        severity over all. NaN where nothing moves above rounding.
    """
    import pandas as pd

    found: list[list[NDArray]] = [[], [], [], []]
    for _, level in rows.groupby("sparsity"):
        level = level.sort_values("image")
        people, _ = pd.factorize(level["identity"], sort=True)
        groups = deletion_groups(people)
        whole = np.ones((1, len(level)))
        weights = np.vstack([whole, without_each(groups, 0, int(groups.max()) + 1)])
        first, drift, residual, severity = (
            level[name].to_numpy(np.float64)
            for name in ("first_order", "drift", "residual", "severity")
        )
        clean = severity == 0
        own = weights[:, clean]
        mean = own @ drift[clean] / own.sum(axis=1)
        missed = np.sqrt(own @ residual[clean] ** 2 / (own @ drift[clean] ** 2))
        ranks = spearman(first[clean], drift[clean], own)
        moved = mean >= _MEASURABLE
        found[0].append(mean)
        found[1].append(np.where(moved, missed, np.nan))
        found[2].append(np.where(moved, ranks, np.nan))
        found[3].append(np.where(moved, spearman(drift, severity, weights), np.nan))
    levels = np.array(sorted(set(rows["sparsity"])))
    return Curves(levels, *(np.stack(each, axis=1) for each in found))


def between(
    at: NDArray[np.float64], values: NDArray[np.float64], target: float
) -> NDArray[np.float64]:
    """Interpolate each row's values where ``at``, in that row, first exceeds a target.

    Straight lines over the logarithm of ``at``; NaN in a row that begins above the
    target or never exceeds it.
    """
    out = np.full(len(at), np.nan)
    for place, (x, y) in enumerate(zip(at, values, strict=True)):
        known = np.isfinite(x) & np.isfinite(y) & (x > 0)
        x, y = np.log(x[known]), y[known]
        above = np.flatnonzero(x > np.log(target))
        if above.size and above[0]:
            left, right = above[0] - 1, above[0]
            share = (np.log(target) - x[left]) / (x[right] - x[left])
            out[place] = y[left] + share * (y[right] - y[left])
    return out


def summarise(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Tabulate every mask of one network at equal sparsity, drift and residual.

    Returns
    -------
    pandas.DataFrame
        Columns backbone, mask, equal (what masks are compared at: ``sparsity``,
        ``drift`` or ``residual``), level, statistic, value, low, high (95 %, jackknife
        over the people), difference to :data:`REFERENCE`, difference_low and
        difference_high (95 % for all masks together), note, images (clean ones) and
        people. At equal residual, which is :data:`BOUND`, the statistics are sparsity
        and mean_drift: how far the first order holds.
    """
    import pandas as pd

    masks = list(rows["mask"].unique())
    if REFERENCE not in masks:
        message = f"the rows have no {REFERENCE} to compare with; sweep it, too"
        raise InputError(message)
    if "severity" not in rows or bool(rows["identity"].isna().any()):
        message = (
            "the rows lack identities or degraded copies; make them by "
            "experiments/sweep_masks.py"
        )
        raise InputError(message)
    each = {mask: curves(rows.loc[rows["mask"] == mask]) for mask in masks}
    lines = []
    for name in ("mean_drift", *_STATISTICS):
        for place, level in enumerate(each[masks[0]].sparsity.tolist()):
            of = {mask: getattr(c, name)[:, place] for mask, c in each.items()}
            lines += _compared("sparsity", level, name, of)
    for level in DRIFTS:
        for name in _STATISTICS:
            of = {m: _at_drift(c, name, level) for m, c in each.items()}
            lines += _compared("drift", level, name, of)
    for name in ("sparsity", "mean_drift"):
        of = {mask: _reach(c, name) for mask, c in each.items()}
        lines += _compared("residual", BOUND, name, of)
    table = pd.DataFrame(lines)
    table.insert(0, "backbone", rows["backbone"].iloc[0])
    table["note"] = [
        _note(each[mask].relative_residual[0]) if equal == "residual" else ""
        for mask, equal in zip(table["mask"], table["equal"], strict=True)
    ]
    clean = rows.loc[rows["severity"] == 0]
    return table.assign(
        images=clean["image"].nunique(), people=clean["identity"].nunique()
    )


def _at_drift(curve: Curves, name: str, level: float) -> NDArray[np.float64]:
    values = getattr(curve, name)
    if name == "relative_residual":  # spans decades
        return np.exp(between(curve.mean_drift, np.log(values), level))
    return between(curve.mean_drift, values, level)


def _reach(curve: Curves, name: str) -> NDArray[np.float64]:
    """Find where the residual first exceeds the bound."""
    values = getattr(curve, name)
    values = np.broadcast_to(np.log(values), curve.relative_residual.shape)
    return np.exp(between(curve.relative_residual, values, BOUND))


def _note(residual: NDArray[np.float64]) -> str:
    known = residual[np.isfinite(residual)]
    if not known.size or known[0] > BOUND:
        return "above the bound at the lowest sparsity"
    return "" if (known > BOUND).any() else "below the bound at every sparsity"


def _compared(
    equal: str, level: float, name: str, of: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Make a line a mask: the value, its interval, and the difference to magnitude."""
    differences = np.stack([values - of[REFERENCE] for values in of.values()], axis=1)
    ends = simultaneous_intervals(differences, "jackknife")
    lines = []
    for place, (mask, values) in enumerate(of.items()):
        low, high = _interval(name, values)
        few = len(values) - 1 < FEWEST_FOR_INTERVAL
        lines.append(
            {
                "mask": mask,
                "equal": equal,
                "level": level,
                "statistic": name,
                "value": values[0],
                "low": np.nan if few else low,
                "high": np.nan if few else high,
                "difference": differences[0, place],
                "difference_low": np.nan if few else ends[0][place],
                "difference_high": np.nan if few else ends[1][place],
            }
        )
    return lines


def _interval(name: str, values: NDArray[np.float64]) -> tuple[float, float]:
    if name in ("spearman", "severity_correlation"):
        ends = jackknife_interval(values[0], values[1:], scale="fisher")
        return float(ends[0]), float(ends[1])
    ends = jackknife_interval(np.log(values[0]), np.log(values[1:]))  # is positive
    return float(np.exp(ends[0])), float(np.exp(ends[1]))


def finding(table: "pd.DataFrame") -> str:
    """Say how far the first order holds, with which masks, and what drift has to do."""
    reach = _part(table, "residual", BOUND, "sparsity")
    missed, severity = (
        _part(table, "drift", TOLD, name)
        for name in ("relative_residual", "severity_correlation")
    )
    own = pick(reach, mask=REFERENCE)
    far = [f"{_reached(line, table)} ({line['run']})" for line in _lines(own)]
    farther = _counted(x for x in _lines(reach) if x["difference_low"] > 0)
    nowhere = _counted(x for x in _lines(reach) if str(x["note"]).startswith("above"))
    less = _counted(x for x in _lines(missed) if x["difference_high"] < 0)
    at = span(100 * pick(missed, mask=REFERENCE)["value"].to_numpy(), ".0f")
    others = severity.loc[severity["mask"] != REFERENCE]
    ends = [{e: x[f"difference_{e}"] for e in ("low", "high")} for x in _lines(others)]
    differ = sum(end["low"] > 0 or end["high"] < 0 for end in ends)
    return (
        f"The first order misses at most {BOUND:.0%} of the embedding's change up to "
        f"sparsity {listed(far)} with magnitude; significantly farther (in how many of "
        f"{len(own)} runs) with {farther}, and nowhere with {nowhere}. At one mean "
        f"drift, {TOLD:g}, it misses {at}% with magnitude and significantly less with "
        f"{less}; the drift's correlation with severity differs significantly from "
        f"magnitude's in {differ} of {told_count(ends)} masks and runs."
    )


def _lines(table: "pd.DataFrame") -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _counted(lines: Iterable[dict[Any, Any]]) -> str:
    """Name masks and in how many runs they are, those of most runs first.

    >>> _counted([{"mask": "a"}, {"mask": "b"}, {"mask": "b"}, {"mask": "c"}])
    'b (2), a and c (1)'
    >>> _counted([])
    'none'
    """
    found = Counter(line["mask"] for line in lines)
    said = [
        f"{listed([mask for mask in found if found[mask] == count])} ({count})"
        for count in sorted({*found.values()}, reverse=True)
    ]
    return ", ".join(said) or "none"


def _part(
    table: "pd.DataFrame", equal: str, level: float, statistic: str
) -> "pd.DataFrame":
    chosen = (table["equal"] == equal) & (table["statistic"] == statistic)
    return table.loc[chosen & np.isclose(table["level"], level)]


def _reached(line: dict[Any, Any], table: "pd.DataFrame") -> str:
    """Write how far the first order holds, with its interval; outside, which side."""
    swept = pick(table, run=line["run"], equal="sparsity")["level"]
    if str(line["note"]).startswith("above"):
        return f"below {swept.min():g}"
    if str(line["note"]).startswith("below"):
        return f"above {swept.max():g}"
    return told(line)


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out how far the first order holds, and what it misses at one drift."""
    (reach,) = _lines(_part(part, "residual", BOUND, "sparsity"))
    cells = {f"misses {BOUND:.0%} at sparsity": _reached(reach, part)}
    cells["− magnitude's"] = _difference(reach, "+.2f")
    for name, heading, times, form in (
        ("relative_residual", "% missed", 100, ".0f"),
        ("spearman", "Spearman with the first order", 1, ".2f"),
        ("severity_correlation", "with severity", 1, ".2f"),
    ):
        (line,) = _lines(_part(part, "drift", TOLD, name))
        scaled = {k: times * line[k] for k in ("value", "low", "high")}
        cells[heading] = told(scaled, form) if np.isfinite(line["value"]) else "–"
        if name != "spearman":
            ends = {k: times * v for k, v in line.items() if k.startswith("diff")}
            cells[f"{heading} − magnitude's"] = _difference(
                {"mask": line["mask"], **ends}, f"+{form}"
            )
    return cells


def _difference(line: dict[Any, Any], form: str) -> str:
    if line["mask"] == REFERENCE or not np.isfinite(line["difference"]):
        return "–"
    names = {"value": "", "low": "_low", "high": "_high"}
    return told({k: line[f"difference{end}"] for k, end in names.items()}, form)


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which run, network, mask and images a row is."""
    images, people = (most(part, name) for name in ("images", "people"))
    return {"run": title(part), "images": f"{images} clean of {people} people"}


LEGEND = f"""\
Misses {BOUND:.0%} at sparsity: up to there √(Σ‖Δz − Jδ‖² / Σ‖Δz‖²) of clean images is
no more; higher is better. What follows is at the sparsity where the mask's mean drift
of clean images is {TOLD:g}, and – where none that was swept has it: the same quotient
in %, lower is better; Spearman's correlation of drift and first order, of clean
images, and of drift and severity, with a degraded copy of each; higher is better.
− magnitude's: minus that of {REFERENCE}. Between the sparsities that were swept, by
straight lines. In square brackets: 95% intervals over people, of values each for
itself, of differences for all masks of a run together; a difference is significant
where its interval excludes 0."""


def ablation_panels(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw residual over sparsity and over drift, and severity over drift."""
    runs = list(table["run"].unique())
    figure.set_figheight(0.6 + 2.5 * len(runs))
    axes = figure.subplots(len(runs), 3, squeeze=False)
    for row, run in zip(axes, runs, strict=True):
        own = pick(table, run=run)
        own = own.loc[own["equal"] == "sparsity"]
        for place, mask in enumerate(own["mask"].unique()):
            wide = own.loc[own["mask"] == mask].pivot(
                index="level", columns="statistic", values="value"
            )
            # Colours come again: then dashes tell, where markers hide each other.
            drawn = {**look(place), "ls": "-" if place < len(CYCLE) else "--"}
            drawn |= {"label": mask, "lw": 0.9, "ms": 3}
            row[0].plot(wide.index, wide["relative_residual"], **drawn)
            row[1].plot(wide["mean_drift"], wide["relative_residual"], **drawn)
            row[2].plot(wide["mean_drift"], wide["severity_correlation"], **drawn)
        _label(row, run)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def _label(row: Sequence[Axes], run: str) -> None:
    for ax in row:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
    for ax in row[:2]:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.axhline(BOUND, color="0.6", lw=0.6, zorder=0)
        ax.set_ylabel("part of the change missed (rms)")
    row[0].set(xlabel="sparsity", title=run)
    for ax in row[1:]:
        ax.set(xlabel="mean drift of clean faces (no unit)", title=run)
        ax.set_xlim(left=1e-3)
    row[2].set_ylabel("severity against drift: Spearman ρ")


ANALYSIS = Analysis(
    "mask_ablation",
    "Where the first order holds, by mask",
    (),
    measure,
    finding,
    row,
    LEGEND,
    ablation_panels,
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments, open_ablations)


if __name__ == "__main__":
    sys.exit(main())
