"""Name the tensors of a PyTorch state dict for a module that mirrors its original.

A port whose attributes are called as in PyTorch needs no table of its own: the path
``params/layer1/0/conv1/kernel`` is the key ``layer1.0.conv1.weight``. Leaves without a
layer, such as position embeddings, keep their names.
"""

from collections.abc import Mapping

from prefiqs_jax.weights import transforms
from prefiqs_jax.weights.mapping import Entry

LEAF_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def pytorch_entries(
    shapes: Mapping[str, tuple[int, ...]],
    flattened: Mapping[str, tuple[int, int, int]] | None = None,
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
    entries = {}
    for path, shape in shapes.items():
        _, *scopes, leaf = path.split("/")
        key = ".".join([*scopes, LEAF_NAMES.get(leaf, leaf)])
        if leaf == "kernel" and len(shape) == 4:
            entry = Entry(
                path, (shape[3], shape[2], *shape[:2]), transforms.conv_kernel
            )
        elif leaf == "kernel" and flattened and path in flattened:
            entry = Entry(
                path, shape[::-1], transforms.flatten_kernel(*flattened[path])
            )
        elif leaf == "kernel":
            entry = Entry(path, shape[::-1], transforms.linear_kernel)
        else:
            entry = Entry(path, shape)
        entries[key] = entry
    return entries


def norm_leaves(scope: str) -> list[str]:
    """List the leaves of a BatchNorm in the order of PyTorch and ONNX.

    >>> norm_leaves("bn1")[2:]
    ['statistics/bn1/mean', 'statistics/bn1/var']
    """
    params = [f"params/{scope}/{leaf}" for leaf in ("scale", "bias")]
    return params + [f"statistics/{scope}/{leaf}" for leaf in ("mean", "var")]
