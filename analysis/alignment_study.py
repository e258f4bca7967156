"""Measure how errors of the alignment move quality, drift and the order of the images.

Every face is cut from its source image once as it should be and once with each error:
shifted, turned, or of the wrong size. The crops go through the sweep at all sparsities.
Beside the table, ``alignment_rows.parquet`` has a line per image, error and sparsity.

    python analysis/alignment_study.py --images SOURCE --landmarks images.csv \
        --out DIR --backbone sface --weights FILE
    python analysis/alignment_study.py RUN … --out DIR

With ``--aligned``, SOURCE holds faces that are aligned already, and the errors are cut
from those: then black borders come in where the aligned image ends, which a real
error of alignment does not have.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_images import ask, name_of, new_parser
from from_runs import Analysis
from in_words import asked, from_to, pick, records, rows_of, span, title, told_count
from jaxtyping import UInt8
from matplotlib.figure import Figure
from measured import in_front
from tqdm import tqdm

from prefiqs_jax import plots
from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.load import load_backbone
from prefiqs_jax.cli.options import natural, read_numbers, read_sparsities
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.images import BadImage, decode, read_folder
from prefiqs_jax.images.align import (
    ALIGNED,
    Misalignment,
    Task,
    Template,
    describe_unusable,
    misaligned_crops,
    misalignments,
    plan_crops,
    read_landmarks,
    template_named,
)
from prefiqs_jax.masks.named import NamedMask, mask_named
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.alignment import ERRORS
from prefiqs_jax.sensitivity import unit
from prefiqs_jax.statistics import (
    FEWEST_FOR_INTERVAL,
    caution,
    deletion_groups,
    jackknife_interval,
    spearman,
    without_each,
)
from prefiqs_jax.sweep import measure_images

if TYPE_CHECKING:
    import pandas as pd

# Crops measured at a time: 150 kB each, once preprocessed.
_CROPS = 512
_BATCH = 32
_CORRELATIONS = ("rank_agreement", "first_order_agreement")
_WITHOUT_PRUNING = ("mean_similarity", "edge_fraction")
_CHANGE, _RANK, _SIMILAR = "standardised_change", "rank_agreement", "mean_similarity"
_TEMPLATE_OF = {(112, 112): "arcface", (112, 96): "narrow"}


class Source(NamedTuple):
    """The faces of a study."""

    root: Path
    tasks: Sequence[Task]
    template: Template


def measure(
    backbone: Backbone,
    mask: NamedMask,
    sparsities: Sequence[float],
    crops: UInt8[np.ndarray, "faces errors height width 3"],
    tasks: Sequence[Task],
    errors: Sequence[Misalignment],
) -> "pd.DataFrame":
    """Measure every crop of some faces at every sparsity.

    Returns
    -------
    pandas.DataFrame
        Columns image, identity, kind, amount, sparsity, first_order, drift, quality and
        similarity: the cosine between the embeddings, not pruned, of this crop and of
        the aligned one.
    """
    images = np.concatenate([backbone.preprocess(of_face) for of_face in crops])
    names = [f"{task.name} {e.kind} {e.amount:g}" for task in tasks for e in errors]
    rows = measure_images(
        backbone.apply_fn,
        backbone.params,
        mask,
        sparsities,
        images,
        names=names,
        backbone=backbone.name,
    )
    raw = Embedder(backbone.apply_fn, _BATCH)(backbone.params, images)
    rows_of_face = unit(raw).reshape(len(tasks), len(errors), -1)
    similar = np.einsum("fed,fd->fe", rows_of_face, rows_of_face[:, 0]).ravel()
    keys = [(task, error) for task in tasks for error in errors for _ in sparsities]
    rows["image"] = [task.name for task, _ in keys]
    rows["identity"] = [task.identity for task, _ in keys]
    rows["kind"] = [error.kind for _, error in keys]
    rows["amount"] = [error.amount for _, error in keys]
    rows["similarity"] = similar.repeat(len(sparsities))
    columns = ["image", "identity", "kind", "amount", "sparsity"]
    return rows.reindex(
        columns=[*columns, "first_order", "drift", "quality", "similarity"]
    )


def summarise(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Summarise each error at each sparsity over the images, with intervals.

    Parameters
    ----------
    rows
        As :func:`study` returns them.

    Returns
    -------
    pandas.DataFrame
        Columns kind, amount, sparsity, statistic, value, low, high (95 %; jackknife
        over the people, or the images where an identity is unknown; NaN for fewer than
        3), images, clusters, resampled_by and caution. The aligned images are amount 0
        (scale: 1) of every kind. The statistics, over images:

        - ``mean_quality``, ``mean_drift``, ``mean_first_order``;
        - ``quality_change``, the mean difference to the same image aligned;
        - ``standardised_change``, that difference over the standard deviation of the
          quality of all aligned images;
        - ``lower_fraction``, of images of lower quality than the same image aligned;
        - ``rank_agreement``, Spearman's ρ of the quality with that of the aligned ones;
        - ``first_order_agreement``, Spearman's ρ of first order and drift here;
        - ``mean_similarity`` and ``edge_fraction``, of images whose crop reaches over
          the edge of the image: the same at every sparsity, so theirs is NaN.
    """
    import pandas as pd

    weights, clusters, resampled_by = _leaving_out(rows)
    whole = np.ones((1, weights.shape[1]))
    kinds = [kind for kind in rows["kind"].unique() if kind != "aligned"]
    lines = []
    for sparsity in sorted(set(rows["sparsity"])):
        tables = _by_error(rows.loc[rows["sparsity"] == sparsity])
        aligned = tables[ALIGNED]
        for kind in kinds:
            none = Misalignment(kind, 1.0 if kind == "scale" else 0.0)
            for key in sorted({none, *(each for each in tables if each.kind == kind)}):
                table = tables.get(key, aligned)
                drawn = _statistics(table, aligned, weights)
                values = _statistics(table, aligned, whole)
                for name, value in values.items():
                    ends = jackknife_interval(
                        value.item(),
                        drawn[name],
                        scale="fisher" if name in _CORRELATIONS else "linear",
                    )
                    ends = ends if clusters >= FEWEST_FOR_INTERVAL else (np.nan, np.nan)
                    lines.append(
                        (*key, sparsity, name, value.item(), *map(float, ends))
                    )
    columns = ["kind", "amount", "sparsity", "statistic", "value", "low", "high"]
    summary = pd.DataFrame(lines, columns=columns)
    of_crops = summary["statistic"].isin(_WITHOUT_PRUNING)
    summary.loc[of_crops, "sparsity"] = np.nan
    summary = summary.drop_duplicates(columns[:4], ignore_index=True)
    words = caution(clusters, resampled_by)
    why = "no interval: without one of the clusters it is 1, -1 or not defined"
    is_open = summary["low"].isna() & (clusters >= FEWEST_FOR_INTERVAL)
    return summary.assign(
        images=weights.shape[1],
        clusters=clusters,
        resampled_by=resampled_by,
        caution=[
            "; ".join([*words, why] if without else words)
            for without in is_open.tolist()
        ],
    )


def _statistics(
    table: "pd.DataFrame", aligned: "pd.DataFrame", weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute every statistic of each replicate, arrays of shape (replicates,)."""
    quality, before, drift, first_order = (
        frame[name].to_numpy(np.float64)
        for frame, name in (
            (table, "quality"),
            (aligned, "quality"),
            (table, "drift"),
            (table, "first_order"),
        )
    )
    total = weights.sum(axis=1)

    def mean(values: np.ndarray) -> np.ndarray:
        return weights @ values / total

    change = mean(quality - before)
    # Of all images, not of each replicate: a yardstick, and never 0 by chance.
    spread = before.std() or np.nan
    return {
        "mean_quality": mean(quality),
        "mean_drift": mean(drift),
        "mean_first_order": mean(first_order),
        "quality_change": change,
        "standardised_change": change / spread,
        "lower_fraction": mean((quality < before).astype(np.float64)),
        "rank_agreement": spearman(quality, before, weights),
        "first_order_agreement": spearman(first_order, drift, weights),
        "mean_similarity": mean(table["similarity"].to_numpy(np.float64)),
        "edge_fraction": mean(table["over_the_edge"].to_numpy(np.float64)),
    }


def _by_error(level: "pd.DataFrame") -> "dict[Misalignment, pd.DataFrame]":
    """Split the rows of one sparsity, images in the order of their names."""
    ordered = level.sort_values(["image"])
    kind, amount = (ordered[name].to_numpy() for name in ("kind", "amount"))
    errors = sorted({Misalignment(k, a) for k, a in zip(kind, amount, strict=True)})
    return {e: ordered.loc[(kind == e.kind) & (amount == e.amount)] for e in errors}


def _leaving_out(rows: "pd.DataFrame") -> tuple[np.ndarray, int, str]:
    """Make weights (people, images), images in the order of their names."""
    import pandas as pd

    images = rows.drop_duplicates("image").sort_values("image")
    clusters, _ = pd.factorize(images["identity"], sort=True)
    resampled_by = "identity"
    if (clusters < 0).any():
        clusters, resampled_by = np.arange(len(images)), "image"
    groups = deletion_groups(clusters)
    weights = without_each(groups, 0, int(groups.max()) + 1)
    return weights, int(clusters.max()) + 1, resampled_by


def study(
    backbone: Backbone,
    mask: NamedMask,
    sparsities: Sequence[float],
    source: Source,
    errors: Sequence[Misalignment],
    *,
    progress: bool = True,
) -> "pd.DataFrame":
    """Cut and measure every face with every error, some faces at a time.

    Returns
    -------
    pandas.DataFrame
        As :func:`measure` returns it, and the column over_the_edge: whether the crop
        reaches over the edge of its image and so has black in it.
    """
    import pandas as pd

    tables = []
    tasks = source.tasks
    # Parts of one size: nothing compiles twice.
    parts = -(-len(tasks) * len(errors) // _CROPS)
    at_once = -(-len(tasks) // parts)
    with tqdm(total=len(tasks), unit="face", disable=not progress) as bar:
        for start in range(0, len(tasks), at_once):
            some = tasks[start : start + at_once]
            crops, over = [], []
            for task in some:
                pixels = decode(source.root / task.name).pixels
                try:
                    cut, edges = misaligned_crops(
                        pixels, task.landmarks, source.template, errors
                    )
                except InputError as error:
                    raise BadImage(task.name, f"cannot be used: {error}") from None
                crops.append(cut)
                over.append(edges)
            rows = measure(backbone, mask, sparsities, np.stack(crops), some, errors)
            rows["over_the_edge"] = np.ravel(over).repeat(len(sparsities))
            tables.append(rows)
            bar.update(len(some))
    return pd.concat(tables, ignore_index=True)


def find_source(
    root: Path, landmarks: Path | None, aligned: bool, template: str
) -> Source:
    """List the faces and their landmarks."""
    folder = read_folder(root, identities_matter=False)
    table = None if aligned else read_landmarks(landmarks or root / "images.csv")
    tasks, unusable = plan_crops(folder, table)
    if table is not None and unusable:
        raise InputError(describe_unusable(table, unusable))
    return Source(root, tasks, template_named(template))


def finding(table: "pd.DataFrame") -> str:
    """Say whether badly aligned images are of lower quality, and in another order."""
    sides = list(_sides(table))
    change = [x for side in sides for x in records(side, statistic=_CHANGE)]
    lower = sum(line["high"] < 0 for line in change)
    higher = sum(line["low"] > 0 for line in change)
    at = [_told_at(sides, _RANK, place) for place in (0, -1)]
    similar = [_told_at(sides, _SIMILAR, place) for place in (0, -1)]
    return (
        "Errors of alignment lower the mean quality significantly in "
        f"{lower} and raise it in {higher} of {told_count(change)} cases (errors, "
        f"sparsities and runs), by {span([x['value'] for x in change], '+.2f')} "
        "standard deviations of the aligned images' quality. The order of the images "
        f"agrees with the aligned ones' to Spearman {at[0]} at the smallest error of "
        f"each kind and {at[1]} at the largest, where the unpruned network's cosine to "
        f"the aligned image is {similar[0]} and {similar[1]}."
    )


def _sides(table: "pd.DataFrame") -> "Iterator[pd.DataFrame]":
    """Give the errors of each run, kind and direction, from the smallest on."""
    for part in rows_of(table, "kind"):
        off = _off(part)
        for side in (off[off < 0], off[off > 0]):
            if len(side):
                yield part.loc[side.sort_values(key=abs).index]


def _off(part: "pd.DataFrame") -> Any:
    """Measure how far from aligned one kind's errors are; of scales, the logarithm."""
    is_scale = part["kind"].iloc[0] == "scale"
    return np.log(part["amount"]) if is_scale else part["amount"]


def _told_at(sides: Sequence["pd.DataFrame"], statistic: str, place: int) -> str:
    """Write a statistic's span at the smallest or the largest error of each side."""
    return span(
        [
            line["value"]
            for side in sides
            for line in records(
                side, statistic=statistic, amount=side["amount"].iloc[place]
            )
        ],
        ".2f",
    )


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which run, network and images a row is, and at which sparsities."""
    return asked(part.assign(stratum="all", people=part["clusters"]))


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out what the largest errors of a kind, to either side, do."""
    ends = part["amount"].min(), part["amount"].max()
    change = pick(part.loc[_off(part) != 0], statistic=_CHANGE)
    lower, higher = (change["high"] < 0).sum(), (change["low"] > 0).sum()
    cells = {
        "error": ERRORS[str(part["kind"].iloc[0])],
        "from, to": ", ".join(f"{end:g}" for end in ends),
        "lower, higher": f"{lower}, {higher} of {told_count(records(change))}",
    }
    for statistic, heading in (
        (_CHANGE, "change of quality"),
        (_RANK, "Spearman"),
        (_SIMILAR, "cosine"),
    ):
        for end, words in zip(ends, ("from", "to"), strict=True):
            lines = records(part, statistic=statistic, amount=end)
            cells[f"{heading}, {words}"] = from_to(lines, ".2f")
    return cells


LEGEND = """\
Every face is cut once as it should be and once with each error, of the sizes from – to;
0, and a scale of 1, are aligned. Lower, higher: in how many cases (errors and
sparsities) the mean quality (PreFIQs) differs significantly from that of the aligned
images, as its interval excludes 0. Change of quality: mean difference to the same image
aligned, in standard deviations of the aligned images; Spearman: of the quality with
that of the aligned images, 1 is the same order; cosine: between the unpruned network's
embeddings of both, mean; at the largest errors of either side. a → b: at the lowest and
at the highest sparsity. In square brackets: 95% intervals over people, each for itself:
of changes that are none, one in 20 is significant."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw quality, order and cosine over the size of the errors, run below run."""
    parts = rows_of(table)
    figure.set_figheight(6 * len(parts))
    below = figure.subfigures(len(parts), squeeze=False)[:, 0]
    for own, part in zip(below, parts, strict=True):
        plots.alignment_panels(own, part)
        (legend,) = own.legends
        words = legend.get_title()
        words.set_text(f"{title(part)}\n{words.get_text()}")
        words.set_multialignment("center")
    return figure


ANALYSIS = Analysis(
    "alignment_study",
    "What errors of alignment do to the quality",
    ("kind", "amount", "sparsity", "statistic", "value", "clusters"),
    lambda lines: lines,  # never called: they are kept
    finding,
    row,
    LEGEND,
    draw,
    by=("kind",),
    front=front,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the figure and the finding; return the exit status."""
    options = _parser().parse_args(arguments)
    return ask(ANALYSIS, options, lambda: _made(options))


def _made(options: argparse.Namespace) -> "pd.DataFrame":
    """Cut, measure and summarise the faces that are given."""
    sizes = (
        read_numbers(getattr(options, name), name.rstrip("s"), "(0, inf)")
        for name in ("shifts", "rotations", "scales")
    )
    errors = misalignments(*sizes)
    sparsities = read_sparsities(options.sparsities)
    backbone = load_backbone(options.backbone, options.weights)
    pixels = backbone.preprocessing
    template = _TEMPLATE_OF.get((pixels.height, pixels.width))
    if template is None:
        message = (
            f"{backbone.name} takes {pixels.width}×{pixels.height} pixels "
            "(width×height), for which there is no template"
        )
        raise InputError(message)
    source = find_source(options.images, options.landmarks, options.aligned, template)
    mask = mask_named(options.mask, seed=options.seed)
    rows = study(backbone, mask, sparsities, source, errors, progress=not options.quiet)
    write_outputs(options.out, {"alignment_rows.parquet": rows.to_parquet(index=False)})
    summary = summarise(rows)
    return in_front(summary, name_of(options), backbone.name, mask.name)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(ANALYSIS, __doc__, "source images, or aligned faces")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--landmarks", type=Path, metavar="FILE", help="default: DIR/images.csv"
    )
    where.add_argument("--aligned", action="store_true", help="DIR holds aligned faces")
    parser.add_argument("--backbone", metavar="NAME")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument("--mask", metavar="NAME", default="global/magnitude")
    lists = {
        "sparsities": "0.1,0.2,0.4,0.6,0.8",
        "shifts": "1,2,4,6,8,12",
        "rotations": "2,5,10,15,20,30",
        "scales": "0.7,0.8,0.9,0.95,1.05,1.1,1.2,1.4",
    }
    for name, default in lists.items():
        parser.add_argument(
            f"--{name}", metavar="LIST", default=default, help="default: %(default)s"
        )
    parser.add_argument("--seed", type=natural, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
