"""The record of a quality method, and what its maker is given."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.taps import Taps
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.batches import ImageFunction, Run, in_batches
from prefiqs_jax.execution.precision import Precision
from prefiqs_jax.execution.slices import in_slices, network_intensity
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.scorer import Scorer


@dataclasses.dataclass(frozen=True)
class Passes:
    """How functions of images run through one network.

    Attributes
    ----------
    backbone
        The network.
    batch_size, slice_size
        Images of a batch, and of a part of it that goes through at a time.
    precision
        Precision of matmuls and convolutions.
    """

    backbone: Backbone
    batch_size: int
    slice_size: int | None
    precision: Precision

    @property
    def taps(self) -> Taps:
        """The network, opened up; see :func:`need_taps`."""
        assert self.backbone.taps is not None
        return self.backbone.taps

    def run(self, function: ImageFunction, *, slices: bool = True) -> Run:
        """Compile a function of (params, images, seeds) for any number of images."""
        parts = in_slices(function, self.slice_size if slices else None, axis=-1)
        return in_batches(parts, self.backbone.params, self.batch_size)


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to tell the quality of an image from a face-recognition network.

    Attributes
    ----------
    name
        As it is asked for.
    description
        One line.
    forwards
        Forward passes of the network for each image, S being the number of sparsities;
        a backward pass (of activations) is called so.
    source
        Where it was published.
    make
        Makes the scorer; None for those that share the dense pass, see
        :mod:`prefiqs_jax.quality.make`.
    check
        ``(backbone, precision) -> None``: raises InputError, before any work, if the
        network lacks what the method needs.
    """

    name: str
    description: str
    forwards: str
    source: str
    make: Callable[[Passes, Draws], Scorer] | None = None
    check: Callable[[Backbone, Precision], Any] = lambda *_: None


def need_gradients(method: str, precision: Precision) -> None:
    """Raise InputError in a precision that has no reverse mode."""
    if precision == "fast":
        message = (
            f"{method} takes gradients, which precision fast does not have; use "
            "high or highest, or leave the method out"
        )
        raise InputError(message)


def need_taps(method: str, backbone: Backbone) -> Taps:
    """Give the network opened up; InputError if only the whole is known."""
    if backbone.taps is None:
        message = (
            f"{method} looks inside the network, but of {backbone.name} only the whole "
            "is known; load it under its own name (prefiqs backbones), or leave the "
            "method out"
        )
        raise InputError(message)
    return backbone.taps


def one_image(backbone: Backbone) -> jax.ShapeDtypeStruct:
    """Give shape and type of one preprocessed image, (1, height, width, 3)."""
    pixels = backbone.preprocessing
    return jax.ShapeDtypeStruct((1, pixels.height, pixels.width, 3), np.float32)


def intensity_of(backbone: Backbone) -> float:
    """Count operations a byte, see `network_intensity`."""
    return network_intensity(backbone.apply_fn, backbone.params, one_image(backbone))
