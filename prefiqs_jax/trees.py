"""Named leaves of parameter trees: what may be pruned, and how much of it there is."""

import re
from collections.abc import Callable
from typing import Any

import jax

from prefiqs_jax.aliases import Params, Prunable

# Tables that a network reads by position: two or more axes, but no filter of anything.
# "table" is one in an ONNX graph, which does not say what it is for.
TOKEN_NAMES = frozenset(
    {"pos_embed", "position_embedding", "cls_token", "mask_token", "table"}
)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """List ``(name, leaf)`` in the order of the tree.

    A name is the path to the leaf, joined by slashes.

    Examples
    --------
    >>> named_leaves({"fc": {"kernel": 1, "bias": 2}})
    [('fc/bias', 2), ('fc/kernel', 1)]
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(leaf_name(path), leaf) for path, leaf in leaves]


def leaf_name(path: tuple[Any, ...]) -> str:
    """Join the keys of a JAX tree path with slashes."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def map_named(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Map ``function(name, leaf, *leaves)`` over trees of one structure."""
    return jax.tree_util.tree_map_with_path(
        lambda path, *leaves: function(leaf_name(path), *leaves), tree, *rest
    )


def is_prunable(name: str, leaf: Any) -> bool:
    """Tell weights of convolutions and dense layers from everything else.

    BatchNorm, PReLU and biases have one axis; position embeddings and tokens are
    excluded by their names.

    Examples
    --------
    >>> import numpy as np
    >>> is_prunable("fc/kernel", np.zeros((4, 2))), is_prunable("fc/bias", np.zeros(2))
    (True, False)
    """
    return leaf.ndim >= 2 and name.rpartition("/")[2] not in TOKEN_NAMES


def prunable_matching(pattern: str) -> Prunable:
    """Restrict :func:`is_prunable` to leaves whose name matches a regular expression.

    Examples
    --------
    >>> import numpy as np
    >>> only_fc = prunable_matching("fc/")
    >>> only_fc("fc/kernel", np.zeros((4, 2))), only_fc("conv/kernel", np.zeros((4, 2)))
    (True, False)
    """
    compiled = re.compile(pattern)

    def matching(name: str, leaf: Any) -> bool:
        return is_prunable(name, leaf) and bool(compiled.search(name))

    matching.__name__ = pattern
    return matching


def describe_prunable(prunable: Prunable) -> str:
    """Say which leaves a predicate admits, by its pattern or its name.

    Examples
    --------
    >>> describe_prunable(is_prunable), describe_prunable(prunable_matching("fc/"))
    ('weights with two or more axes', 'fc/')
    """
    if prunable is is_prunable:
        return "weights with two or more axes"
    return getattr(prunable, "__name__", type(prunable).__name__)


def weight_count(params: Params, prunable: Prunable = is_prunable) -> int:
    """Count the prunable weights, as a Python integer.

    Examples
    --------
    >>> import numpy as np
    >>> weight_count({"kernel": np.zeros((3, 4)), "bias": np.zeros(4)})
    12
    """
    return sum(leaf.size for name, leaf in named_leaves(params) if prunable(name, leaf))
