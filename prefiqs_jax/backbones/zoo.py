"""Networks by name: how to build each, what its pixels are, where its weights fit.

This is the package's one registry: weights need provenance.
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from flax import nnx

from prefiqs_jax.backbones import iresnet, sface
from prefiqs_jax.backbones.functional import Blueprint, blueprint
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry


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
        Of the code and the official weights.
    recognises
        Whether tensor names may be of this architecture, told without building it.
    check
        Raises InputError if constants in the file contradict the preprocessing.
    embedded
        Name of the file in ``prefiqs_jax/assets`` with the weights that come with this
        package; None if a user must bring a file.
    """

    name: str
    description: str
    build: Callable[[nnx.Rngs], nnx.Module]
    entries: Callable[[Mapping[str, tuple[int, ...]]], dict[str, Entry]]
    anchors: tuple[str, ...]
    ignorable: tuple[tuple[str, str], ...]
    preprocessing: Preprocessing
    embedding_dim: int
    licence: str
    recognises: Callable[[Iterable[str]], bool]
    check: Callable[[Mapping[str, np.ndarray]], None] | None = None
    embedded: str | None = None

    @functools.cached_property
    def blueprint(self) -> Blueprint:
        """Shapes of the network, without weights."""
        return blueprint(self.build)


def _iresnet(
    project: str, depth: int, epsilon: float, preprocessing: Preprocessing
) -> Architecture:
    return Architecture(
        name=f"{project.lower()}_iresnet{depth}",
        description=f"iResNet-{depth} as trained by {project}",
        build=lambda rngs: iresnet.IResNet(
            iresnet.BLOCKS[depth], epsilon=epsilon, rngs=rngs
        ),
        entries=lambda shapes: pytorch_entries(shapes, iresnet.FLATTENED),
        anchors=iresnet.ANCHORS,
        ignorable=iresnet.IGNORABLE,
        preprocessing=preprocessing,
        embedding_dim=iresnet.EMBEDDING_DIM,
        licence="code MIT, official weights for non-commercial research",
        recognises=lambda names: iresnet.depth_of(names) == depth,
    )


ARCFACE_PIXELS = Preprocessing()
MAGFACE_PIXELS = Preprocessing(channels="BGR", mean=0.0, std=255.0)
SFACE_PIXELS = Preprocessing(std=128.0)

_ALL = [
    *(_iresnet("ArcFace", depth, 1e-5, ARCFACE_PIXELS) for depth in iresnet.BLOCKS),
    *(_iresnet("MagFace", depth, 2e-5, MAGFACE_PIXELS) for depth in (18, 50, 100)),
    Architecture(
        name="sface",
        description="SFace of OpenCV Zoo: separable convolutions, 128-d",
        build=lambda rngs: sface.SFace(rngs=rngs),
        entries=sface.onnx_entries,
        anchors=(),
        ignorable=sface.IGNORABLE,
        preprocessing=SFACE_PIXELS,
        embedding_dim=sface.EMBEDDING_DIM,
        licence="Apache-2.0",
        recognises=lambda names: "conv_1_conv2d_weight" in names,
        check=sface.check_scaling,
    ),
    Architecture(
        name="demo",
        description="small iResNet, weights included, trained on synthetic people",
        build=lambda rngs: iresnet.IResNet(
            iresnet.DEMO_BLOCKS,
            widths=iresnet.DEMO_WIDTHS,
            embedding_dim=iresnet.DEMO_EMBEDDING_DIM,
            rngs=rngs,
        ),
        entries=lambda shapes: pytorch_entries(shapes, iresnet.DEMO_FLATTENED),
        anchors=iresnet.ANCHORS,
        ignorable=iresnet.IGNORABLE,
        preprocessing=ARCFACE_PIXELS,
        embedding_dim=iresnet.DEMO_EMBEDDING_DIM,
        licence="Apache-2.0",
        recognises=lambda names: iresnet.blocks_of(names) == iresnet.DEMO_BLOCKS,
        embedded="demo.safetensors",
    ),
]
ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in _ALL}


def architecture(name: str) -> Architecture:
    """Look up an architecture; InputError lists the known names."""
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        message = f"unknown backbone {name!r}; {hint}known: {', '.join(ARCHITECTURES)}"
        raise InputError(message)
    return ARCHITECTURES[name]


def describe() -> list[tuple[str, str]]:
    """List (name, one line) of every backbone."""
    return [
        (
            a.name,
            f"{a.description}; {a.preprocessing.describe()}; "
            f"{a.embedding_dim}-d; {a.licence}",
        )
        for a in ARCHITECTURES.values()
    ]
