"""What is known of a network before any of its weights is read."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from flax import nnx

from prefiqs_jax.backbones.functional import Blueprint, blueprint
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.weights.mapping import Entry

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Folded:
    """The same network as exporters to ONNX write it, without most BatchNorms.

    Attributes
    ----------
    build
        Makes the Flax module.
    order
        Paths of its leaves in the order in which the graph uses them: such files have
        lost the names of the layers.
    flattened
        Dense layers behind a flatten, with the (channels, height, width) flattened.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    order: tuple[str, ...]
    flattened: Mapping[str, tuple[int, int, int]]

    @functools.cached_property
    def blueprint(self) -> Blueprint:
        """Shapes of the network, without weights."""
        return blueprint(self.build)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One entry of the zoo.

    Attributes
    ----------
    name, description
        Key and a line about it.
    build
        Makes the Flax module.
    entries
        From the shapes of the blueprint to the table of source tensors.
    anchors
        Keys that tell the prefix of a PyTorch checkpoint; empty for ONNX names.
    ignorable
        Patterns of source tensors that are not needed, and why.
    preprocessing, embedding_dim
        Input and output.
    licence
        Licence of the code and of the official weights.
    recognises
        Whether tensor names may be of this architecture, told without building it.
    check
        Raises InputError if constants in the file contradict the preprocessing.
    entries_of_file
        Instead of `entries`, where the table depends on what is beside the file.
    folded
        How the network looks in an ONNX file whose exporter folded its BatchNorms.
    embedded
        Name of the file in ``prefiqs_jax/assets`` with the weights that come with this
        package; None if a user must bring a file.
    """

    name: str
    description: str
    build: Callable[[nnx.Rngs], nnx.Module]
    entries: Callable[[Shapes], dict[str, Entry]]
    anchors: tuple[str, ...]
    ignorable: tuple[tuple[str, str], ...]
    preprocessing: Preprocessing
    embedding_dim: int
    licence: str
    recognises: Callable[[Iterable[str]], bool]
    check: Callable[[Mapping[str, np.ndarray]], None] | None = None
    entries_of_file: Callable[[Shapes, Path], dict[str, Entry]] | None = None
    folded: Folded | None = None
    embedded: str | None = None

    @functools.cached_property
    def blueprint(self) -> Blueprint:
        """Shapes of the network, without weights."""
        return blueprint(self.build)

    def table(self, path: Path) -> dict[str, Entry]:
        """Make the table for one file; InputError if what is beside it contradicts."""
        shapes = self.blueprint.shapes
        if self.entries_of_file is None:
            return self.entries(shapes)
        return self.entries_of_file(shapes, path)
