"""Whether the sparsity that is chosen on some people holds on others.

People are split into halves at random, many times. On one half the sparsity of least
area under the error-versus-discard curve (pAUC) is chosen, of PreFIQs and of the first
order; on the other, the area at that sparsity is held against the area at the paper's
sparsity, and at the one that is best in hindsight: of least mean area over all halves.
How much larger the held-out area is than the one that was chosen by is the optimism of
reporting the best of a table. It cannot be negative in the mean over splits used both
ways; its size is what is measured.

    prefiqs edc … --methods prefiqs,first-order --sparsities 0.1,0.2,… --out RUN
    python analysis/sparsity_choice.py RUN … --out DIR
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from from_evaluations import (
    FIRST_ORDER,
    PAPER,
    PAUC,
    PREFIQS,
    SWEPT,
    WORDS,
    Verified,
    front,
    open_evaluations,
    split_name,
    thousandths,
)
from from_runs import Analysis
from from_runs import main as run_main
from in_words import most, pick, records, rows_of, span, title, told_count
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from measured import Lines, Values
from numpy.typing import NDArray
from tqdm import tqdm

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look
from prefiqs_jax.statistics.jackknife import MOST_GROUPS

if TYPE_CHECKING:
    import pandas as pd

SPLITS = 50
"""Random splits into halves, each used both ways."""
FEWEST_PEOPLE = 6
"""With fewer, a half without one of its people has nobody to compare."""
_SAME = 1e-12
"""Areas that differ by less are equal; the choice among equals is by lot."""
DIFFERENCES = {
    "optimism": ("in_sample", "held out −\nin sample"),
    "over_paper": ("paper", f"chosen\n− {PAPER:g}"),
    "over_hindsight": ("hindsight", "chosen\n− best"),
}
"""What is subtracted from the held-out area, and a label."""
CELLS = {
    "in_sample": ("in sample", ".2f"),
    "held_out": ("held out", ".2f"),
    "optimism": ("held out − in sample", "+.2f"),
    "over_paper": (f"held out − {PAPER:g}", "+.2f"),
    "over_hindsight": ("held out − best", "+.2f"),
}
"""Headings of the table's numbers, and how they are written."""


class Choice(NamedTuple):
    """One method, in the mean over splits; arrays end in replicates."""

    in_sample: Values
    held_out: Values
    mean: Values
    """Shape (sparsities, replicates): area of a half at each sparsity."""
    share: Values
    """Shape (sparsities, replicates): how often each is chosen."""


def halves(people: int, splits: int = SPLITS, seed: int = 0) -> NDArray[np.bool_]:
    """Draw halves: shape (splits, people), of which half are in, give or take one.

    >>> halves(5, 2).sum(axis=1)
    array([2, 2])
    """
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(people) < people // 2 for _ in range(splits)])


def choose(one: Values, other: Values) -> tuple[Values, Values, Values]:
    """Choose on one half, evaluate on the other; areas (sparsities, replicates).

    Gives the least areas of the one, those of the other at the same sparsities, and how
    much each sparsity is chosen.

    >>> choose(np.array([[3.0], [2.0], [2.0]]), np.array([[1.0], [4.0], [6.0]]))
    (array([2.]), array([5.]), array([[0. ],
           [0.5],
           [0.5]]))
    """
    least = one.min(axis=0)
    chosen = (one <= least + _SAME).astype(float)
    chosen /= chosen.sum(axis=0)
    return least, (chosen * other).sum(axis=0), chosen


def choices(
    areas: Sequence[tuple[Values, Values]],
) -> Choice:
    """Average over splits, each used both ways; areas of the two halves of each."""
    both = [pair for one, other in areas for pair in ((one, other), (other, one))]
    found = [choose(*pair) for pair in both]
    in_sample, held_out, share = (
        np.mean(each, axis=0) for each in zip(*found, strict=True)
    )
    mean = np.mean([one for one, _ in both], axis=0)
    return Choice(in_sample, held_out, mean, share)


def half_areas(
    verified: Verified, quality: dict[str, Values]
) -> list[tuple[Values, Values]]:
    """Compute areas of both halves of each split; shape (qualities, 1 + people).

    A replicate without a person is that of the half without, and all of the other half.
    """
    names, who = np.unique(verified.people, return_inverse=True)
    rng = np.random.default_rng(0)
    kept = np.sort(rng.permutation(len(names))[:MOST_GROUPS])
    found = []
    for split in tqdm(halves(len(kept)), desc=verified.run, unit="split"):
        both = []
        for half in (split, ~split):
            own = verified.areas(quality, np.isin(who, kept[half]))
            areas = np.repeat(own[:, :1], 1 + len(kept), axis=1)
            areas[:, 1 + np.flatnonzero(half)] = own[:, 1:]
            both.append(areas)
        found.append((both[0], both[1]))
    return found


def measure(verified: Verified) -> "pd.DataFrame":
    """Tabulate what choosing the sparsity gives, by method.

    Statistics: areas ``in_sample`` (of the chosen sparsity, where it was chosen),
    ``held_out``, ``paper`` and ``hindsight`` (held out, at that sparsity), ``mean`` (at
    each); differences ``optimism`` (held out minus in sample), ``over_paper`` and
    ``over_hindsight`` (of the chosen one, held out, minus these); ``share`` of the
    splits in which each sparsity is chosen. Scores are the verifier's own, or the first
    network's.

    Intervals leave out one person in all splits at once. Where sparsities are about
    equally good they hold the mean over samples of people 85 % of the time or more (the
    test simulates it); where every split chooses the same one, the optimism is 0, and
    its interval without width says nothing.
    """
    own = verified.scores.get(verified.verifier) or next(iter(verified.scores.values()))
    people = len(set(verified.people))
    if people < FEWEST_PEOPLE:
        message = f"{verified.run}: {people} people; it takes {FEWEST_PEOPLE} to split"
        raise InputError(message)
    swept = {name: split_name(name) for name in own}
    quality = {
        name: own[name] for name, (method, _) in swept.items() if method in SWEPT
    }
    areas = half_areas(verified, quality)
    lines, level = Lines(verified.measured), verified.levels()["all"]
    for method in SWEPT:
        places = [i for i, name in enumerate(quality) if swept[name][0] == method]
        sparsities = [swept[name][1] for name in quality if swept[name][0] == method]
        if len(places) < 2:
            continue
        found = choices([(one[places], other[places]) for one, other in areas])
        best = int(found.mean[:, 0].argmin())
        at = {"hindsight": (found.mean.min(axis=0), sparsities[best])}
        if PAPER in sparsities:
            at["paper"] = (found.mean[sparsities.index(PAPER)], PAPER)
        at |= {
            name: (getattr(found, name), np.nan) for name in ("in_sample", "held_out")
        }
        for name, (values, sparsity) in at.items():
            here = level._replace(sparsity=sparsity)
            lines.add(here, name, method, values, "log")
        for name, (other, _) in DIFFERENCES.items():
            if other in at:
                values = found.held_out - at[other][0]
                lines.add(
                    level._replace(sparsity=np.nan), name, method, values, "linear"
                )
        for sparsity, mean, share in zip(
            sparsities, found.mean, found.share, strict=True
        ):
            here = level._replace(sparsity=sparsity)
            lines.add(here, "mean", method, mean, "log")
            lines.add(here, "share", method, share, "logit")
    return verified.described(lines.table()).assign(splits=SPLITS)


def finding(table: "pd.DataFrame") -> str:
    """Say whether the choice is worth making, and by how much it flatters itself."""
    of = {name: records(table, statistic=name) for name in DIFFERENCES}
    spans = {
        name: span([1e3 * line["value"] for line in lines], ".2f")
        for name, lines in of.items()
    }
    paper, optimism = of["over_paper"], of["optimism"]
    shares = [pick(part, statistic="share") for part in rows_of(table, "of")]
    tops = [part.loc[part["value"].idxmax()] for part in shares]
    said = f"No choice is held against {PAPER:g}, which is not among the sparsities."
    if paper:
        said = (
            f"A sparsity chosen on half of the people is significantly better than "
            f"{PAPER:g} on the other half in {sum(line['high'] < 0 for line in paper)} "
            f"and worse in {sum(line['low'] > 0 for line in paper)} of "
            f"{told_count(paper)} cases (networks, benchmarks and methods); pAUC × 10³ "
            "differs by "
            f"{spans['over_paper']}."
        )
    return (
        f"{said} Held out, pAUC × 10³ is {spans['optimism']} above that in sample "
        f"(significantly in {sum(line['low'] > 0 for line in optimism)} of "
        f"{told_count(optimism)}) and "
        f"{spans['over_hindsight']} above that of the best in hindsight; the sparsity "
        f"chosen most often ({span([top['sparsity'] for top in tops], 'g')}) is chosen "
        f"in {span([top['value'] for top in tops], '.0%')} of the splits."
    )


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out areas of the choice of one method, differences, and what is chosen."""
    cells = {"quality": WORDS[part["of"].iloc[0]]}
    for name, (heading, form) in CELLS.items():
        lines = records(part, statistic=name)
        cells[heading] = thousandths(lines[0], form) if lines else "–"
    (best,) = pick(part, statistic="hindsight")["sparsity"]
    shares = pick(part, statistic="share").sort_values("value", ascending=False)
    often = ", ".join(
        f"{line['sparsity']:g} ({line['value']:.0%})"
        for line in shares.head(3).to_dict("records")
    )
    count = f" of {len(shares)}"
    return cells | {"best": f"{best:g}", "chosen most often": often + count}


LEGEND = f"""\
{PAUC} In sample: that of the sparsity of least
pAUC on half of the people, on that half; held out: of the same sparsity on the other
half; means over {SPLITS} random splits, each used both ways. Differences, in the same
unit: held out − in sample, above 0 where the choice flatters itself; held out −
{PAPER:g} and held out − best (in hindsight; its sparsity stands beside), below 0 where
choosing is better. Chosen most often: three sparsities, in what part of the splits, and
of how many. In square brackets: 95% intervals over people; a difference is significant
where its interval excludes 0."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw areas over sparsity, the differences, and what is chosen; a row a run."""
    parts = rows_of(table)
    figure.set_figheight(0.5 + 2.1 * len(parts))
    axes = figure.subplots(len(parts), 3, squeeze=False)
    for row, part in zip(axes, parts, strict=True):
        for place, method in enumerate(dict.fromkeys(part["of"])):
            own = pick(part, of=method)
            _area_panel(row[0], own, place)
            _difference_panel(row[1], own, place)
            shares = pick(own, statistic="share")
            x = shares["sparsity"] + 0.036 * (place - 0.5)
            row[2].bar(x, shares["value"], 0.034, color=look(place)["color"])
        row[0].set_title(title(part), loc="left")
        count = f"n = {most(part, 'images')} images, {most(part, 'people')} people"
        row[2].set_title(count, loc="left")
        row[0].set(xlabel="sparsity", ylabel="pAUC × 10³ of a half\n(lower = better)")
        row[1].set_ylabel("difference of pAUC × 10³")
        row[1].axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
        row[1].set_xticks(
            range(len(DIFFERENCES)), [label for _, label in DIFFERENCES.values()]
        )
        row[2].set(
            xlabel="sparsity",
            ylabel="share of the splits\nin which it is chosen",
            ylim=(0, 1),
        )
        row[2].yaxis.set_major_formatter(PercentFormatter(1))
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3)
    return figure


def _area_panel(ax: Axes, own: "pd.DataFrame", place: int) -> None:
    """Draw the mean area at each sparsity, and that of the choice, at the right."""
    name, style = WORDS[own["of"].iloc[0]], look(place)
    mean = pick(own, statistic="mean")
    ax.plot(
        mean["sparsity"], 1e3 * mean["value"], label=f"{name}, every sparsity", **style
    )
    for statistic, face in (("in_sample", "white"), ("held_out", style["color"])):
        line = pick(own, statistic=statistic).iloc[0]
        x = 1.02 + 0.06 * place
        label = f"{name}, chosen, {statistic.replace('_', ' ')}"
        ax.plot(x, 1e3 * line["value"], label=label, ls="", mfc=face, ms=5, **style)
    ticks = {0.2: "0.2", 0.4: "0.4", 0.6: "0.6", 0.8: "0.8", 1.05: "chosen"}
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.set_xlim(0, 1.15)


def _difference_panel(ax: Axes, own: "pd.DataFrame", place: int) -> None:
    for x, statistic in enumerate(DIFFERENCES):
        for line in pick(own, statistic=statistic).to_dict("records"):
            at = x + 0.2 * (place - 0.5)
            ax.vlines(
                at,
                1e3 * line["low"],
                1e3 * line["high"],
                color=look(place)["color"],
                lw=0.9,
            )
            ax.plot(at, 1e3 * line["value"], ls="", **look(place))
    ax.set_xlim(-0.5, len(DIFFERENCES) - 0.5)


ANALYSIS = Analysis(
    "sparsity_choice",
    "Whether a sparsity chosen on some people holds on others",
    (PREFIQS, FIRST_ORDER),
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
    return run_main(ANALYSIS, __doc__, arguments, open_evaluations)


if __name__ == "__main__":
    sys.exit(main())
