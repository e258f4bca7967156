"""Pixels of a folder, and their embeddings under one preprocessing after another."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone, Preprocessing
from prefiqs_jax.execution.embed import Embedder, image_bar
from prefiqs_jax.images import ImageFolder, load_batches


class Pictures(NamedTuple):
    """Decoded pictures, and who is on them."""

    pixels: NDArray[np.uint8]
    """Shape (images, height, width, 3), RGB."""
    identities: tuple[str | None, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of those left out."""


def load_pictures(
    folder: ImageFolder,
    chosen: NDArray[np.intp],
    backbone: Backbone,
    on_bad_image: Literal["fail", "skip"],
) -> Pictures:
    """Decode the chosen pictures of a folder; errors as ``load_batches``."""
    some = dataclasses.replace(
        folder,
        names=tuple(folder.names[each] for each in chosen),
        identities=tuple(folder.identities[each] for each in chosen),
    )
    batches = load_batches(
        some,
        height=backbone.preprocessing.height,
        width=backbone.preprocessing.width,
        batch_size=64,
        needed_by=backbone.name,
        on_bad_image=on_bad_image,
    )
    with contextlib.closing(batches):
        parts = list(batches)
    return Pictures(
        np.concatenate([part.pixels for part in parts]),
        tuple(who for part in parts for who in part.identities),
        tuple(each for part in parts for each in part.skipped),
    )


def embeddings(
    backbone: Backbone,
    pixels: NDArray[np.uint8],
    candidates: Sequence[Preprocessing],
    *,
    mirrored: bool,
    batch_size: int,
    progress: bool,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Embed pictures, and their mirror images if asked, under each preprocessing.

    Yields
    ------
    raw, mirror
        Raw embeddings (images, dim) of the pictures and of their mirror images.
    """
    # One compiled step for all: only its input changes.
    size = min(batch_size, len(pixels))
    embed = Embedder(backbone.apply_fn, size)
    sides = (pixels, pixels[:, :, ::-1]) if mirrored else (pixels,)
    total = len(candidates) * len(sides) * len(pixels)
    with image_bar(total, progress=progress) as bar:
        for candidate in candidates:
            found = [
                embed(
                    backbone.params, side, preprocess=candidate, on_progress=bar.update
                )
                for side in sides
            ]
            yield found[0], found[1] if mirrored else None
