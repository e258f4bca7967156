"""Show how far the first order holds under many masks, at equal sparsity and drift.

At one sparsity masks differ many times over in drift, and the first order fails where
much moves, whatever the mask. So masks are compared at equal mean drift as well, by
interpolation between sparsities. Writes ``mask_ablation.csv`` (every number, with
intervals over people, and differences to magnitude that hold together), ``finding.txt``
(two sentences a network, made of those numbers), ``mask_ablation.png`` and ``.pdf``.

    python experiments/sweep_masks.py FACES --out RUN --backbone sface --weights FILE
    python analysis/mask_ablation.py RUN … --out DIR
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.theme import look
from prefiqs_jax.results import read, with_image_columns
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
    """Say of one network in two sentences how far the first order holds, and for which.

    Parameters
    ----------
    table
        As :func:`summarise` gives it.
    """
    reach = _part(table, "residual", BOUND, "sparsity")
    reach = reach.sort_values("value", ascending=False)
    held = [
        f"{_range(row['value'], row['low'], row['high'])} with {row['mask']}"
        for row in reach.loc[reach["note"] == ""].to_dict("records")
    ]
    held += [f"at every sparsity with {mask}" for mask in _noted(reach, "below")]
    levels = table.loc[table["equal"] == "sparsity", "level"]
    lost = _noted(reach, "above")
    first = table.iloc[0]
    said = (
        f"{first['backbone']}, {first['images']} clean faces of {first['people']} "
        f"people: the first order misses at most {BOUND:.0%} of the embedding's change "
        f"up to sparsity {', '.join(held) or 'none'}"
    )
    if lost:
        said += f", and not even to {levels.min():g} with {', '.join(lost)}"
    own = _part(table, "drift", TOLD, "relative_residual")
    rank = _part(table, "drift", TOLD, "severity_correlation")
    magnitude = own.loc[own["mask"] == REFERENCE].iloc[0]
    severity = rank.loc[rank["mask"] == REFERENCE].iloc[0]
    if not np.isfinite(magnitude["value"]):
        return said + f". No sparsity has a mean drift of {TOLD:g} with magnitude."
    missed = _range(magnitude["value"], magnitude["low"], magnitude["high"], ".0%")
    ranked = _range(severity["value"], severity["low"], severity["high"])
    differ = _differing(own, "less", "more", 100, "+.0f", " points")
    return said + (
        f". At one mean drift, {TOLD:g}, it misses {missed} with magnitude, "
        f"{differ}; and the drift's Spearman correlation with severity is {ranked}, "
        f"{_differing(rank, 'lower', 'higher', 1, '+.2f')}."
    )


def _noted(lines: "pd.DataFrame", word: str) -> list[str]:
    pairs = zip(lines["mask"].tolist(), lines["note"].tolist(), strict=True)
    return [mask for mask, note in pairs if note.startswith(word)]


def _part(
    table: "pd.DataFrame", equal: str, level: float, statistic: str
) -> "pd.DataFrame":
    chosen = (table["equal"] == equal) & (table["statistic"] == statistic)
    return table.loc[chosen & np.isclose(table["level"], level)]


def _range(value: float, low: float, high: float, form: str = ".2g") -> str:
    """Write a value with its interval.

    >>> _range(0.3512, 0.33, 0.372), _range(0.2, 0.19, float("nan"), ".0%")
    ('0.35 [0.33, 0.37]', '20%')
    """
    if not np.isfinite([low, high]).all():
        return format(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _differing(
    lines: "pd.DataFrame",
    below: str,
    above: str,
    times: float,
    form: str,
    unit: str = "",
) -> str:
    """Name the masks whose difference to magnitude excludes 0, and those unknown."""
    parts = []
    for word, chosen in (
        (below, lines["difference_high"] < 0),
        (above, lines["difference_low"] > 0),
    ):
        marked = lines.loc[chosen].sort_values("difference").to_dict("records")
        if marked:
            each = [
                f"{row['mask']} ({times * row['difference']:{form}}{unit})"
                for row in marked
            ]
            parts.append(f"{word} with {', '.join(each)}")
    unknown = lines.loc[lines["difference_low"].isna(), "mask"].tolist()
    said = " and ".join(parts) or "and no other can be told from it"
    return said + (f" (not known of {', '.join(unknown)})" if unknown else "")


def ablation_panels(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw residual over sparsity and over drift, and severity over drift."""
    networks = list(table["backbone"].unique())
    figure.set_figheight(0.6 + 2.5 * len(networks))
    axes = figure.subplots(len(networks), 3, squeeze=False)
    for row, network in zip(axes, networks, strict=True):
        own = table.loc[table["backbone"] == network]
        own = own.loc[own["equal"] == "sparsity"]
        for place, mask in enumerate(own["mask"].unique()):
            wide = own.loc[own["mask"] == mask].pivot(
                index="level", columns="statistic", values="value"
            )
            drawn = {**look(place), "label": mask, "lw": 0.9, "ms": 3}
            row[0].plot(wide.index, wide["relative_residual"], **drawn)
            row[1].plot(wide["mean_drift"], wide["relative_residual"], **drawn)
            row[2].plot(wide["mean_drift"], wide["severity_correlation"], **drawn)
        _label(row, network)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def _label(row: Sequence[Axes], network: str) -> None:
    for ax in row:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
    for ax in row[:2]:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.axhline(BOUND, color="0.6", lw=0.6, zorder=0)
        ax.set_ylabel("part of the change missed (rms)")
    row[0].set(xlabel="sparsity", title=network)
    for ax in row[1:]:
        ax.set(xlabel="mean drift of clean faces (no unit)", title=network)
        ax.set_xlim(left=1e-3)
    row[2].set_ylabel("severity against drift: Spearman ρ")


def write(table: "pd.DataFrame", out: Path) -> list[str]:
    """Write table, figure and findings; return the findings, one a network."""
    said = [finding(own) for _, own in table.groupby("backbone", sort=False)]
    with plots.theme():
        figure = ablation_panels(Figure(figsize=(plots.PAGE_IN, 3)), table)
        title = "Where the first order holds, by mask"
        files = plots.figure_files([plots.Drawing("mask_ablation", figure, title)])
    text = table.to_csv(index=False, float_format="%.6g")
    contents = {"mask_ablation.csv": text, "finding.txt": "\n\n".join(said) + "\n"}
    write_outputs(out, {**contents, **files})
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
    options = parser.parse_args(arguments)
    try:
        tables = [summarise(with_image_columns(read(run))) for run in options.runs]
        table = pd.concat(tables, ignore_index=True)
        if len(set(table["backbone"])) < len(options.runs):
            message = "two runs are of one network; give one run a network"
            raise InputError(message)
        print("\n".join(write(table, options.out)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
