"""Give masks the network and the calibration images that their scores ask for."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.masks import Context, NamedMask
from prefiqs_jax.trees import params_digest
from prefiqs_jax.types import Params

MOST = 256
"""Calibration images that are used, spread evenly over those there are."""


def calibration_places(count: int) -> list[int]:
    """Choose which of so many images calibrate: all, or 256 of them, evenly spread.

    >>> calibration_places(3), len(calibration_places(1000))
    ([0, 1, 2], 256)
    """
    places = np.linspace(0, count - 1, min(count, MOST)).round().astype(int)
    return np.unique(places).tolist()


def calibrate(
    masks: Sequence[NamedMask],
    backbone: Backbone,
    folder: ImageFolder | None,
    *,
    source: str,
    seed: int = 0,
    earlier: Params | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
    say: Callable[[str], None] = lambda _: None,
) -> list[NamedMask]:
    """Bind masks to a network, and to calibration images where they need data.

    Parameters
    ----------
    masks
        Those that need neither, or are bound already, stay as they are.
    backbone
        The network.
    folder
        Calibration images, of the size that the network expects; None if there are
        none.
    source
        What they are, for the record.
    seed
        Key of random probes.
    earlier
        Weights of an earlier checkpoint, for movement.
    on_bad_image
        ``"fail"`` or ``"skip"``.
    say
        Is told what was given and is of no use.

    Returns
    -------
    list of NamedMask
        In the order given. They share one context, so that each quantity is computed
        once. Those that need data say what it was: ``calibration`` with ``source``,
        ``images`` and ``sha256`` (of names and pixels), and ``earlier_sha256``.

    Raises
    ------
    InputError
        If an image cannot be used, or none is left.
    """
    open_ones = [mask for mask in masks if mask.uses_network and not mask.is_bound]
    needy = [mask for mask in open_ones if mask.needs_data]
    if not needy:
        unused = [
            ("calibration images", source == "given"),
            ("an earlier checkpoint", earlier is not None),
        ]
        for what, is_given in unused:
            if is_given:
                names = ", ".join(mask.name for mask in masks)
                say(f"note: {names} needs no data; {what} given are not used")
    if not open_ones:
        return list(masks)
    data: dict[str, Any] = {}
    pixels = backbone.preprocessing
    images = np.zeros((1, pixels.height, pixels.width, 3), np.float32)
    if needy:
        if folder is None:
            message = (
                f"{needy[0].name} needs calibration images; give some: calibration=…, "
                "or --calibration DIR on the command line"
            )
            raise InputError(message)
        names, images = _load(backbone, folder, on_bad_image)
        digest = hashlib.sha256("\n".join(names).encode())
        digest.update(np.ascontiguousarray(images).data)
        data["calibration"] = {
            "source": source,
            "images": len(names),
            "sha256": digest.hexdigest(),
        }
        if earlier is not None:
            data["earlier_sha256"] = params_digest(earlier)
    context = Context(backbone.apply_fn, images, seed, earlier=earlier)
    return [
        mask.bind(context, data if mask in needy else None)
        if mask in open_ones
        else mask
        for mask in masks
    ]


def _load(
    backbone: Backbone, folder: ImageFolder, on_bad_image: Literal["fail", "skip"]
) -> tuple[list[str], NDArray]:
    pixels = backbone.preprocessing
    batches = load_batches(
        folder.take(calibration_places(len(folder.names))),
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
