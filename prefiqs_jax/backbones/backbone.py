"""The record that the rest of the code sees of a face-recognition network."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.aliases import ApplyFn, Params
from prefiqs_jax.backbones.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where weights came from.

    Attributes
    ----------
    file, sha256
        Name and digest of the file that was read.
    source_file, source_sha256
        Of the original, if the file is a conversion; otherwise the same.
    format
        ``onnx``, ``torch`` or ``safetensors``.
    ignored
        Tensors of the file that the network does not use, and why.
    """

    file: str
    sha256: str
    source_file: str
    source_sha256: str
    format: str
    ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A trained network as a pure function.

    Attributes
    ----------
    name
        As ``prefiqs backbones`` lists it.
    params
        Nested dict of float32 arrays: everything trained. Running statistics are not
        among them, so no mask or derivative can touch them.
    apply_fn
        ``(params, images) -> raw embeddings`` of shape (batch, embedding_dim), image by
        image, not normalised. It computes in the types it is given.
    embedding_dim
        Length of an embedding.
    preprocessing
        Size, channel order and scaling of the input.
    provenance
        File and digests.
    """

    name: str
    params: Params
    apply_fn: ApplyFn
    embedding_dim: int
    preprocessing: Preprocessing
    provenance: Provenance

    def preprocess(
        self, rgb: NDArray[np.uint8], dtype: DTypeLike = np.float32
    ) -> NDArray:
        """Turn RGB pictures (batch, height, width, 3), uint8, into the input."""
        return self.preprocessing(rgb, dtype)
