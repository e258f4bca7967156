"""Whether the first order averaged over directions makes a better quality.

    python analysis/expected_drift.py --images FACES --out DIR --backbone sface \
        --weights FILE
    python analysis/expected_drift.py RUN … --out DIR

FACES is a folder of aligned faces with identities, to which a degraded copy of every
image is added; all pairs are verified. Compared are the areas under
error-versus-discard curves, at equal cost in forward passes: expected-drift of one
direction with the first order at one sparsity (3 forwards each), that of 8 directions
with PreFIQs averaged over 16 sparsities and the first order over 8 (17 each), and with
what is cheaper. Differences are paired; intervals leave out one person at a time, and
hold together for all lines of a benchmark and reference (max-t).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from from_evaluations import PAUC, thousandths
from from_evaluations import front as of_evaluation
from from_images import ask, new_parser
from from_runs import Analysis
from in_words import pick, span
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone, load_backbone
from prefiqs_jax.benchmarks import Benchmark, read_benchmark, with_degraded
from prefiqs_jax.evaluation import EvaluationOptions, ScoreSource, Verifier, evaluate
from prefiqs_jax.files import make_folder
from prefiqs_jax.images import load_batches
from prefiqs_jax.masks import mask_named
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.quality import Draws, make_scorers
from prefiqs_jax.quality.scorer import score_images

if TYPE_CHECKING:
    import pandas as pd

SPARSITY = 0.4
FEW = tuple(np.linspace(0.1, 0.8, 8).round(3).tolist())
MANY = tuple(np.linspace(0.05, 0.8, 16).round(3).tolist())
RATES = (0.01, 0.001)
BATCH = 28
ONE, EIGHT = "expected-drift, 1 direction", "expected-drift, 8 directions"
FORWARDS = {
    "norm": "1",
    "PreFIQs": "2",
    "first order": "3",
    ONE: "3",
    "grafiqs/image": "1, and 1 in reverse",
    "grafiqs/block1": "1, and 1 in reverse",
    "grafiqs/block2": "1, and 1 in reverse",
    "grafiqs/block3": "1, and 1 in reverse",
    "grafiqs/block4": "1, and 1 in reverse",
    "PreFIQs, mean of 16 sparsities": "17",
    "first order, mean of 8 sparsities": "17",
    EIGHT: "17",
}
"""Qualities, and what they take."""
EQUAL = (
    (EIGHT, "PreFIQs, mean of 16 sparsities"),
    (EIGHT, "first order, mean of 8 sparsities"),
    (ONE, "first order"),
)
"""Of expected-drift, and another quality, which take as many forwards."""
CHEAPER = ("PreFIQs", "first order", "norm")


def qualities(backbone: Backbone, benchmark: Benchmark) -> dict[str, NDArray]:
    """Compute all qualities of the images, higher = better."""

    def scorers(methods: Sequence[str], directions: int = 8) -> Any:
        return make_scorers(
            backbone,
            methods,
            batch_size=BATCH,
            sparsities=sorted({SPARSITY, *FEW, *MANY}),
            draws=Draws(expected_drift_directions=directions),
        )

    methods = ["norm", "prefiqs", "first-order", "expected-drift"]
    if backbone.taps is not None:
        methods.append("grafiqs")
    every, one = scorers(methods), scorers(["expected-drift"], 1)
    parts: dict[str, list[NDArray]] = {}
    pixels = backbone.preprocessing
    for batch in load_batches(
        benchmark.images,
        height=pixels.height,
        width=pixels.width,
        batch_size=BATCH,
        needed_by=backbone.name,
        transform=backbone.preprocess,
    ):
        assert batch.images is not None  # a bad image ends it
        found = score_images(every, batch.names, batch.images)
        alone = score_images(one, batch.names, batch.images)
        found |= {ONE: alone["expected-drift"]}
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    found = {name: np.concatenate(each) for name, each in parts.items()}

    def mean(method: str, sparsities: Sequence[float]) -> NDArray:
        return np.mean([found[f"{method}/{s:g}"] for s in sparsities], axis=0)

    found |= {
        "PreFIQs": found[f"prefiqs/{SPARSITY:g}"],
        "first order": found[f"first-order/{SPARSITY:g}"],
        EIGHT: found["expected-drift"],
        "PreFIQs, mean of 16 sparsities": mean("prefiqs", MANY),
        "first order, mean of 8 sparsities": mean("first-order", FEW),
    }
    return {name: found[name] for name in FORWARDS if name in found}


def measure(
    backbone: Backbone, benchmark: Benchmark, folder: Path, rates: Sequence[float]
) -> "pd.DataFrame":
    """Compare them on one benchmark, with either number of directions as reference."""
    import pandas as pd

    make_folder(folder)
    found = qualities(backbone, benchmark)
    names = benchmark.images.names
    table = pd.DataFrame({"file": names, **found})
    write_outputs(folder, {"qualities.csv": table.to_csv(index=False)})
    sources = [
        ScoreSource(folder / "qualities.csv", name, name, "higher") for name in found
    ]
    tables = []
    for reference in (ONE, EIGHT):
        evaluated = folder / f"against_{reference.split()[1]}"
        evaluate(
            [Verifier(backbone, scores=False)],
            [benchmark],
            evaluated,
            sources=sources,
            mask=mask_named("global/magnitude"),
            options=EvaluationOptions(
                fmr=tuple(rates), reference=reference, progress=False
            ),
        )
        tables.append(pd.read_csv(evaluated / "tables" / "areas.csv"))
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "run", folder.resolve().name)
    table.insert(1, "mask", "global/magnitude")
    table["forwards"] = [FORWARDS.get(name, "") for name in table["quality"]]
    people = len({who for who in benchmark.images.identities if who is not None})
    return table.assign(images=len(names), people=people)


def finding(table: "pd.DataFrame") -> str:
    """Say what averaging over directions gains, at equal cost and in all."""
    others = table.loc[~table["is_reference"] & (table["quality"] != "severity")]
    others = others.loc[others["difference_low"].notna()]
    pairs = zip(others["reference"], others["quality"], strict=True)
    equal = others.loc[[pair in EQUAL for pair in pairs]]
    (ahead, behind), (better, worse) = map(_significant, (equal, others))
    return (
        "At equal cost in forwards expected-drift is significantly better than PreFIQs "
        f"or the first order in {len(ahead)} and worse in {len(behind)} of "
        f"{len(equal)} paired comparisons; their pAUC × 10³ minus its own is "
        f"{span(1e3 * equal['difference'], '+.1f')}. Of all {len(others)} comparisons, "
        "also of one direction and with cheaper qualities, it is better in "
        f"{len(better)}{_named(better)} and worse in {len(worse)}{_named(worse)}."
    )


def _significant(lines: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Give the lines where expected-drift is significantly better, and worse."""
    sure = lines.loc[lines["differs"].astype(bool)]
    return sure.loc[sure["difference"] > 0], sure.loc[sure["difference"] < 0]


def _named(lines: "pd.DataFrame") -> str:
    names = ", ".join(dict.fromkeys(lines["quality"]))
    return f" ({names})" if names else ""


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which run, network and images a row is, and how errors are counted."""
    return of_evaluation(part.assign(backbone=part["verifier"]))


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out the area of expected-drift, and those of others minus it."""
    (itself,) = pick(part, reference=EIGHT, quality=EIGHT).to_dict("records")
    cells = {EIGHT: thousandths(itself | {"value": itself["pauc"]}, ".1f")}
    for reference, name in (*EQUAL, *((EIGHT, name) for name in CHEAPER)):
        (line,) = pick(part, reference=reference, quality=name).to_dict("records")
        ends = {end: line[f"difference_{end}"] for end in ("low", "high")}
        against = "" if reference == EIGHT else ", beside 1 direction"
        heading = f"{name} ({FORWARDS[name]}){against}"
        cells[heading] = thousandths(ends | {"value": line["difference"]}, "+.1f")
    others = part.loc[~part["is_reference"] & (part["quality"] != "severity")]
    heads = "better than", "worse than"
    for words, lines in zip(heads, _significant(others), strict=True):
        cells[words] = ", ".join(dict.fromkeys(lines["quality"])) or "–"
    return cells


LEGEND = f"""\
{PAUC} In the first column: by {EIGHT}
(17 forwards); after it: by other qualities, minus that, or minus that of one direction
(3 forwards) where it says so; above 0, expected-drift is better. In round brackets:
forwards through the network. Better, worse than: qualities from which expected-drift of
1 or 8 directions differs significantly. In square brackets: 95% intervals over people;
a difference is significant where its interval, which holds together with all of its
reference, excludes 0."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw each quality's area minus that of expected-drift, of 8 directions."""
    shown = pick(table, reference=EIGHT)
    shown = shown.loc[shown["quality"] != "severity"]
    runs = list(dict.fromkeys(shown["run"]))
    rates = sorted(set(shown["fmr"]), reverse=True)
    figure.set_figheight(0.9 + 2.6 * len(runs))
    axes = figure.subplots(len(runs), len(rates), squeeze=False, sharey="row")
    for row, run in zip(axes, runs, strict=True):
        for ax, rate in zip(row, rates, strict=True):
            lines = pick(shown, run=run, fmr=rate)
            lines = lines.loc[~lines["is_reference"]].iloc[::-1]
            places = np.arange(len(lines))
            value, low, high = (
                1e3 * lines[name].to_numpy(np.float64)
                for name in ("difference", "difference_low", "difference_high")
            )
            ax.hlines(places, low, high, color="0.35", lw=0.9)
            ax.plot(value, places, "o", ms=3.5, color="C0")
            ax.axvline(0, color="0.5", lw=0.7, ls="--", zorder=0)
            ax.set_yticks(
                places, [f"{q} ({FORWARDS[q]})" for q in lines["quality"].tolist()]
            )
            first = lines.iloc[0]
            ax.set_title(f"{run}, FMR {rate:g}, {first['people']} people", loc="left")
            ax.set_xlabel("pAUC × 10³ above that of\nexpected-drift, 8 directions")
    return figure


ANALYSIS = Analysis(
    "expected_drift",
    "Whether an average over directions is a better quality",
    ("verifier", "fmr", "reference", "quality", "pauc", "difference"),
    lambda lines: lines,  # never called: they are kept
    finding,
    row,
    LEGEND,
    draw,
    by=("fmr",),
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    parser = new_parser(ANALYSIS, __doc__)
    parser.add_argument("--backbone", metavar="NAME", default="demo")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument("--fmr", type=float, nargs="+", default=list(RATES))
    options = parser.parse_args(arguments)

    def made() -> "pd.DataFrame":
        backbone = load_backbone(options.backbone, options.weights)
        benchmark = with_degraded(read_benchmark(options.images, "folder"))
        return measure(backbone, benchmark, options.out, options.fmr)

    return ask(ANALYSIS, options, made)


if __name__ == "__main__":
    sys.exit(main())
