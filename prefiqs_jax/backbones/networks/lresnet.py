"""ArcFace's LResNet-IR of MXNet: the names of its weights for the module `IResNet`.

The graph is that of iResNet with an epsilon of 2e-5 everywhere. ``NAME-0000.params``
and what was exported from it to ONNX have the same names. MXNet ignores the
scale of the last BatchNorm (``fix_gamma``) and takes it as 1.

References
----------
Deng et al. (2019). ArcFace. CVPR. arXiv:1801.07698 (LResNet100E-IR).
"""

import math
from collections.abc import Collection
from pathlib import Path

from prefiqs_jax.backbones import mirror
from prefiqs_jax.backbones.mirror import Shapes, last_map
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry
from prefiqs_jax.weights.mxnet_symbol import batch_norms, symbol_beside
from prefiqs_jax.weights.wording import AGAIN

EPSILON = 2e-5
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
BLOCK = r"stage(\d)_unit(\d+)_bn1_"


def mxnet_entries(shapes: Shapes, fixed: Collection[str] = FIXED) -> dict[str, Entry]:
    """Make the table from MXNet's names to the paths of an `IResNet`."""
    flattened = last_map(shapes, "params/fc/kernel")
    return mirror.mxnet_entries(shapes, _layer, flattened, fixed)


def entries_of_file(shapes: Shapes, path: Path) -> dict[str, Entry]:
    """Make the table for one file, with the scales that are 1 in its own network.

    For ``NAME-0000.params``, a file ``NAME-symbol.json`` beside it says which scales
    MXNet ignores; without one it is that of `FIXED`. ONNX has no such rule, so of an
    .onnx file every scale counts. InputError if the symbol file is damaged, or is that
    of another network: it lacks a BatchNorm or has another epsilon.
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
