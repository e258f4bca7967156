"""Show whether optimising the labels of a score by mated similarities helps.

The optimisation of Babnik & Štruc (``prefiqs_jax.fiqa.optimise_labels``) moves the
quality of an image towards what its mated similarities say. An evaluation judges
qualities by mated similarities, too: of the same comparisons, it would praise what the
labels have copied from it. So the images of each person are split into two halves at
random, and only comparisons across the halves are tested, of three labels:

- the score itself;
- "other comparisons": optimised by the mated pairs within each half, none of which is
  tested;
- "tested comparisons too": optimised by all mated pairs.

What the last one gains over the second is no gain on new comparisons. Both know the
images that are tested; labels of new images need a network that learns them, which is
not part of this. Differences are paired, with intervals over people.

    python analysis/label_optimisation.py --images IMAGES --backbone sface \
        --weights FILE --out DIR [--degrade 1] [--scores NAME=FILE] \
        [--direction NAME=lower]
    python analysis/label_optimisation.py RUN … --out DIR
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_evaluations import PAUC, thousandths
from from_evaluations import front as of_evaluation
from from_images import ask, name_of, new_parser
from from_runs import Analysis
from in_words import from_to, pick, rows_of, span
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from measured import in_front

from prefiqs_jax import plots
from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.load import load_backbone
from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.cli.options import natural, positive, read_numbers
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.fiqa import Pairs, all_pairs, edc_replicates
from prefiqs_jax.fiqa.bootstrap.intervals import interval
from prefiqs_jax.fiqa.labels.label_optimisation import optimise_labels
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.quality import make_scorers, score_images
from prefiqs_jax.scorefiles import Direction, check_direction, match, read_scores
from prefiqs_jax.statistics import spearman
from prefiqs_jax.terminal import progress_bar, say

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 32
_MASK = "global/magnitude"
"""That of PreFIQs."""
BASE, HELD_OUT, SEEN = "as scored", "other comparisons", "tested comparisons too"
SEVERITY = "known severity"


class Faces(NamedTuple):
    """Images of known people, as a network sees them."""

    folder: ImageFolder
    embeddings: Float[np.ndarray, "images dim"]
    quality: Mapping[str, Float[np.ndarray, " images"]]
    """Scores by name, higher = better."""


def split_halves(identities: Sequence[str], seed: int) -> Int[np.ndarray, " images"]:
    """Put the images of each person into two halves at random.

    Returns
    -------
    ndarray
        Shape (images,): 0 or 1; of an odd number of images, 0 has one more.
    """
    rng = np.random.default_rng(seed)
    half = np.zeros(len(identities), np.intp)
    people = np.array(identities)
    for who in sorted(set(identities)):
        own = rng.permutation(np.flatnonzero(people == who))
        half[own[(len(own) + 1) // 2 :]] = 1
    return half


def across(
    embeddings: Float[np.ndarray, "images dim"],
    identities: Sequence[str],
    half: Int[np.ndarray, " images"],
) -> Pairs:
    """Compare each image of one half with each of the other."""
    pairs = all_pairs(embeddings, identities)
    kept = half[pairs.first] != half[pairs.second]
    return Pairs(*(column[kept] for column in pairs))


def optimised(
    faces: Faces,
    half: Int[np.ndarray, " images"],
    steps: Sequence[float],
    options: Mapping[str, int],
) -> dict[tuple[str, str, float], Float[np.ndarray, " images"]]:
    """Make all labels, by (score, kind of labels, step); a score itself has step 0."""
    people = faces.folder.identities
    groups = {
        HELD_OUT: list(zip(people, half.tolist(), strict=True)),
        SEEN: list(people),
    }
    made = {}
    for score, quality in faces.quality.items():
        made[score, BASE, 0.0] = quality
        for kind, group in groups.items():
            for step in steps:
                made[score, kind, step] = optimise_labels(
                    quality, faces.embeddings, group, step=step, **options
                )
    return made


def study(
    faces: Faces,
    steps: Sequence[float],
    *,
    fmr: float = 1e-3,
    max_discard: float = 0.3,
    replicates: int = 500,
    seed: int = 0,
    draws: int = 10,
    clusters: int = 20,
) -> "pd.DataFrame":
    """Compare optimised labels with the scores that they were made of.

    Returns
    -------
    pandas.DataFrame
        One row for each score, kind of labels and step: pauc (area of the protocol
        "fiqat" on the comparisons across the halves, up to ``max_discard``, not
        normalised), its interval pauc_low to pauc_high; difference to the area of the
        score itself, below 0 where the labels are better, low and high; differs, if the
        interval excludes 0; rank_correlation of the labels with the score, over images;
        and fmr, fnmr (before any discard), max_discard, the numbers of images,
        identities, mated and non_mated comparisons.
    """
    import pandas as pd

    people = [str(who) for who in faces.folder.identities]
    half = split_halves(people, seed)
    pairs = across(faces.embeddings, people, half)
    labels = optimised(
        faces, half, steps, {"seed": seed, "draws": draws, "clusters": clusters}
    )
    (found,) = edc_replicates(
        pairs,
        people,
        {"\n".join(map(str, key)): values for key, values in labels.items()},
        fmrs=(fmr,),
        max_discards=(max_discard,),
        replicates=replicates,
        seed=seed,
    )
    area = dict(zip(labels, found.pauc[:, :, 0], strict=True))
    whole = np.ones((1, len(people)))
    rows = []
    for (score, kind, step), values in labels.items():
        own = area[score, kind, step]
        change = interval(
            own - area[score, BASE, 0.0], 0.95, found.method, "difference"
        )
        rank = spearman(values, labels[score, BASE, 0.0], whole)[0]
        ends = interval(own, 0.95, found.method, "area")
        differs = bool(change.low > 0 or change.high < 0)
        rows.append((score, kind, step, *ends, *change, differs, rank))
    columns = ["score", "labels", "step", "pauc", "pauc_low", "pauc_high"]
    columns += ["difference", "low", "high", "differs", "rank_correlation"]
    return pd.DataFrame(rows, columns=columns).assign(
        fmr=fmr,
        fnmr=found.fnmr[0, 0, 0],
        max_discard=max_discard,
        images=len(people),
        identities=found.unit_count,
        mated=int(pairs.mated.sum()),
        non_mated=int((~pairs.mated).sum()),
    )


def look(
    backbone: Backbone, folder: ImageFolder, methods: Sequence[str], *, progress: bool
) -> Faces:
    """Embed and score every image."""
    pixels = backbone.preprocessing
    scorers = make_scorers(backbone, methods, batch_size=_BATCH) if methods else ()
    embed = Embedder(backbone.apply_fn, _BATCH)
    raw: list[np.ndarray] = []
    parts: dict[str, list[np.ndarray]] = {n: [] for s in scorers for n in s.names}
    batches = load_batches(
        folder,
        height=pixels.height,
        width=pixels.width,
        batch_size=_BATCH,
        needed_by=backbone.name,
        transform=backbone.preprocess,
    )
    bar = progress_bar(len(folder.names), progress=progress)
    with bar, contextlib.closing(batches):
        for batch in batches:
            if batch.images is None:
                continue
            raw.append(embed(backbone.params, batch.images))
            found = score_images(scorers, batch.names, batch.images)
            for name, values in found.items():
                parts[name].append(values)
            bar.update(len(batch.names))
    quality = {name: np.concatenate(values) for name, values in parts.items()}
    return Faces(folder, np.concatenate(raw), quality)


def find_pictures(
    root: Path, worst: float, seed: int
) -> tuple[ImageFolder, Float[np.ndarray, " images"] | None]:
    """List the images, or one degraded copy of each, and the known severities."""
    benchmark = read_benchmark(root, "folder")
    if worst == 0:
        return benchmark.images, None
    both = with_degraded(benchmark, seed=seed, worst=worst)
    copies = range(1, len(both.images.names), 2)
    assert both.severity is not None  # with degraded copies, it is known
    return both.images.take(copies), both.severity[1::2]


def finding(table: "pd.DataFrame") -> str:
    """Say what optimised labels gain on comparisons that they know, or do not.

    A case is a score, a step and a run.
    """
    changed = table.loc[table["labels"] != BASE]
    held_out, seen = (pick(changed, labels=kind) for kind in (HELD_OUT, SEEN))
    better, worse = (len(lines) for lines in _significant(held_out))
    seen_better, seen_worse = (len(lines) for lines in _significant(seen))
    steps = _significant(held_out)[0]["step"].tolist()
    at = f", at steps of {span(steps, 'g')}," if steps else ""
    ours = held_out.loc[held_out["score"].str.startswith("prefiqs")]
    own = f" (of PreFIQs {len(_significant(ours)[0])} of {len(ours)})"
    keys = ["run", "mask", "score", "step"]
    gaps = seen.set_index(keys)["difference"] - held_out.set_index(keys)["difference"]
    return (
        "Judged by comparisons that are new to them, optimised labels are "
        f"significantly better than the score itself in {better} of {len(held_out)} "
        f"cases{own * bool(len(ours))}{at} and worse in {worse}; pAUC × 10³ "
        f"changes by {_span(held_out['difference'])}. Optimised by the tested "
        f"comparisons too, they seem better in {seen_better} and worse in {seen_worse}"
        f", by {_span(seen['difference'])}; what differs between the two, "
        f"{_span(gaps)}, is no gain on new comparisons."
    )


def _span(values: Any) -> str:
    return span(1e3 * values.to_numpy(), "+.1f")


def _significant(lines: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Give the lines where labels are significantly better than the score, and worse.

    >>> import pandas as pd
    >>> lines = pd.DataFrame({"low": [-2.0, -1.0], "high": [-1.0, 1.0]})
    >>> [len(each) for each in _significant(lines)]
    [1, 0]
    """
    return lines.loc[lines["high"] < 0], lines.loc[lines["low"] > 0]


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which run, network and images a row is, and how errors are counted."""
    errors = (part["fnmr"] * part["mated"]).round().astype(int)
    named = {"identities": "people", "fnmr": "fnmr_start"}
    return of_evaluation(part.rename(columns=named).assign(errors=errors))


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out the area of a score, what labels change, and at which steps."""
    (itself,) = pick(part, labels=BASE).to_dict("records")
    ends = {end: itself[f"pauc_{end}"] for end in ("low", "high")}
    cells = {
        "score": str(itself["score"]),
        BASE: thousandths(ends | {"value": itself["pauc"]}, ".1f"),
    }
    for kind in (HELD_OUT, SEEN):
        lines = pick(part, labels=kind).sort_values("step")
        changes = [
            {"sparsity": line["step"], "value": 1e3 * line["difference"]}
            | {end: 1e3 * line[end] for end in ("low", "high")}
            for line in lines.to_dict("records")
        ]
        cells[kind] = from_to(changes, "+.1f")
        words = ("better", "worse")
        found = [
            f"{word}: {', '.join(f'{step:g}' for step in own['step'])}"
            for word, own in zip(words, _significant(lines), strict=True)
            if len(own)
        ]
        cells[f"{kind}: significant at"] = "; ".join(found) or "–"
    held_out = pick(part, labels=HELD_OUT).sort_values("step")
    ranks = [f"{rank:.3f}" for rank in held_out["rank_correlation"].iloc[[0, -1]]]
    return cells | {"Spearman": " → ".join(dict.fromkeys(ranks))}


LEGEND = f"""\
A case is a score, a step and a run; random order and the known severity of the
degradation are scores to compare with.
{PAUC} Here of the comparisons
across two halves of each person's images, of which mated ones are discarded. As scored:
by the score itself; after it: by labels that were optimised by other comparisons, those
within the halves, or by the tested ones too, minus that; below 0, labels are better.
a → b: at the smallest and at the largest step. Significant at: the steps. Spearman: of
the labels by other comparisons with the score. In square brackets: 95% intervals over
people, each for itself: of differences that are none, one in 20 is significant (its
interval excludes 0)."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw what each score's labels change over the step; of several runs, each."""
    changed = table.loc[table["labels"] != BASE]
    if len(rows_of(table)) > 1:
        changed = changed.assign(score=changed["score"] + "\n" + changed["run"])
    return plots.optimisation_panels(figure, changed)


ANALYSIS = Analysis(
    "label_optimisation",
    "Whether optimising labels makes a better quality",
    ("score", "labels", "step", "difference", "mated"),
    lambda lines: lines,  # never called: they are kept
    finding,
    row,
    LEGEND,
    draw,
    by=("score",),
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, the figure and the finding; return the exit status."""
    options = _parser().parse_args(arguments)
    return ask(ANALYSIS, options, lambda: _made(options))


def _made(options: argparse.Namespace) -> "pd.DataFrame":
    """Score and optimise the images that are given."""
    steps = read_numbers(options.steps, "step", "(0, 1]")
    for step in steps:
        if not 0 < step <= 1:
            message = f"step {step:g} is not in (0, 1]; give them as 0.001,0.01,0.1"
            raise InputError(message)
    files = _pairs_of(options.scores, "--scores NAME=FILE")
    directions = _directions(options.direction, files)
    folder, severity = find_pictures(options.images, options.degrade, options.seed)
    quality = {}
    for name, file in files.items():
        scores = read_scores(file)
        direction = directions.get(name) or scores.direction or "higher"
        quality[name], notes = match(scores, folder.names, direction=direction)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        if severity is not None and (
            warning := check_direction(
                quality[name],
                -severity,
                name=name,
                reference_name=SEVERITY,
                direction=direction,
            )
        ):
            print(f"warning: {warning}", file=sys.stderr)
    backbone = load_backbone(options.backbone, options.weights)
    methods = [word for word in options.methods.split(",") if word]
    faces = look(backbone, folder, methods, progress=not options.quiet)
    quality = {**faces.quality, **quality}
    if severity is not None:
        quality[SEVERITY] = -severity
    table = study(
        faces._replace(quality=quality),
        steps,
        fmr=options.fmr,
        max_discard=options.max_discard,
        replicates=options.replicates,
        seed=options.seed,
        draws=options.draws,
        clusters=options.clusters,
    )
    if not table["fnmr"].to_numpy().any():
        say("note: no comparison fails, so no quality helps; see --degrade and --fmr")
    return in_front(table, name_of(options), backbone.name, _MASK)


def _directions(words: Sequence[str], files: Mapping[str, str]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name, word in _pairs_of(words, "--direction NAME=lower").items():
        if word not in ("higher", "lower") or name not in files:
            message = (
                f"--direction {name}={word}: give higher or lower for a name of "
                "--scores"
            )
            raise InputError(message)
        found[name] = word
    return found


def _pairs_of(words: Sequence[str], form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value) or name in found:
            message = f"{word!r} is not of the form {form}, or its name comes twice"
            raise InputError(message)
        found[name] = value
    return found


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(ANALYSIS, __doc__)
    parser.add_argument("--backbone", metavar="NAME")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument(
        "--methods", metavar="LIST", default="prefiqs,norm,random", help="%(default)s"
    )
    parser.add_argument("--scores", metavar="NAME=FILE", action="append", default=[])
    parser.add_argument(
        "--direction", metavar="NAME=lower", action="append", default=[]
    )
    parser.add_argument(
        "--degrade",
        type=float,
        metavar="WORST",
        default=0.0,
        help="take a degraded copy of each image, of a severity up to that",
    )
    parser.add_argument(
        "--steps", metavar="LIST", default="0.001,0.003,0.01,0.03,0.1,0.3"
    )
    parser.add_argument("--draws", type=positive, metavar="N", default=10)
    parser.add_argument("--clusters", type=positive, metavar="N", default=20)
    parser.add_argument("--fmr", type=float, default=1e-3)
    parser.add_argument("--max-discard", type=float, default=0.3)
    parser.add_argument("--replicates", type=positive, metavar="N", default=500)
    parser.add_argument("--seed", type=natural, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
