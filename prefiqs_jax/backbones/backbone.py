"""The record that the rest of the code sees of a face-recognition network."""

import dataclasses
import html
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.backbones.taps import Taps
from prefiqs_jax.sensitivity import activations
from prefiqs_jax.types import ActivationsFn, ApplyFn, Params
from prefiqs_jax.weights.prefixes import BESIDE
from prefiqs_jax.weights.wording import listed, shown


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where weights came from.

    Attributes
    ----------
    file, sha256
        Name and digest of the file that was read.
    source_file, source_sha256
        Name and digest of the original, if the file is a conversion; else the same.
    format
        ``onnx``, ``torch``, ``mxnet`` or ``safetensors``; ``function`` of a function.
    ignored
        Tensors of the file that the network does not use, and why.
    folded
        Whether an exporter folded BatchNorms into the convolutions before them; None
        where that cannot be known, as of a graph whose convolutions have biases that
        may be their own. To prune such a network is not to prune the one that was
        trained: the weights' magnitudes are others.
    epsilons
        Path of each normalisation to its epsilon, where the file states them (ONNX:
        float32 numbers); empty where they are the architecture's.
    prefix
        What was taken off the names of the file's tensors.
    hub
        Repository, file and revision, if the file was fetched.
    weights_sha256
        Digest of the numbers as they were loaded, see
        :func:`prefiqs_jax.backbones.identity.weights_digest`; empty if unknown.
    program_sha256
        Digest of the traced program of a function from outside this package, see
        :func:`prefiqs_jax.backbones.identity.program_digest`; empty for others.
    """

    file: str
    sha256: str
    source_file: str
    source_sha256: str
    format: str
    ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folded: bool | None = False
    epsilons: Mapping[str, float] = dataclasses.field(default_factory=dict)
    prefix: str = ""
    hub: str | None = None
    weights_sha256: str = ""
    program_sha256: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the file was read, one line each."""
        beside = [name for name, why in self.ignored.items() if why == BESIDE]
        notes = []
        if self.prefix:
            notes.append(f"{self.file}: without the prefix {self.prefix} of its names")
        if beside:
            notes.append(f"{self.file}: ignored {listed(beside)}: {BESIDE}")
        return tuple(notes)


@dataclasses.dataclass(frozen=True, repr=False)
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
    quality_head
        ``raw embeddings -> quality`` (batch,) of CR-FIQA's own head (higher = better,
        unbounded); None for networks without one.
    taps
        The network opened up, for scores that look inside; None where only the whole
        is known, as of a graph in an ONNX file.
    own_activations_fn
        ``activations_fn`` of who made the network; None = read off its program.
    """

    name: str
    params: Params
    apply_fn: ApplyFn
    embedding_dim: int
    preprocessing: Preprocessing
    provenance: Provenance
    quality_head: Callable[[Array], Array] | None = None
    taps: Taps | None = None
    own_activations_fn: ActivationsFn | None = None

    def __repr__(self) -> str:
        """Say in a line which network it is."""
        count = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))
        return (
            f"<Backbone {self.name}: {self.preprocessing.describe()} to "
            f"{self.embedding_dim} values, {count:,} weights from "
            f"{shown(self.provenance.file)}>"
        )

    def _repr_html_(self) -> str:
        """Say the same in a notebook."""
        return f"<code>{html.escape(repr(self))}</code>"

    @property
    def activations_fn(self) -> ActivationsFn:
        """Give the inputs of activations, ``(params, images) -> {name: (batch, …)}``.

        Unless the network came with a function for it, they are read off its program,
        see :func:`prefiqs_jax.sensitivity.activations`: InputError, when called, if it
        holds what is not smooth and has no two sides.
        """
        return self.own_activations_fn or activations(self.apply_fn)

    def preprocess(self, rgb: Any, dtype: DTypeLike = np.float32) -> NDArray:
        """Turn RGB images (batch, height, width, 3), uint8, into the input.

        One image, PIL images and lists of images are taken as well.
        """
        return self.preprocessing(rgb, dtype)
