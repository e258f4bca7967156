"""How far float32, and less, agree with float64: what rounding does to every number.

Runs of one network, mask and images at several ``--precision`` are held against the one
at ``double``, image by image, over sparsity: the median and the largest relative
difference of first order, drift, residual and cosine, the share of images within 0.1 %,
and whether drift and first order rank the images as in float64. What is measured holds
for the device of the run, which is named.

    prefiqs sweep … --precision double --out RUNS/double
    prefiqs sweep … --precision highest --out RUNS/highest
    python analysis/precisions.py RUNS/double RUNS/highest … --out DIR
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_runs import Analysis, open_runs
from from_runs import main as run_main
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
from measured import Level, Lines, Measured, Values, labelled, levels

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import MEANING
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import median_interval, spearman

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "double"
QUANTITIES = ("drift", "first_order", "residual", "cosine")
RANKED = ("drift", "first_order")
TOLERANCE = 1e-3
"""Relative difference up to which a number is trusted."""
MOST = 0.95
"""Share of the images for which it has to be."""
RUINED = 0.1
"""Median relative difference from which on a number is called ruined."""
_MEANING: dict[str, str] = {str(name): words for name, words in MEANING.items()}


class Compared(NamedTuple):
    """Runs that differ in precision alone."""

    run: str
    reference: Measured
    others: Mapping[str, Measured]
    """By precision, finest first."""


def open_compared(paths: Sequence[Path], needs: Sequence[str]) -> list[Compared]:
    """Read runs, a record for each network, mask and set of images.

    Raises InputError if a run cannot be read, has none at ``double`` to be held
    against, or not finished, or two are of one precision.
    """
    groups: dict[str, dict[str, Measured]] = {}
    for measured in open_runs(paths, needs):
        settings = measured.manifest["settings"]
        same = {
            k: settings[k] for k in sorted({*settings} - {"precision", "batch_size"})
        }
        own = groups.setdefault(f"{measured.mask} {same}", {})
        precision = settings.get("precision", "highest")
        if precision in own:
            message = (
                f"{measured.run} and {own[precision].run} are the same at precision "
                f"{precision}; give one of them"
            )
            raise InputError(message)
        own[precision] = measured
    found = []
    for own in groups.values():
        if REFERENCE not in own or len(own) < 2:
            (*_, measured) = own.values()
            lacks = "other precision" if REFERENCE in own else f"run at {REFERENCE}"
            message = (
                f"{measured.run} has no {lacks} beside it, of the same weights, images "
                "and sparsities; sweep again with another --precision"
            )
            raise InputError(message)
        reference = own[REFERENCE]
        images = set(reference.rows["image"])
        for each in own.values():
            if set(each.rows["image"]) != images:
                message = (
                    f"{each.run} and {reference.run} have not the same images; finish "
                    "both by the same prefiqs sweep again"
                )
                raise InputError(message)
        name = reference.run.removesuffix(f"_{REFERENCE}")
        others = {each: own[each] for each in MEANING if each in own}
        del others[REFERENCE]
        found.append(Compared(name, reference._replace(run=name), others))
    return found


def measure(compared: Compared) -> "pd.DataFrame":
    """Tabulate differences from float64, by precision and quantity (``of``).

    Statistics: ``median`` and ``largest`` relative difference over the images (the
    second has no interval, those of the medians are Woodruff's, Bonferroni-adjusted),
    ``within`` (share of images within :data:`TOLERANCE`), ``spearman`` (of the images
    in the two precisions), ``worst_drift`` (the largest drift in float64 at which an
    image is beyond :data:`TOLERANCE`, at any sparsity; 0 if none is). ``mean_drift`` is
    that of each sparsity.
    """
    import pandas as pd

    reference, lines, medians = compared.reference, Lines(compared.reference), []
    groups = reference.groups()
    found = list(levels(reference))
    count = len(found) * len(compared.others) * len(QUANTITIES)
    beyond: dict[tuple[str, str], float] = {}
    for level in found:
        codes = groups.loc[level.rows["image"].tolist()].to_numpy()
        drift = level.column("drift")
        for precision, run in compared.others.items():
            for quantity in QUANTITIES:
                of = f"{quantity}, {precision}"
                own, exact = _values(run, level, quantity), level.column(quantity)
                relative = np.abs(own - exact) / np.abs(exact)
                low, high = median_interval(relative, codes, level=1 - 0.05 / count)
                front = {"stratum": level.stratum, "sparsity": level.sparsity, "of": of}
                front |= {"images": len(own), "people": len(np.unique(codes))}
                front |= {"mean_drift": drift.mean()}
                median = {"value": np.median(relative), "low": low, "high": high}
                medians.append(front | {"statistic": "median"} | median)
                largest = {"statistic": "largest", "value": relative.max()}
                medians.append(front | largest)
                off = relative > TOLERANCE
                within = level.mean((~off).astype(float))
                lines.add(level, "within", of, within, "logit")
                if quantity in RANKED:
                    values = spearman(own, exact, level.weights)
                    lines.add(level, "spearman", of, values, "fisher")
                key = (level.stratum, of)
                worst = max(beyond.get(key, 0.0), drift[off].max(initial=0.0))
                beyond[key] = worst
                if level.sparsity == found[-1].sparsity:
                    worst = {"statistic": "worst_drift", "value": worst}
                    medians.append(front | worst | {"sparsity": np.nan})
    table = pd.concat(
        [lines.table(), labelled(pd.DataFrame(medians), reference)], ignore_index=True
    )
    split = table["of"].str.split(", ", expand=True)
    devices = {name: _device(run) for name, run in compared.others.items()}
    return table.assign(of=split[0], precision=split[1], device=split[1].map(devices))


def _values(run: Measured, level: Level, quantity: str) -> Values:
    """Give the numbers of another run, image by image."""
    rows = pick(run.rows, sparsity=level.sparsity).set_index("image")
    return rows.loc[level.rows["image"].tolist(), quantity].to_numpy(np.float64)


def _device(run: Measured) -> str:
    return run.manifest["sessions"][-1]["device"]


def finding(table: "pd.DataFrame") -> str:
    """Say from which drift on each precision may be trusted, and what it ruins."""
    by_precision: dict[str, list[pd.DataFrame]] = {}
    for part in rows_of(table, "precision"):
        own = pick(part, stratum=main_stratum(part))
        by_precision.setdefault(str(own["precision"].iloc[0]), []).append(own)
    near, ranks, ruined, same = [], [], [], []
    seen: dict[tuple[float, ...], str] = {}
    for precision, parts in by_precision.items():
        numbers = tuple(_values_of(parts, statistic="largest"))
        if numbers in seen:
            same.append(f"; `{precision}` gives the same numbers as `{seen[numbers]}`")
            continue
        seen[numbers] = precision
        meaning = _MEANING[precision].split(",")[0]
        near.append(f"{_from(parts)} with `{precision}` ({meaning})")
        values = _values_of(parts, of="drift", statistic="spearman")
        ranks.append(f"{span(values, '.3f')} with `{precision}`")
        off = [m > RUINED for m in _values_of(parts, of="residual", statistic="median")]
        ruined.append(f"{sum(off)} of {len(off)}")
    return (
        f"On {listed(list(dict.fromkeys(table['device'])))} drifts are within "
        f"{TOLERANCE:.1%} of float64's for {MOST:.0%} of the images "
        f"{', and '.join(near)}. They rank the images as float64's do to Spearman "
        f"{listed(ranks)}, and residuals are off by more than {RUINED:.0%} in the "
        f"median in {listed(ruined)} runs and sparsities{''.join(same)}."
    )


def _values_of(parts: Sequence["pd.DataFrame"], **keys: str) -> list[float]:
    return [value for part in parts for value in pick(part, **keys)["value"]]


def _from(parts: Sequence["pd.DataFrame"]) -> str:
    """Say from which mean drift on, over runs, drifts may be trusted."""
    each = [_trusted(part, "drift") for part in parts]
    drifts = [found[0] for found in each if found]
    if not drifts:
        return "at no sparsity"
    said = f"from a mean drift of {span(drifts, '.2g')} on"
    if len(drifts) < len(each):
        said += (
            f" in {len(drifts)} of {len(each)} runs and at no sparsity in the others"
        )
    return said


def _trusted(lines: "pd.DataFrame", quantity: str) -> tuple[float, float] | None:
    """Give mean drift and sparsity from which on most images are within tolerance."""
    own = pick(lines, of=quantity)
    within = pick(own, statistic="within").sort_values("sparsity")
    bad = np.flatnonzero(within["value"].to_numpy() < MOST)
    first = bad[-1] + 1 if len(bad) else 0
    if first == len(within):
        return None
    at = float(within["sparsity"].iloc[first])
    (drift,) = pick(own, statistic="median", sparsity=at)["mean_drift"]
    return drift, at


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out how far off one precision is, from where it is not, and what it ruins."""
    own = pick(part, stratum=main_stratum(part))
    drift = pick(own, of="drift")
    (worst,) = pick(drift, statistic="worst_drift")["value"]
    cells = {
        "precision": f"`{part['precision'].iloc[0]}`",
        "device": str(part["device"].iloc[0]),
        "drift: median": from_to(records(drift, statistic="median"), ".2g"),
        "largest": f"{pick(drift, statistic='largest')['value'].max():.2g}",
        "last beyond": f"{worst:.2g}" if worst else "–",
    }
    for quantity in RANKED:
        found = _trusted(own, quantity)
        words = f"{quantity.replace('_', ' ')} within {TOLERANCE:.1%} from"
        cells[words] = f"{found[0]:.2g} ({found[1]:g})" if found else "nowhere"
    ranks = records(drift, statistic="spearman")
    return cells | {"Spearman": from_to(ranks, ".3f"), "ruined": _ruined(own)}


def _ruined(lines: "pd.DataFrame") -> str:
    """Say what is off by more than a tenth in the median, and where."""
    medians = pick(lines, statistic="median")
    each = []
    for quantity in QUANTITIES:
        own = pick(medians, of=quantity).sort_values("sparsity")
        off = own.loc[own["value"] > RUINED, "sparsity"]
        if len(off):
            which = "all sparsities" if len(off) == len(own) else _list(off)
            each.append(f"{quantity.replace('_', ' ')} at {which}")
    return "; ".join(each) or "–"


def _list(sparsities: "pd.Series") -> str:
    return ", ".join(f"{sparsity:g}" for sparsity in sparsities)


LEGEND = f"""\
Relative differences from float64, image by image; lower is better. Drift: median over
images, and the largest at any sparsity; last beyond: the largest drift at which an
image is off by more than {TOLERANCE:.1%}, and – if none is. Within {TOLERANCE:.1%}
from: the mean drift (and sparsity) from which on {MOST:.0%} of the images are; lower is
better. Spearman: of the drifts with those in float64; 1 is the same order of the
images. Ruined: what is off by more than {RUINED:.0%} in the median, and at which
sparsities; the residual is that of the first order. In square brackets: 95% intervals
over people. a → b: at the lowest and at the highest sparsity."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw differences over drift, and ranks; a row for each run."""
    parts = rows_of(table)
    figure.set_figheight(0.6 + 2.0 * len(parts))
    axes = figure.subplots(len(parts), 4, squeeze=False)
    shown = ("drift", "first_order", "residual")
    for row, part in zip(axes, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        first = pick(own, statistic="median").drop_duplicates("sparsity")
        x = dict(zip(first["sparsity"], first["mean_drift"], strict=True))
        for place, precision in enumerate(dict.fromkeys(own["precision"])):
            lines = pick(own, precision=precision)
            style = {"label": precision, "ms": 6 - 1.5 * place, **look(place)}
            style |= {} if place else {"mfc": "none"}  # another may lie upon it
            for ax, quantity in zip(row, shown, strict=False):
                _difference_panel(ax, pick(lines, of=quantity), x, style)
            ranks = pick(lines, of="drift", statistic="spearman")
            _bars(row[3], ranks, x, style)
        for ax, quantity in zip(row, shown, strict=False):
            ax.axhline(TOLERANCE, color="0.5", lw=0.7, ls="--", zorder=0)
            words = quantity.replace("_", " ")
            ax.set(yscale="log", ylabel=f"{words}: relative\ndifference from float64")
        for ax in row:
            ax.set(xscale="log", xlabel="mean drift in float64")
        row[3].set(ylim=(-0.2, 1.05), ylabel="Spearman ρ of drifts\nwith float64's")
        row[0].set_title(title(part), loc="left")
        row[3].set_title(f"n = {most(own, 'images')} images", loc="left")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=6)
    return figure


def _difference_panel(
    ax: Axes, lines: "pd.DataFrame", x: dict[float, float], style: dict[str, Any]
) -> None:
    """Draw medians with intervals, and the largest difference as a thin line."""
    medians, largest = (pick(lines, statistic=n) for n in ("median", "largest"))
    _bars(ax, medians, x, {**style, "label": f"{style['label']}, median"})
    at = [x[sparsity] for sparsity in largest["sparsity"]]
    label = f"{style['label']}, largest"
    ax.plot(at, largest["value"], color=style["color"], lw=0.7, ls=":", label=label)


def _bars(
    ax: Axes, lines: "pd.DataFrame", x: dict[float, float], style: dict[str, Any]
) -> None:
    at = np.array([x[sparsity] for sparsity in lines["sparsity"]])
    low, high = (lines[name].to_numpy(np.float64) for name in ("low", "high"))
    known = np.isfinite(low)
    ax.vlines(at[known], low[known], high[known], color=style["color"], lw=0.9)
    ax.plot(at, lines["value"], lw=0.8, **style)


ANALYSIS = Analysis(
    "precisions",
    "How far float32 and less agree with float64",
    (),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    by=("precision",),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments, open_compared)


if __name__ == "__main__":
    sys.exit(main())
