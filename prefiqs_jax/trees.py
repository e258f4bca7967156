"""Named leaves of parameter trees: what may be pruned, and how much of it there is."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from prefiqs_jax.types import Params, Prunable

# What has two or more axes and is no filter of anything, by the last part of its name
# in Flax, PyTorch, timm, Hugging Face, big_vision and Keras. "table" is one in an ONNX
# graph, which does not say what it is for.
_POSITION = (
    r"(?:.*_|rel|relative|abs|absolute)?pos(?:ition(?:al|s)?)?"
    r"(?:_?(?:emb|enc|bias|table)\w*|_[hwt])?\d*"
    r"|(?:.*_)?pe|rel_(?:height|width|[hw])|(?:height|width)_rel"
)
_TOKEN = (
    r"cls|probe|(?:.*_)?(?:tokens?|latents?)\d*"
    r"|(?:.*_)?(?:cls|class|mask|type|word|query|dist\w*|register)_?emb\w*"
)
_BIAS = r"(?:.*_)?bias(?:es)?(?:_[kv])?"  # of an attention: (heads, features)
_FACTOR = r"(?:.*_)?(?:scale|gamma|beta|temperature|slope|alpha)(?:_?\d+)?"
_NO_WEIGHT = re.compile(
    rf"{_POSITION}|{_TOKEN}|{_BIAS}|{_FACTOR}|(?:.*_)?table", re.IGNORECASE
)
# A layer that looks vectors up is called so, and its table has a name of every layer.
_LOOKUP = re.compile(rf"{_POSITION}|{_TOKEN}|{_BIAS}", re.IGNORECASE)
_LOOKUP_LEAVES = frozenset(("embedding", "embeddings", "weight"))
# Flax's variables, and partitioned parameters, hold their array under one of these.
_WRAPPED = frozenset(("value", "raw_value"))


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """List ``(name, leaf)`` in the order of the tree.

    A name is the path to the leaf, joined by slashes. Where a leaf is wrapped, as in
    the variables of an ``nnx.State``, the part of the path inside the wrapper is no
    part of the name, so that a network has the same names in every form of its tree.

    Examples
    --------
    >>> named_leaves({"fc": {"kernel": 1, "bias": 2}})
    [('fc/bias', 2), ('fc/kernel', 1)]
    >>> named_leaves({"fc": {"kernel": {"value": 1}}})
    [('fc/kernel', 1)]
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    below = Counter(path[:n] for path, _ in leaves for n in range(len(path)))
    return [(_name(path, alone=below[path[:-1]] == 1), leaf) for path, leaf in leaves]


def _name(path: tuple[Any, ...], *, alone: bool) -> str:
    """Join the keys of a path; ``alone`` says that nothing else is below the parent."""
    parts = []
    for key in path:
        # A flattened dict has tuples of keys.
        inner = getattr(key, "key", None)
        flat = inner if isinstance(inner, tuple) else None
        part = jax.tree_util.keystr((key,), simple=True)
        parts.append("/".join(map(str, flat)) if flat else part)
    # The values of an attention have its queries and keys beside them.
    if (
        alone
        and len(parts) > 1
        and (
            parts[-1] in _WRAPPED
            or isinstance(path[-1], jax.tree_util.FlattenedIndexKey)
        )
    ):
        parts.pop()
    return "/".join(parts)


def map_named(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Map ``function(name, leaf, *leaves)`` over trees of one structure."""
    structure = jax.tree_util.tree_structure(tree)
    others = (structure.flatten_up_to(each) for each in rest)
    return structure.unflatten(
        function(name, leaf, *leaves)
        for (name, leaf), *leaves in zip(named_leaves(tree), *others, strict=True)
    )


def is_prunable(name: str, leaf: Any) -> bool:
    """Tell weights of convolutions and dense layers from everything else.

    BatchNorm, PReLU and biases have one axis; position embeddings, tokens, and biases
    and factors with more axes are excluded by their names.

    Examples
    --------
    >>> import numpy as np
    >>> is_prunable("fc/kernel", np.zeros((4, 2))), is_prunable("fc/bias", np.zeros(2))
    (True, False)
    """
    if leaf.ndim < 2:
        return False
    # Names of PyTorch have dots.
    *_, parent, last = ("", *re.split(r"[/.]", name))
    if last in _LOOKUP_LEAVES and _LOOKUP.fullmatch(parent):
        return False
    return _NO_WEIGHT.fullmatch(last) is None


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


def params_digest(params: Params) -> str:
    """Compute the SHA-256 of a tree's names, shapes, types and numbers."""
    digest = hashlib.sha256()
    for name, leaf in named_leaves(params):
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
