"""Embeddings and scores of a benchmark's images, computed once and kept on disk.

A network takes every image once for all that is wanted of it. Each batch is a part on
disk, so a killed evaluation loses at most the batch in flight.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.identity import network_settings
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.images import (
    ImageFolder,
    LoadedBatch,
    batch_count,
    load_batches,
)
from prefiqs_jax.quality import Scorer, score_images
from prefiqs_jax.results import read_manifest
from prefiqs_jax.results.parts import read_tables, write_table
from prefiqs_jax.results.provenance import session_record
from prefiqs_jax.results.run_folder import FORMAT
from prefiqs_jax.sensitivity import check_norms, norms, unit
from prefiqs_jax.sweep.assignment import Assignment, assign
from prefiqs_jax.sweep.record import RunRecord
from prefiqs_jax.terminal import progress_bar, say
from prefiqs_jax.types import Params

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE, EMBEDDING = "image", "embedding"


@dataclasses.dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned copy of a network's weights."""

    params: Params
    label: str
    """Mask and sparsity, in words."""
    identity: Mapping[str, Any]
    """What decides it beside the network, by name; values are of JSON."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What one network computes on the images of one benchmark.

    With ``flip``, an embedding is that of the image and of its mirror image, one after
    the other, each of unit norm (CR-FIQA's evaluation, 2 · dim numbers). With
    ``pruned``, the embeddings are those of the pruned copy.
    """

    backbone: Backbone
    images: ImageFolder
    scorers: tuple[Scorer, ...] = ()
    flip: bool = False
    batch_size: int = 32
    precision: Precision = DEFAULT_PRECISION
    on_bad_image: Literal["fail", "skip"] = "fail"
    pruned: Pruned | None = None

    @property
    def title(self) -> str:
        """Name of the network, and how it is pruned."""
        name = self.backbone.name
        return f"{name}, {self.pruned.label}" if self.pruned else name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scores."""
        return tuple(name for scorer in self.scorers for name in scorer.names)

    @property
    def length(self) -> int:
        """Numbers of one stored embedding."""
        return self.backbone.embedding_dim * (2 if self.flip else 1)

    def describe(self) -> dict[str, Any]:
        """List what decides the numbers: other values are another measurement."""
        identities = [each.identity for each in self.scorers]
        if self.pruned is not None:
            identities.append(self.pruned.identity)
        return {
            **network_settings(self.backbone),
            "images_sha256": self.images.names_sha256,
            "image_count": len(self.images.names),
            "scores": list(self.names),
            "embeddings": self.length,
            "flip": self.flip,
            "batch_size": self.batch_size,
            "precision": self.precision,
            **{name: value for each in identities for name, value in each.items()},
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Embeddings and scores of one network, in the order of the benchmark."""

    names: tuple[str, ...]
    """Images; those skipped are absent."""
    embeddings: Float[np.ndarray, "images dim"]
    """Rows of float32, each half of unit norm if flipped."""
    scores: dict[str, Float[np.ndarray, " images"]]
    """Higher = better, by name."""

    def rows_of(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Find the rows of these images."""
        place = {name: row for row, name in enumerate(self.names)}
        return np.array([place[name] for name in names], np.intp)


def measure(
    task: Task,
    out: str | os.PathLike[str],
    *,
    command: list[str] | None = None,
    progress: bool = True,
    embed: Embedder | None = None,
) -> Measured:
    """Embed and score every image, or continue an earlier call.

    ``out`` is new, empty, or has parts of the same task. ``embed`` is the network as it
    was compiled for another task. Raises InputError if an image
    cannot be used, an embedding is zero or not finite, or the folder holds something
    else or cannot be written; finished parts are kept.
    """
    opened = assign(
        task.backbone,
        task.images,
        out,
        task.describe(),
        _schema(task.names, task.length),
        on_bad_image=task.on_bad_image,
        doing="prefiqs edc",
        say=say,
        progress=progress,
    )
    with opened as todo:
        if todo.batches:
            manifest = todo.manifest or {
                "format": FORMAT,
                "settings": todo.settings,
                "weights": provenance_record(task.backbone),
                "skipped": [],
                "sessions": [],
                "finished": None,
            }
            record = RunRecord(
                out,
                manifest,
                session_record(command, task.precision),
                todo.share,
                None if todo.manifest else todo.inventory,
            )
            embed = embed or embedder(task)
            _measure_batches(task, todo, Path(out), record, embed, progress=progress)
            record.end(range(batch_count(task.images, task.batch_size)))
        return read_measured(out)


def embedder(task: Task) -> Embedder:
    """Compile the network of a task."""
    return Embedder(task.backbone.apply_fn, task.batch_size, task.precision)


def read_measured(folder: str | os.PathLike[str]) -> Measured:
    """Read what :func:`measure` wrote into a folder.

    Raises InputError if it holds nothing of it, or a part cannot be used.
    """
    settings = read_manifest(folder)["settings"]
    missing = [name for name in ("scores", "embeddings") if name not in settings]
    if missing:
        message = f"{folder} holds no embeddings; give a folder of prefiqs edc --out"
        raise InputError(message)
    names, length = settings["scores"], settings["embeddings"]
    table = read_tables(folder, _schema(names, length), settings)
    chunks = table.column(EMBEDDING).chunks
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    return Measured(
        tuple(table.column(IMAGE).to_pylist()),
        np.concatenate(flat).reshape(-1, length),
        {name: table.column(name).to_numpy() for name in names},
    )


def _measure_batches(
    task: Task,
    todo: Assignment,
    out: Path,
    record: RunRecord,
    embed: Embedder,
    *,
    progress: bool,
) -> None:
    pixels = task.backbone.preprocessing
    schema = _schema(task.names, task.length)
    loaded = load_batches(
        task.images,
        height=pixels.height,
        width=pixels.width,
        batch_size=task.batch_size,
        needed_by=task.title,
        on_bad_image=task.on_bad_image,
        batches=todo.batches,
        transform=task.backbone.preprocess,
    )
    count, size = len(task.images.names), task.batch_size
    left = sum(min(size, count - i * size) for i in todo.batches)
    bar = progress_bar(count, what=task.title, initial=count - left, progress=progress)
    with bar, contextlib.closing(loaded):
        for each in loaded:
            batch, columns = each.each_with(
                lambda batch: _columns(task, batch, embed), task.on_bad_image
            )
            if batch.skipped:
                record.skip(batch.skipped)
                for name, reason in batch.skipped:
                    say(f"left out {name}: {reason}")
            todo.check_images(task.images, batch.index)
            write_table(out, batch.index, columns, schema, todo.digest)
            bar.update(len(batch.names) + len(batch.skipped))


def _columns(task: Task, batch: LoadedBatch, embed: Embedder) -> dict[str, Any]:
    """Score images, and embed them, and their mirror images if asked for."""
    import pyarrow as pa

    columns: dict[str, Any] = {name: np.zeros(0) for name in task.names}
    rows = [np.zeros((0, task.length), np.float32)]
    if batch.images is not None:
        columns |= score_images(task.scorers, batch.names, batch.images)
        halves = [batch.images]
        if task.flip:
            # A copy: a view with a negative stride would be copied by every consumer.
            halves.append(np.ascontiguousarray(batch.images[:, :, ::-1]))
        params = task.pruned.params if task.pruned else task.backbone.params
        raw = [embed(params, half) for half in halves]
        for each in raw:
            check_norms(batch.names, norms(each))
        rows = [unit(each) for each in raw]
    flat = pa.array(np.concatenate(rows, axis=1).ravel().astype(np.float32))
    columns[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, task.length)
    return {IMAGE: list(batch.names), **columns}


def _schema(names: Sequence[str], length: int) -> "pa.Schema":
    import pyarrow as pa

    scores = [pa.field(name, pa.float64()) for name in names]
    embeddings = pa.field(EMBEDDING, pa.list_(pa.float32(), length))
    return pa.schema([pa.field(IMAGE, pa.string()), *scores, embeddings])
