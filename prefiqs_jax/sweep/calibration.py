"""Give masks the network and the calibration images that their scores ask for."""

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.masks import Context, NamedMask
from prefiqs_jax.types import Params

MOST = 256
"""Calibration images that are used, spread evenly over those there are."""


def calibrate(
    masks: Sequence[NamedMask],
    backbone: Backbone,
    folder: ImageFolder,
    *,
    source: str,
    seed: int = 0,
    earlier: Params | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
) -> tuple[list[NamedMask], dict[str, Any] | None]:
    """Bind masks to a network, and to calibration images where they need data.

    Parameters
    ----------
    masks
        Those that need neither stay as they are.
    backbone
        The network.
    folder
        Calibration images, of the size that the network expects.
    source
        What they are, for the record.
    seed
        Key of random probes.
    earlier
        Weights of an earlier checkpoint, for movement.
    on_bad_image
        ``"fail"`` or ``"skip"``.

    Returns
    -------
    masks : list of NamedMask
        In the order given. They share one context, so that each quantity is computed
        once.
    record : dict or None
        ``source``, ``images`` and ``sha256`` (of names and pixels) of the calibration
        images, for run.json; None if no mask needs them.

    Raises
    ------
    InputError
        If an image cannot be used, or none is left.
    """
    if not any(mask.uses_network for mask in masks):
        return list(masks), None
    record = None
    pixels = backbone.preprocessing
    images = np.zeros((1, pixels.height, pixels.width, 3), np.float32)
    if any(mask.needs_data for mask in masks):
        names, images = _load(backbone, folder, on_bad_image)
        digest = hashlib.sha256("\n".join(names).encode())
        digest.update(np.ascontiguousarray(images).data)
        record = {
            "source": source,
            "images": len(names),
            "sha256": digest.hexdigest(),
        }
    context = Context(backbone.apply_fn, images, seed, earlier=earlier)
    bound = [mask.bind(context) if mask.uses_network else mask for mask in masks]
    return bound, record


def _load(
    backbone: Backbone, folder: ImageFolder, on_bad_image: Literal["fail", "skip"]
) -> tuple[list[str], NDArray]:
    count = len(folder.names)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int))
    pixels = backbone.preprocessing
    batches = load_batches(
        folder.take(places.tolist()),
        height=pixels.height,
        width=pixels.width,
        batch_size=32,
        needed_by=backbone.name,
        on_bad_image=on_bad_image,
        transform=backbone.preprocess,
    )
    names: list[str] = []
    parts = []
    with contextlib.closing(batches):
        for batch in batches:
            if batch.images is not None:
                names += batch.names
                parts.append(batch.images)
    if not parts:
        message = f"{folder.root}: no calibration image can be used; give --calibration"
        raise InputError(message)
    return names, np.concatenate(parts)
