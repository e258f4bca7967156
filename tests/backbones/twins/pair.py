"""A PyTorch twin and its Flax port, small, and how their parts correspond."""

import dataclasses
import re
from collections.abc import Callable, Mapping

from flax import nnx
from torch import nn

from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.weights.mapping import Entry

Entries = Callable[[Mapping[str, tuple[int, ...]]], dict[str, Entry]]
SQUARE = (112, 112)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A twin, its port, and how their parts correspond.

    Attributes
    ----------
    twin, port
        Make the PyTorch and the Flax module.
    entries
        The port's table of PyTorch keys.
    size
        Height and width of the images.
    renamed
        Patterns and replacements that turn a PyTorch path into the port's.
    """

    twin: Callable[[], nn.Module]
    port: Callable[[nnx.Rngs], nnx.Module]
    entries: Entries = pytorch_entries
    size: tuple[int, int] = SQUARE
    renamed: tuple[tuple[str, str], ...] = ()

    def port_path(self, path: str) -> str:
        """Translate the path of a PyTorch module."""
        for pattern, replacement in self.renamed:
            path = re.sub(pattern, replacement, path)
        return path
