"""Changes of a network's weights, read from another checkpoint of it."""

import hashlib
import re
from collections.abc import Callable

import jax
import numpy as np

from prefiqs_jax.backbones.backbone import Backbone
from prefiqs_jax.backbones.identity import beside_digest
from prefiqs_jax.backbones.load import load_backbone, local_file
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import Context, NamedDelta, delta_between, quantised
from prefiqs_jax.trees import is_prunable
from prefiqs_jax.types import Prunable


def read_delta(
    source: str,
    backbone: Backbone,
    prunable: Prunable = is_prunable,
    name: str | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> NamedDelta:
    """Read how a checkpoint differs from a network, or round the network's weights.

    Parameters
    ----------
    source
        File of weights of the same network: pruned elsewhere (zeros, or PyTorch's
        ``weight_orig`` and ``weight_mask``), fine-tuned or quantised. Or ``int8``,
        ``int4``, … for rounding to so many bits.
    backbone
        The dense network.
    prunable
        Leaves that are rounded, and of which the achieved sparsity is a fraction.
    name
        As which the file is loaded, such as ``FILE.py:FUNCTION``; None = the network's
        own name.
    say
        Is told what of the file the change leaves out.

    Returns
    -------
    NamedDelta
        Named after the file without its extension, or ``int8``.

    Raises
    ------
    InputError
        If the file cannot be read as that network, or holds the same weights.
    """
    if bits := re.fullmatch(r"int(\d{1,2})", source):
        pixels = backbone.preprocessing
        image = np.zeros((1, pixels.height, pixels.width, 3), np.float32)
        context = Context(backbone.apply_fn, image)
        delta = quantised(backbone.params, int(bits[1]), prunable, context)
        return NamedDelta(source, delta, prunable=prunable)
    path, _ = local_file(source)
    other = load_backbone(name or backbone.name, path)
    try:
        delta = delta_between(backbone.params, other.params)
    except InputError as error:
        message = f"{source} is no other checkpoint of {backbone.name}: {error}"
        raise InputError(message) from error
    if not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(delta)):
        message = f"{source} holds the weights of --weights themselves; give others"
        raise InputError(message)
    if beside_digest(other) != beside_digest(backbone):
        say(
            f"note: {source} has other running statistics (BatchNorm), too; they are "
            "no weights, and the change leaves them as they are in the dense network"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return NamedDelta(path.stem, delta, digest, prunable)
