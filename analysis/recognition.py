"""Ask whether recognition survives pruning, of the networks that are pruned.

For each network, benchmark and mask, at each sparsity: the equal error rate (EER), the
false non-match rate (FNMR) with its interval and its paired difference from that of the
unpruned network, and the accuracy by LFW's protocol where the benchmark is a list of
pairs.

    prefiqs edc … --verify-pruned --mask MASK --out EVALUATION
    python analysis/recognition.py EVALUATION … --out DIR
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_evaluations import PAPER
from from_runs import Analysis
from from_runs import main as run_main
from in_figures import whiskers
from in_words import listed, pick, records, rows_of, span, told
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.theme import look

if TYPE_CHECKING:
    import pandas as pd

TABLE = "tables/pruned_verification.csv"
_RATE = ["fnmr", "low", "high"]
_CHANGE = ["difference", "difference_low", "difference_high"]
_KEYS = ["benchmark", "verifier", "mask", "sparsity", "fmr"]
_KEYS += ["mated_count", "non_mated_count"]
_ACCURACY = ["accuracy", "accuracy_low", "accuracy_high"]
_COLUMNS = [*_KEYS, *_ACCURACY, "eer", *_RATE, *_CHANGE]


class Verified(NamedTuple):
    """One network, pruned by one mask, on one benchmark."""

    run: str
    """Name of the evaluation and of the benchmark."""
    rows: "pd.DataFrame"
    """As the evaluation's table has them, at its highest rate of false matches."""


def open_pruned(paths: Sequence[Path], needs: Sequence[str] = ()) -> list[Verified]:
    """Read evaluations.

    Raises InputError if one has no pruned networks, or two measure the same.
    """
    import pandas as pd

    del needs
    found: dict[Any, Verified] = {}
    for path in paths:
        table = path / TABLE
        if not table.exists():
            message = f"{path} has no {TABLE}; run prefiqs edc --verify-pruned"
            raise InputError(message)
        try:
            rows = pd.read_csv(
                table, dtype={"benchmark": str, "verifier": str, "mask": str}
            ).loc[:, _COLUMNS]
        except (OSError, ValueError, KeyError) as error:
            message = f"{table} cannot be read ({error}); run prefiqs edc again"
            raise InputError(message) from None
        for key, own in rows.groupby(_COLUMNS[:3], sort=False):
            if key in found:
                benchmark, network, mask = key
                message = (
                    f"two evaluations have {network} pruned by {mask} on {benchmark}; "
                    "give one of them"
                )
                raise InputError(message)
            name = f"{path.resolve().name}/{key[0]}"
            found[key] = Verified(name, pick(own, fmr=own["fmr"].max()))
    return list(found.values())


def measure(verified: Verified) -> "pd.DataFrame":
    """Lay errors out, a line each; sparsity 0 is the unpruned network.

    Statistics: ``fnmr`` and ``difference`` at the rate ``fmr``, and ``accuracy``, with
    the intervals of the evaluation; ``eer``, which has none.
    """
    import pandas as pd

    parts = []
    for name, columns in (
        ("fnmr", _RATE),
        ("difference", _CHANGE),
        ("eer", ["eer"]),
        ("accuracy", _ACCURACY),
    ):
        ends = dict(zip(columns, ("value", "low", "high"), strict=False))
        own = verified.rows.loc[:, [*_KEYS, *columns]].rename(columns=ends)
        parts.append(own.dropna(subset=["value"]).assign(statistic=name))
    both = pd.concat(parts, ignore_index=True).rename(columns={"verifier": "backbone"})
    both = both.assign(run=verified.run)
    columns = ["run", "backbone", "mask", "benchmark", "sparsity", "statistic", "value"]
    columns += ["low", "high", "fmr", "mated_count", "non_mated_count"]
    return both.loc[:, columns]


def worse_from(part: "pd.DataFrame") -> float:
    """Give the lowest sparsity at which errors are significantly more; inf if none."""
    lines = records(part, statistic="difference")
    return min((x["sparsity"] for x in lines if x["low"] > 0), default=np.inf)


def finding(table: "pd.DataFrame") -> str:
    """Say from which sparsity on recognition suffers, with each mask, and how much."""
    cases = rows_of(table, "backbone")
    rates = span(table["fmr"].to_numpy().tolist(), "g")
    from_here, left = [], []
    for mask in dict.fromkeys(table["mask"]):
        own = [part for part in cases if part["mask"].iloc[0] == mask]
        starts = [worse_from(part) for part in own]
        known = [start for start in starts if np.isfinite(start)]
        never = len(starts) - len(known)
        said = f"{span(known, 'g')} with {mask}" if known else f"none with {mask}"
        if never:
            said += f" (no interval tells in {never} of {len(own)} cases)"
        from_here.append(said)
        left.append(f"{_errors(own, PAPER)} with {mask}")
    return (
        f"The rate of false non-matches at FMR {rates} is first significantly above "
        f"the unpruned network's at a sparsity of {listed(from_here)}. At "
        f"{PAPER:g}, the paper's sparsity, the equal error rate is {listed(left)}, "
        f"beside {_errors(cases, 0.0)} unpruned."
    )


def _errors(cases: Sequence["pd.DataFrame"], sparsity: float) -> str:
    """Give the range of the equal error rates at a sparsity."""
    lines = [records(part, statistic="eer", sparsity=sparsity) for part in cases]
    return span([line["value"] for each in lines for line in each], ".1%")


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which network, benchmark and mask a row is."""
    first = part.iloc[0]
    return {
        "network": first["backbone"],
        "benchmark": first["benchmark"],
        "comparisons": f"{first['mated_count']:,} mated, "
        f"{first['non_mated_count']:,} non-mated",
        "mask": first["mask"],
    }


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out errors of the unpruned network, at the paper's sparsity and the last."""
    last = float(np.max(part["sparsity"].to_numpy()))
    start = worse_from(part)
    cells = {"more errors from": f"{start:g}" if np.isfinite(start) else "–"}
    for sparsity, name in ((0.0, "unpruned"), (PAPER, f"{PAPER:g}"), (last, "last")):
        at = pick(part, sparsity=sparsity)
        for statistic, words in (("eer", "EER"), ("fnmr", "FNMR")):
            lines = records(at, statistic=statistic)
            form = ".1%"
            cells[f"{words}, {name}"] = (
                told(lines[0], form).removesuffix(" (no interval)") if lines else "–"
            )
        if sparsity:
            lines = records(at, statistic="difference")
            cells[f"difference, {name}"] = told(lines[0], "+.1%") if lines else "–"
    accuracy = [
        told(line, ".1%").removesuffix(" (no interval)") + f" ({line['sparsity']:g})"
        for line in records(part, statistic="accuracy")
        if line["sparsity"] in (0.0, PAPER, last)
    ]
    return cells | {"accuracy": ", ".join(accuracy) or "–"}


LEGEND = f"""\
FNMR: rate of false non-matches at the evaluation's highest rate of false matches, no
image discarded; EER: equal error rate; lower is better. Difference: FNMR minus the
unpruned network's, paired. More errors from: the lowest sparsity at which that is
significantly above 0, – where no interval tells. At sparsity {PAPER:g}, the paper's,
and at the last, the highest that was measured. Accuracy: that of LFW's protocol, of
benchmarks that are lists of pairs (sparsity). In brackets: 95% intervals over
people, each by itself, where errors are enough; of accuracy over folds, where nobody is
in two of them."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw both error rates over sparsity: a row a network and benchmark."""
    parts = [own for _, own in table.groupby(["backbone", "benchmark"], sort=False)]
    figure.set_figheight(0.5 + 2.0 * len(parts))
    axes = figure.subplots(len(parts), 2, squeeze=False, sharex=True, sharey=True)
    for panels, part in zip(axes, parts, strict=True):
        first = part.iloc[0]
        panels[0].set_title(f"{first['backbone']}, {first['benchmark']}", loc="left")
        for ax, statistic in zip(panels, ("eer", "fnmr"), strict=True):
            _panel(ax, part, statistic)
        panels[0].set_ylabel("equal error rate")
        panels[1].set_ylabel(f"FNMR at FMR {first['fmr']:g}")
    for ax in axes[-1]:
        ax.set_xlabel("sparsity (0: unpruned)")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=4, handlelength=1.6)
    return figure


def _panel(ax: Axes, part: "pd.DataFrame", statistic: str) -> None:
    for place, mask in enumerate(dict.fromkeys(part["mask"])):
        lines = pick(part, statistic=statistic, mask=mask)
        whiskers(ax, lines, 0, 1, label=mask, **look(place))
    ax.set(ylim=(0, 1), xlim=(-0.03, 1))


ANALYSIS = Analysis(
    "recognition",
    "Whether recognition survives pruning",
    (),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    by=("backbone",),
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    return run_main(ANALYSIS, __doc__, arguments, open_pruned)


if __name__ == "__main__":
    sys.exit(main())
