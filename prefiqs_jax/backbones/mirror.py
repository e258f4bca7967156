"""Name the tensors of a file for the leaves of a module that mirrors its original.

A port whose attributes are called as in PyTorch needs no table of its own: the path
``params/layer1/0/conv1/kernel`` is the key ``layer1.0.conv1.weight``. Leaves without a
layer, such as position embeddings, keep their names.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from prefiqs_jax.weights import transforms
from prefiqs_jax.weights.mapping import Entry

FINAL_SIZE = 7
"""Height and width of the last feature map of most networks for 112×112 pixels."""

LEAF_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
MXNET_LEAF_NAMES = {
    "kernel": "weight",
    "scale": "gamma",
    "slope": "gamma",
    "bias": "beta",
    "mean": "moving_mean",
    "var": "moving_var",
}
Shapes = Mapping[str, tuple[int, ...]]
Flattened = Mapping[str, tuple[int, int, int]]


def pytorch_entries(
    shapes: Shapes, flattened: Flattened | None = None
) -> dict[str, Entry]:
    """Make the table from PyTorch keys to the paths of a mirroring module.

    Parameters
    ----------
    shapes
        Path to shape, as :attr:`Blueprint.shapes` gives them.
    flattened
        Paths of dense kernels behind a flatten, with the (channels, height, width) of
        what PyTorch flattens.

    Returns
    -------
    dict
        PyTorch key to :class:`Entry`, for every path.
    """

    def key(scope: str, leaf: str) -> str:
        return f"{scope}/{LEAF_NAMES.get(leaf, leaf)}".strip("/").replace("/", ".")

    return _entries(shapes, key, flattened or {})


def mxnet_entries(
    shapes: Shapes,
    layer: Callable[[str], str],
    flattened: Flattened,
    fixed: Collection[str] = (),
) -> dict[str, Entry]:
    """Make the table from MXNet's names, without ``arg:`` and ``aux:``.

    `layer` maps the path of a layer to MXNet's name of it; `fixed` has the BatchNorms,
    by MXNet's name, whose scale becomes 1 whatever the file holds. The rest as for
    `pytorch_entries`.
    """

    def key(scope: str, leaf: str) -> str:
        dense = leaf == "bias" and f"params/{scope}/kernel" in shapes
        return f"{layer(scope)}_{leaf if dense else MXNET_LEAF_NAMES[leaf]}"

    entries = _entries(shapes, key, flattened)
    for name in (f"{norm}_gamma" for norm in fixed):
        entries[name] = Entry(entries[name].target, entries[name].shape, np.ones_like)
    return entries


def last_map(shapes: Shapes, path: str) -> Flattened:
    """Say that a dense kernel follows a flattened map of 7×7 pixels."""
    return {path: (shapes[path][0] // FINAL_SIZE**2, FINAL_SIZE, FINAL_SIZE)}


def _entries(
    shapes: Shapes, key: Callable[[str, str], str], flattened: Flattened
) -> dict[str, Entry]:
    entries = {}
    for path, shape in shapes.items():
        scope, _, leaf = path.partition("/")[2].rpartition("/")
        if leaf == "kernel" and len(shape) == 4:
            layout = (shape[3], shape[2], *shape[:2])
            entry = Entry(path, layout, transforms.conv_kernel)
        elif leaf == "kernel":
            turn = transforms.linear_kernel
            if path in flattened:
                turn = transforms.flatten_kernel(*flattened[path])
            entry = Entry(path, shape[::-1], turn)
        else:
            entry = Entry(path, shape)
        entries[key(scope, leaf)] = entry
    return entries
