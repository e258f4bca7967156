"""ArcFace's LResNet-IR of MXNet: the names of its weights for the module `IResNet`.

The graph is that of iResNet with an epsilon of 2e-5 everywhere. ``NAME-0000.params``
and what was exported from it to ONNX have the same names. MXNet ignores the
scale of the last BatchNorm (``fix_gamma``) and takes it as 1.

References
----------
Deng et al. (2019). ArcFace. CVPR. arXiv:1801.07698 (LResNet100E-IR).
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from prefiqs_jax.backbones.networks.iresnet import BLOCKS, FINAL_SIZE
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import transforms
from prefiqs_jax.weights.mapping import Entry
from prefiqs_jax.weights.mxnet_symbol import batch_norms, symbol_beside
from prefiqs_jax.weights.wording import AGAIN

EPSILON = 2e-5
# MXNet knows no wrappers that would put a prefix before the names.
ANCHORS: tuple[str, ...] = ()
IGNORABLE = (
    (r"scalar_op[12]", "scaling of the pixels, done by the preprocessing"),
    (r"fc7_(weight|bias)", "margin head, used in training only"),
)
# Layers whose scale MXNet takes as 1, where no symbol file says so.
FIXED = ("fc1",)
TOP = {
    "conv1": "conv0",
    "bn1": "bn0",
    "prelu": "relu0",
    "bn2": "bn1",
    "fc": "pre_fc1",
    "features": "fc1",
}
IN_UNIT = {"prelu": "relu1", "downsample/0": "conv1sc", "downsample/1": "sc"}
LEAVES = {
    "kernel": "weight",
    "scale": "gamma",
    "slope": "gamma",
    "mean": "moving_mean",
    "var": "moving_var",
}


def depth_of(names: Iterable[str]) -> int | None:
    """Tell the depth from MXNet's names; None if it is no LResNet-IR.

    >>> depth_of(f"stage{s}_unit{u}_bn1_beta" for s in (1, 2, 3, 4) for u in (1, 2))
    18
    """
    found = {
        match.groups()
        for name in names
        if (match := re.match(r"stage(\d)_unit(\d+)_bn1_", name))
    }
    counts = tuple(sum(stage == str(s) for stage, _ in found) for s in range(1, 5))
    return next((depth for depth, blocks in BLOCKS.items() if blocks == counts), None)


def mxnet_entries(
    shapes: Mapping[str, tuple[int, ...]], fixed: Collection[str] = FIXED
) -> dict[str, Entry]:
    """Make the table from MXNet's names to the paths of an `IResNet`.

    Parameters
    ----------
    shapes
        Path to shape, as :attr:`Blueprint.shapes` gives them.
    fixed
        BatchNorms, by MXNet's name, whose scale becomes 1 whatever the file holds.

    Returns
    -------
    dict
        MXNet's name, without ``arg:`` and ``aux:``, to :class:`Entry`.
    """
    entries = {}
    for path, shape in shapes.items():
        scope, _, leaf = path.partition("/")[2].rpartition("/")
        layer = _layer(scope)
        if leaf == "bias":
            name = f"{layer}_{'bias' if scope == 'fc' else 'beta'}"
        else:
            name = f"{layer}_{LEAVES[leaf]}"
        if leaf == "kernel" and len(shape) == 4:
            layout = (shape[3], shape[2], *shape[:2])
            entry = Entry(path, layout, transforms.conv_kernel)
        elif leaf == "kernel":
            channels = shape[0] // FINAL_SIZE**2
            flatten = transforms.flatten_kernel(channels, FINAL_SIZE, FINAL_SIZE)
            entry = Entry(path, shape[::-1], flatten)
        elif leaf == "scale" and layer in fixed:
            entry = Entry(path, shape, np.ones_like)
        else:
            entry = Entry(path, shape)
        entries[name] = entry
    return entries


def entries_of_file(
    shapes: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, Entry]:
    """Make the table for one file, with the scales that are 1 in its own network.

    Parameters
    ----------
    shapes
        Path to shape, as :attr:`Blueprint.shapes` gives them.
    path
        The file of the weights. For ``NAME-0000.params``, a file ``NAME-symbol.json``
        beside it says which scales MXNet ignores; without one it is that of `FIXED`.
        ONNX has no such rule, so of an .onnx file every scale counts.

    Returns
    -------
    dict
        As of `mxnet_entries`.

    Raises
    ------
    InputError
        The symbol file is damaged, or is that of another network: it lacks a BatchNorm
        or has another epsilon.
    """
    if path.suffix.lower() == ".onnx":
        return mxnet_entries(shapes, fixed=())
    symbol = symbol_beside(path)
    if symbol is None:
        return mxnet_entries(shapes)
    norms = batch_norms(symbol)
    needed = {
        _layer(parent.partition("/")[2])
        for parent, _, leaf in (path.rpartition("/") for path in shapes)
        if leaf == "scale"
    }
    for layer in sorted(needed):
        if layer not in norms:
            message = f"{symbol}: has no BatchNorm {layer}; {AGAIN}"
            raise InputError(message)
        if not math.isclose(norms[layer].epsilon, EPSILON, rel_tol=1e-6):
            message = (
                f"{symbol}: {layer} has epsilon {norms[layer].epsilon}, but LResNet-IR "
                f"has {EPSILON}; use the backbone that was trained"
            )
            raise InputError(message)
    return mxnet_entries(shapes, [name for name in needed if norms[name].fix_gamma])


def _layer(scope: str) -> str:
    """Return MXNet's name of a layer of `IResNet`.

    >>> _layer("layer3/0/downsample/1")
    'stage3_unit1_sc'
    """
    if scope in TOP:
        return TOP[scope]
    stage, unit, inner = scope.removeprefix("layer").split("/", 2)
    return f"stage{stage}_unit{int(unit) + 1}_{IN_UNIT.get(inner, inner)}"
