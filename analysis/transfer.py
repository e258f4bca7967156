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
    PREFIQS,
    WORDS,
    Verified,
    begin,
    open_evaluations,
    split_name,
    thousandths,
)
from from_runs import (
    Analysis,
    Lines,
    main_stratum,
    most,
    pick,
    rows_of,
    told,
    whiskers,
)
from from_runs import main as run_main
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics import spearman

if TYPE_CHECKING:
    import pandas as pd

RIVALS = (FIRST_ORDER, "norm", "random")
"""What PreFIQs is held against; the first order at the same sparsity."""
KINDS = ("same", "cross")


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


def shown(table: "pd.DataFrame") -> float:
    """Choose the sparsity that is told: the paper's, or the nearest."""
    swept = np.unique(table["sparsity"].dropna().to_numpy(np.float64)).tolist()
    return min(swept, key=lambda sparsity: abs(sparsity - PAPER))


def finding(table: "pd.DataFrame") -> str:
    """Say what another network's scores cost, and whether PreFIQs stays ahead."""
    at = shown(table)
    own = table.loc[(table["sparsity"] == at) | table["sparsity"].isna()]
    costs = [
        f"{_word(name)} {thousandths(_one(own, 'loss', name), '+.2f')} "
        f"to {thousandths(_one(own, 'cross', name))}"
        for name in dict.fromkeys(pick(own, statistic="loss")["of"])
    ]
    kept = []
    for rival in dict.fromkeys(pick(own, statistic="advantage_same")["of"]):
        same, cross, change = (
            _one(own, f"advantage_{kind}", rival) for kind in (*KINDS, "change")
        )
        kept.append(
            f"for {_word(rival)} {thousandths(same, '+.2f')} with its own scores "
            f"and {thousandths(cross, '+.2f')} with the other's "
            f"({_verdict(same, cross)}; a change of {thousandths(change, '+.2f')})"
        )
    stratum = main_stratum(table)
    ranks = pick(own, statistic="spearman", stratum=stratum).to_dict("records")
    alike = [f"{told(line, '.2f')} ({_word(line['of'])})" for line in ranks]
    kind = "clean " if stratum == "clean" else ""
    return (
        f"{begin(table)}: scores of {table['scorer'].iloc[0]} instead of its own "
        f"change pAUC at sparsity {at:g} by {', '.join(costs)}. That of PreFIQs "
        f"minus a rival's (below 0: PreFIQs is better) is {'; '.join(kept)}. The two "
        f"networks rank the "
        f"{most(pick(table, stratum=stratum), 'images')} {kind}images alike to "
        f"Spearman {', '.join(alike)}."
    )


def _word(method: str) -> str:
    return WORDS.get(method, method)


def _one(table: "pd.DataFrame", statistic: str, of: str) -> dict[str, Any]:
    (line,) = pick(table, statistic=statistic, of=of).to_dict("records")
    return line


def _verdict(same: dict[str, Any], cross: dict[str, Any]) -> str:
    """Say whether PreFIQs is ahead of a rival with either scores.

    >>> _verdict({"low": -2, "high": -1}, {"low": -2, "high": 1})
    'ahead, then not told apart'
    """
    words = [
        "ahead"
        if line["high"] < 0
        else "behind"
        if line["low"] > 0
        else "not told apart"
        for line in (same, cross)
    ]
    return f"{words[0]} with both" if words[0] == words[1] else ", then ".join(words)


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
    draw,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments, open_crossed)


if __name__ == "__main__":
    sys.exit(main())
