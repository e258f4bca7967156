"""What the scripts share that compute on faces: faces in; table, figure, finding out.

Each measures a network on faces and keeps as CSV in its folder a line for each image
and sparsity, or the lines of its table. Folders made before are given instead of, or
beside, new faces: then nothing is computed again. What is made of the lines is as of
runs, see :mod:`from_runs`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from from_runs import Analysis, add_output, as_kept, with_groups, write
from in_words import nearest, rows_of
from measured import Measured
from numpy.typing import NDArray
from tqdm import tqdm

from prefiqs_jax import plots
from prefiqs_jax.backbones import Backbone, load_backbone
from prefiqs_jax.benchmarks import degraded_folder
from prefiqs_jax.cli.options import (
    add_degraded,
    add_identity_level,
    add_mask,
    add_quiet,
    add_seed,
    add_weights,
    positive,
    read_prunable,
    read_sparsities,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import keep_programs
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.images import ImageFolder, as_folder, load_batches
from prefiqs_jax.masks import Context, mask_named, pruning_delta
from prefiqs_jax.masks.named import NamedMask
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.sensitivity import norms, open_kinks
from prefiqs_jax.statistics import ROUNDING
from prefiqs_jax.sweep import sweep_arrays
from prefiqs_jax.sweep.calibration import calibration_places
from prefiqs_jax.types import Delta

if TYPE_CHECKING:
    import pandas as pd

BATCH = 10
"""Images that a function sees at once."""
_SPARSITIES = "0.1,0.3,0.5,0.7"


class Faces(NamedTuple):
    """A network, and faces in memory."""

    backbone: Backbone
    names: tuple[str, ...]
    identities: tuple[str | None, ...]
    pixels: NDArray[np.uint8]
    images: NDArray[np.float32]
    """The same, as the network takes them."""


Observe = Callable[[Faces], Callable[[Delta, bool], dict[str, NDArray]]]
"""Gives, for a direction, and whether it is that of the sparsity that is drawn where
only one is, columns of one number for each image."""


class Study(NamedTuple):
    """A question to a network and faces."""

    analysis: Analysis
    """Its table beside is that of the images."""
    extras: tuple[str, ...]
    """Measurements of a sweep, whose columns come first."""
    observe: Observe
    sheet: Callable[[Faces, Delta], plots.Drawing] | None = None
    """A figure that shows faces; not for a page of findings."""


def by_batch(
    run: Callable[[Any], dict[str, Any]], images: NDArray
) -> dict[str, NDArray]:
    """Run a function of images in batches of one size; they are the last axis.

    >>> by_batch(lambda x: {"double": 2 * x}, np.arange(BATCH + 2))["double"][-2:]
    array([20, 22])
    """
    size, parts = min(BATCH, len(images)), []
    for start in range(0, len(images), size):
        own = images[start : start + size]
        found = run(np.resize(own, (size, *own.shape[1:])))
        parts.append({n: np.asarray(v)[..., : len(own)] for n, v in found.items()})
    return {n: np.concatenate([p[n] for p in parts], axis=-1) for n in parts[0]}


def _open_faces(options: argparse.Namespace) -> Faces:
    name = options.backbone or (None if options.weights else "demo")
    backbone = load_backbone(name, options.weights, pixels=options.pixels)
    folder = as_folder(options.images, options.identity_level)
    if options.each is not None:
        folder = _first_of_each(folder, options.each)
    if options.degraded:
        folder, _, _ = degraded_folder(folder, options.degraded, seed=options.seed)
    size = backbone.preprocessing
    batches = load_batches(
        folder, height=size.height, width=size.width, batch_size=len(folder.names)
    )
    (loaded,) = batches
    return Faces(
        backbone,
        folder.names,
        folder.identities,
        loaded.pixels,
        backbone.preprocess(loaded.pixels),
    )


def _first_of_each(folder: ImageFolder, count: int) -> ImageFolder:
    """Take the first images of each person; one of nobody known is a person's only."""
    import pandas as pd

    names = pd.Series(folder.names)
    people = pd.Series(folder.identities, dtype=object).fillna(names)
    return folder.take(names.groupby(people).head(count).index.tolist())


def compute(
    study: Study,
    faces: Faces,
    mask: NamedMask,
    sparsities: Sequence[float],
    run: str,
    progress: bool = True,
) -> "tuple[pd.DataFrame, list[plots.Drawing]]":
    """Measure faces at every sparsity: rows, and the figure that shows faces, if any.

    Columns are run, those of a sweep, norm (of the raw embedding) and the study's.
    """
    import pandas as pd

    backbone, params = faces.backbone, faces.backbone.params
    if mask.uses_network:
        some = faces.images[calibration_places(len(faces.images))]
        mask = mask.bind(Context(backbone.apply_fn, some, int(mask.seed or 0)))
    is_smooth = not open_kinks(backbone.apply_fn, params, faces.images[:2]).names
    rows = sweep_arrays(
        backbone,
        faces.images,
        mask,
        sparsities,
        names=faces.names,
        identities=faces.identities,
        extras=[n for n in study.extras if not (n == "kinks" and is_smooth)],
    )
    rows = rows.loc[:, [name for name in rows if "." not in name]]
    embedder = Embedder(backbone.apply_fn, min(BATCH, len(faces.names)))
    raw_norm = norms(embedder(params, faces.images))
    observe = study.observe(faces)
    found, drawings = [], []
    for sparsity in tqdm(
        sorted(sparsities), desc=run, unit="sparsity", disable=not progress
    ):
        delta = pruning_delta(params, mask(params, sparsity))
        columns = {"image": faces.names, "sparsity": sparsity, "norm": raw_norm}
        is_shown = sparsity == nearest(sparsities)
        found.append(pd.DataFrame({**columns, **observe(delta, is_shown)}))
        if study.sheet is not None and is_shown:
            with plots.theme():
                drawings.append(study.sheet(faces, delta))
    more = pd.concat(found, ignore_index=True)
    rows = rows.merge(more, on=["image", "sparsity"], validate="1:1")
    rows.insert(0, "run", run)
    return rows, drawings


def kept_name(analysis: Analysis) -> str:
    """Name the table that a folder keeps: of its images, or else that of the lines."""
    return f"{analysis.beside_name or analysis.name}.csv"


def _read(folder: Path, analysis: Analysis) -> "pd.DataFrame":
    import pandas as pd

    path = folder / kept_name(analysis)
    if not path.exists():
        message = f"{folder} has no {path.name}; make it with --images and --out"
        raise InputError(message)
    words = ["run", "backbone", "mask", "image", "identity"]
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(words, str))
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read ({error}); make it anew with --images"
        raise InputError(message) from None
    rows = [*words, "sparsity", "norm"] if analysis.beside_name else ["run", "mask"]
    missing = [name for name in (*rows, *analysis.needs) if name not in table]
    if missing or table.empty:
        lacks = f"the column {missing[0]}" if missing else "rows"
        message = f"{path} lacks {lacks}; make it anew with --images"
        raise InputError(message)
    return table


def measured(rows: "pd.DataFrame") -> list[Measured]:
    """Make a record of each run and mask of rows."""
    found = []
    for own in rows_of(rows):
        run, mask = (str(own[name].iloc[0]) for name in ("run", "mask"))
        own = with_groups(own, ROUNDING)
        found.append(Measured(run, mask, own, {}, {}, ROUNDING))
    return found


def ask(
    analysis: Analysis,
    options: argparse.Namespace,
    make: Callable[[], "pd.DataFrame"],
) -> int:
    """Ask of what folders kept, and of what is made of --images; return exit status.

    ``make`` gives what such a folder keeps: rows of images, of which the table is made
    here, or where a question has none beside it (``beside_name``), the lines of its
    table.
    """
    import pandas as pd

    try:
        tables = [_read(run, analysis) for run in options.runs]
        if options.images is not None:
            keep_programs()
            tables.append(as_kept(make()))
        if not tables:
            message = "nothing to look at; give --images, or folders made before"
            raise InputError(message)
        names = [name for table in tables for name in table["run"].unique()]
        if len(set(names)) < len(names):
            message = "two runs have one name; rename a folder"
            raise InputError(message)
        table, beside = pd.concat(tables, ignore_index=True), None
        if analysis.beside_name:
            lines = [analysis.measure(each) for each in measured(table)]
            table, beside = pd.concat(lines, ignore_index=True), table
        said = write(analysis, table, options.out, options.findings, beside)
        print("\n\n".join(said))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


def name_of(options: argparse.Namespace) -> str:
    """Name the run that is made of --images, by its folder."""
    return options.out.resolve().name


def main(study: Study, words: str | None, arguments: Sequence[str] | None) -> int:
    """Write the tables, the figures and the finding; return the exit status."""
    analysis = study.analysis
    options = _parser(analysis, words).parse_args(arguments)

    def make() -> "pd.DataFrame":
        mask = mask_named(
            options.mask, seed=options.seed, prunable=read_prunable(options.prunable)
        )
        sparsities = read_sparsities(options.sparsities)
        name, faces = name_of(options), _open_faces(options)
        rows, drawings = compute(
            study, faces, mask, sparsities, name, not options.quiet
        )
        with plots.theme():
            write_outputs(options.out, dict(plots.figure_files(drawings)))
        return rows

    return ask(analysis, options, make)


def new_parser(
    analysis: Analysis, words: str | None, help_: str = "aligned faces"
) -> argparse.ArgumentParser:
    """Begin a parser: folders made before, faces, and where all goes."""
    parser = argparse.ArgumentParser(description=(words or "").split("\n")[0])
    parser.add_argument(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN",
        help=f"folders made before, whose {kept_name(analysis)} is taken",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help=help_)
    add_output(parser)
    add_quiet(parser)
    return parser


def _parser(analysis: Analysis, words: str | None) -> argparse.ArgumentParser:
    parser = new_parser(analysis, words)
    add_identity_level(parser)
    parser.add_argument(
        "--each",
        type=positive,
        metavar="N",
        help="take the first N images of each person only",
    )
    add_weights(parser)
    add_mask(parser)
    add_degraded(parser)
    add_seed(parser)
    parser.add_argument(
        "--sparsities",
        metavar="LIST",
        default=_SPARSITIES,
        help="fractions of weights to drop (default: %(default)s)",
    )
    return parser
