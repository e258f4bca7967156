"""What is known of a network before any of its weights is read."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from prefiqs_jax.backbones.functional import Blueprint, Build, blueprint
from prefiqs_jax.backbones.mirror import Shapes
from prefiqs_jax.backbones.preprocessing import ARCFACE_PIXELS, Preprocessing
from prefiqs_jax.weights.mapping import Entry
from prefiqs_jax.weights.prefixes import BESIDE

COUNTERS = (
    (r"(?:.*\.)?(?:num_batches_tracked|n_averaged)", "counter of the training"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
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
        Makes the module of the same network as exporters to ONNX write it, with its
        BatchNorms folded into the convolutions before them; None if none is known.
    embedded
        Name of the file in ``prefiqs_jax/assets`` with the weights that come with this
        package; None if a user must bring a file.
    """

    name: str
    description: str
    build: Build
    entries: Callable[[Shapes], dict[str, Entry]]
    anchors: tuple[str, ...] = ()
    ignorable: tuple[tuple[str, str], ...] = COUNTERS
    preprocessing: Preprocessing = ARCFACE_PIXELS
    embedding_dim: int = 512
    licence: str
    recognises: Callable[[Iterable[str]], bool]
    check: Callable[[Mapping[str, np.ndarray]], None] | None = None
    entries_of_file: Callable[[Shapes, Path], dict[str, Entry]] | None = None
    folded: Build | None = None
    embedded: str | None = None

    @functools.cached_property
    def blueprint(self) -> Blueprint:
        """Shapes of the network, without weights."""
        return blueprint(self.build)

    @functools.cached_property
    def folded_blueprint(self) -> Blueprint | None:
        """Shapes of the network with folded BatchNorms."""
        return None if self.folded is None else blueprint(self.folded)

    def needless(self, entries: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Give `ignorable`, and a pattern of all that is no part of such a network.

        That is what begins otherwise than any of its own tensors, the keys of
        `entries`, whatever their numbers; names of ONNX, which have no parts, are all
        of the network.
        """
        if not self.anchors:
            return self.ignorable
        firsts = {re.escape(name.partition(".")[0]) for name in entries}
        tops = {re.sub(r"\d+", r"\\d+", first) for first in firsts}
        return *self.ignorable, (rf"(?!(?:{'|'.join(sorted(tops))})(?:\.|$)).*", BESIDE)

    def table(self, path: Path) -> dict[str, Entry]:
        """Make the table for one file; InputError if what is beside it contradicts."""
        shapes = self.blueprint.shapes
        if self.entries_of_file is None:
            return self.entries(shapes)
        return self.entries_of_file(shapes, path)


def blocks_of(
    names: Iterable[str], block: str, stages: Iterable[str] = "1234"
) -> tuple[int, ...]:
    """Count the blocks of each stage by the names of all tensors of a file.

    `block` is the pattern of the beginning of a name, with groups for stage and block.

    >>> names = ["conv1.weight", "layer1.0.bn1.bias", "layer1.1.bn1.bias"]
    >>> blocks_of(names, r"layer(.)[.](.+?)[.]")
    (2, 0, 0, 0)
    """
    found = {m.groups() for name in names if (m := re.match(block, name))}
    return tuple(sum(stage == wanted for stage, _ in found) for wanted in stages)
