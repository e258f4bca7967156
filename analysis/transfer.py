"""Whether the scores of one network help another network that verifies.

For each network that verifies, the partial areas under the error-versus-discard
curves (pAUC) of its own scores (same-model) are compared with those of another
network's scores of the same images (cross-model), and PreFIQs with its rivals for both:
is its advantage kept? Differences are paired: the same comparisons, the same people
left out. Beside them, how alike the two networks rank the images by each quality.

    prefiqs edc … --verifier NAME=FILE --each-scores --out RUN
    python analysis/transfer.py RUN … --out DIR
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_evaluations import (
    FIRST_ORDER,
    PAPER,
    PAUC,
    PREFIQS,
    WORDS,
    Verified,
    front,
    open_evaluations,
    split_name,
    thousandths,
)
from from_runs import Analysis
from from_runs import main as run_main
from in_figures import whiskers
from in_words import (
    listed,
    main_stratum,
    most,
    pick,
    records,
    rows_of,
    span,
    told,
    told_count,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measured import Lines

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import spearman

if TYPE_CHECKING:
    import pandas as pd

RIVALS = (FIRST_ORDER, "norm", "random")
"""What PreFIQs is held against; the first order at the same sparsity."""
KINDS = ("same", "cross")
CELLS = {
    "same": ("own", ".2f"),
    "cross": ("other's", ".2f"),
    "loss": ("other's − own", "+.2f"),
    "advantage_same": ("PreFIQs − it, own", "+.2f"),
    "advantage_cross": ("PreFIQs − it, other's", "+.2f"),
    "advantage_change": ("change of that", "+.2f"),
}
"""Headings of the table's areas, and how they are written."""


class Crossed(NamedTuple):
    """A network that verifies, and another one that scored the same images."""

    verified: Verified
    scorer: str

    @property
    def run(self) -> str:
        """Name of folder, benchmark and both networks."""
        return f"{self.verified.run} by {self.scorer}"


def open_crossed(paths: Sequence[Path], needs: Sequence[str]) -> list[Crossed]:
    """Read evaluations: a record for each network that verifies, and each other one.

    Raises InputError as :func:`open_evaluations`, or if there are no two networks that
    scored.
    """
    found = [
        Crossed(verified, scorer)
        for verified in open_evaluations(paths, needs)
        for scorer in verified.scores
        if verified.verifier in verified.scores and scorer != verified.verifier
    ]
    if not found:
        message = (
            f"{paths[0]} has no second network that scored; run prefiqs edc with "
            "--verifier NAME=FILE --each-scores"
        )
        raise InputError(message)
    return found


def measure(crossed: Crossed) -> "pd.DataFrame":
    """Tabulate areas of same and cross model, their differences, and rank correlation.

    Statistics: areas ``same`` and ``cross``, and ``loss`` (cross minus same) of each
    quality; ``advantage_same`` and ``advantage_cross`` (of PreFIQs over a rival: its
    area minus the rival's, below 0 where PreFIQs is better), ``advantage_change`` (the
    second minus the first); ``spearman`` of the two networks' scores, within strata.
    """
    verified = crossed.verified
    mine, theirs = (
        verified.scores[name] for name in (verified.verifier, crossed.scorer)
    )
    names = [name for name in mine if name in theirs]
    both = {f"same {name}": mine[name] for name in names}
    both |= {f"cross {name}": theirs[name] for name in names}
    areas = dict(zip(both, verified.areas(both), strict=True))
    lines = Lines(verified.measured._replace(run=crossed.run))
    found = verified.levels()
    for name in names:
        method, sparsity = split_name(name)
        level = found["all"]._replace(sparsity=sparsity)
        same, cross = (areas[f"{kind} {name}"] for kind in KINDS)
        lines.add(level, "same", method, same, "log")
        lines.add(level, "cross", method, cross, "log")
        if method == "random":  # it is the same of all networks
            continue
        lines.add(level, "loss", method, cross - same, "linear")
        for own in found.values():
            places = own.rows.index.to_numpy()
            values = spearman(mine[name][places], theirs[name][places], own.weights)
            own = own._replace(sparsity=sparsity)
            lines.add(own, "spearman", method, values, "fisher")
        if method != PREFIQS:
            continue
        for rival in RIVALS:
            other = f"{rival}/{sparsity:g}" if rival == FIRST_ORDER else rival
            if other not in names:
                continue
            gains = [areas[f"{k} {name}"] - areas[f"{k} {other}"] for k in KINDS]
            gains.append(gains[1] - gains[0])
            for what, values in zip((*KINDS, "change"), gains, strict=True):
                lines.add(level, f"advantage_{what}", rival, values, "linear")
    return verified.described(lines.table()).assign(scorer=crossed.scorer)


def finding(table: "pd.DataFrame") -> str:
    """Say what another network's scores cost, and whether PreFIQs stays ahead."""
    runs = rows_of(table)
    losses = [_near(run, "loss", PREFIQS) for run in runs]
    lost = [line for line in losses if line is not None]
    better, worse = _counts(lost)
    ranks = [_near(run, "spearman", PREFIQS, main_stratum(run)) for run in runs]
    alike = span([line["value"] for line in ranks if line is not None], ".2f")
    kept = []
    for rival in [each for each in RIVALS if each in set(table["of"])]:
        (ahead, behind), (ahead_cross, behind_cross) = (
            _counts([_near(run, f"advantage_{kind}", rival) for run in runs])
            for kind in KINDS
        )
        kept.append(
            f"of {_word(rival)} in {ahead} and {ahead_cross} (behind in {behind} and "
            f"{behind_cross})"
        )
    said = "The"
    if kept:
        said = (
            "With own and with the other's scores PreFIQs is significantly ahead "
            f"{listed(kept)}; the"
        )
    return (
        f"At sparsity {span([line['sparsity'] for line in lost], 'g')} PreFIQs of "
        "another network instead of the verifier's own changes pAUC × 10³ by "
        f"{span([1e3 * line['value'] for line in lost], '+.2f')}: significantly worse "
        f"in {worse} and better in {better} of {told_count(lost)} cases (networks and "
        f"benchmarks). {said} two networks' PreFIQs rank the images alike to Spearman "
        f"{alike}."
    )


def _near(
    part: "pd.DataFrame", statistic: str, of: str, stratum: str = "all"
) -> dict[str, Any] | None:
    """Give the line at the paper's sparsity, the nearest or the only one; if any."""
    lines = records(part, statistic=statistic, of=of, stratum=stratum)
    return min(lines, key=lambda line: abs(line["sparsity"] - PAPER), default=None)


def _word(method: str) -> str:
    return WORDS.get(method, method)


def _counts(lines: Sequence[dict[str, Any] | None]) -> tuple[int, int]:
    """Count differences whose interval is below 0, and above.

    >>> _counts([{"low": -2, "high": -1}, {"low": -2, "high": 1}, None])
    (1, 0)
    """
    known = [line for line in lines if line is not None]
    below = sum(line["high"] < 0 for line in known)
    return below, sum(line["low"] > 0 for line in known)


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out areas by one quality, what PreFIQs has less, and how alike it ranks."""
    of = str(part["of"].iloc[0])
    same = _near(part, "same", of)
    at = np.nan if same is None else same["sparsity"]
    cells = {"quality": _word(of) + (f" at {at:g}" if np.isfinite(at) else "")}
    for statistic, (heading, form) in CELLS.items():
        line = _near(part, statistic, of)
        cells[heading] = "–" if line is None else thousandths(line, form)
    line = _near(part, "spearman", of, main_stratum(part))
    return cells | {"Spearman": "–" if line is None else told(line, ".2f")}


LEGEND = f"""\
{PAUC} Own, other's: by the scores of the
network that verifies, and by those of the one after "by"; their difference is above 0
where the other's are worse. PreFIQs − it: pAUC by PreFIQs minus that by the quality of
the row, below 0 where PreFIQs is better; by both networks' scores, and the change.
Spearman: of the two networks' scores, among clean images where they are known; higher
is more alike. Of several sparsities, the one nearest to {PAPER:g}. In square brackets:
95% intervals over people; a difference is significant where its interval excludes 0."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw areas, PreFIQs' advantage over the norm, and ranks; a row for each run."""
    parts = rows_of(table)
    figure.set_figheight(0.9 + 2.1 * len(parts))
    axes = figure.subplots(len(parts), 3, squeeze=False)
    for row, part in zip(axes, parts, strict=True):
        swept = part.loc[part["sparsity"].notna()]
        drawn = [m for m in (PREFIQS, FIRST_ORDER, "norm") if m in set(part["of"])]
        for place, method in enumerate(drawn):
            _area_panel(row[0], part, method, place)
            _rank_panel(row[2], part, method, place)
        rival = next((each for each in RIVALS[::-1] if each in drawn), "random")
        for place, kind in enumerate(KINDS):
            lines = pick(swept, statistic=f"advantage_{kind}", of=rival)
            scaled = lines.assign(
                **{n: 1e3 * lines[n] for n in ("value", "low", "high")}
            )
            label = f"PreFIQs − {_word(rival)}, {kind} model"
            whiskers(row[1], scaled, place, 2, label=label, **look(3 + place))
        row[1].axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
        row[0].set_ylabel("pAUC × 10³\n(lower = better)")
        row[1].set_ylabel("difference of pAUC × 10³\n(below 0: PreFIQs better)")
        row[2].set(ylabel="Spearman ρ of the\ntwo networks' scores", ylim=(-1, 1))
        row[2].axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
        own = pick(part, stratum=main_stratum(part))
        row[0].set_title(str(part["run"].iloc[0]), loc="left")
        row[2].set_title(
            f"n = {most(own, 'images')} {main_stratum(part)} images", loc="left"
        )
        for ax in row:
            ax.set(xlabel="sparsity", xlim=(0, 1))
    both = zip(*(ax.get_legend_handles_labels() for ax in axes[0, :2]), strict=True)
    figure.legend(*map(sum, both, ([], [])), loc="outside upper left", ncols=4)
    return figure


def _area_panel(ax: Axes, part: "pd.DataFrame", method: str, place: int) -> None:
    """Draw areas of one method: full line same model, broken line cross model."""
    for kind, line in zip(KINDS, ("-", "--"), strict=True):
        own = pick(part, statistic=kind, of=method)
        label = f"{_word(method)}, {kind} model"
        style = {"color": look(place)["color"], "ls": line, "label": label}
        x, y = own["sparsity"].to_numpy(), 1e3 * own["value"].to_numpy()
        if np.isnan(x).all():
            ax.axhline(y[0], lw=1, **style)
        else:
            ax.plot(x, y, marker=look(place)["marker"], **style)


def _rank_panel(ax: Axes, part: "pd.DataFrame", method: str, place: int) -> None:
    own = pick(part, statistic="spearman", of=method, stratum=main_stratum(part))
    if np.isnan(own["sparsity"].to_numpy()).all():
        ax.axhline(own["value"].iloc[0], color=look(place)["color"], lw=1)
    else:
        whiskers(ax, own, place, 3, **look(place))


ANALYSIS = Analysis(
    "transfer",
    "Whether scores of one network help another",
    (PREFIQS,),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    by=("of",),
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments, open_crossed)


if __name__ == "__main__":
    sys.exit(main())
