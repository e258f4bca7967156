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
not part of this. Differences are paired, with bootstrap intervals by identity. Writes
``label_optimisation.csv`` and the figure ``label_optimisation.png`` and ``.pdf``.

    python analysis/label_optimisation.py IMAGES --backbone sface --weights FILE \
        --out DIR [--degrade 1] [--scores NAME=FILE] [--direction NAME=lower]
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.load import load_backbone
from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.cli.options import natural, positive, read_numbers
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import keep_programs
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.fiqa import Pairs, all_pairs, edc_replicates
from prefiqs_jax.fiqa.bootstrap.intervals import interval
from prefiqs_jax.fiqa.labels.label_optimisation import optimise_labels
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.quality import make_scorers, score_images
from prefiqs_jax.scorefiles import Direction, check_direction, match, read_scores
from prefiqs_jax.statistics import spearman
from prefiqs_jax.terminal import progress_bar

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 32
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


def write(table: "pd.DataFrame", out: Path) -> None:
    """Write the table and the figure."""
    with plots.theme():
        figure = Figure(figsize=(plots.PAGE_IN, 3))
        plots.optimisation_panels(figure, table.loc[table["labels"] != BASE])
        title = "What optimised labels change"
        files = plots.figure_files([plots.Drawing("label_optimisation", figure, title)])
    write_outputs(out, {"label_optimisation.csv": table.to_csv(index=False), **files})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table and the figure; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
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
    keep_programs()
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
    write(table, options.out)
    print("\n".join(_lines(table)))
    print(options.out)


def _lines(table: "pd.DataFrame") -> list[str]:
    """Say of each kind of labels what it changes."""
    first = table.iloc[0]
    lines = [
        f"{first['images']} images of {first['identities']} people; across the halves "
        f"{first['mated']} mated and {first['non_mated']} non-mated comparisons; "
        f"pAUC × 10³ up to {first['max_discard']:g} at FMR {first['fmr']:g}, where "
        f"FNMR is {first['fnmr']:.4f}"
    ]
    if first["fnmr"] == 0:
        lines.append(
            "note: no comparison fails, so no quality can help; see --degrade and --fmr"
        )
    for row in table.to_dict("records"):
        what = f"{row['score']}: {row['pauc'] * 1e3:.3f} as scored"
        if row["labels"] != BASE:
            change, low, high = (row[n] * 1e3 for n in ("difference", "low", "high"))
            what = (
                f"  step {row['step']:g}, {row['labels']}: {row['pauc'] * 1e3:.3f}, "
                f"change {change:+.3f} ({low:+.3f} to {high:+.3f})"
                f"{'' if row['differs'] else ', interval includes 0'}"
            )
        lines.append(what)
    return lines


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("images", type=Path, metavar="IMAGES", help="aligned faces")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
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
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


if __name__ == "__main__":
    sys.exit(main())
