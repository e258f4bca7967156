"""Where things are inside each family of networks: stages, and what follows a dropout.

None of it matters to an embedding: only quality scores that look inside ask for it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from prefiqs_jax.backbones.networks.ir import IR
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.backbones.networks.mobilefacenet import (
    MobileFaceNet,
    XiaoccerMobileFaceNet,
)
from prefiqs_jax.backbones.networks.sface import SEPARABLE, SFace
from prefiqs_jax.backbones.networks.vit import ViT

STAGE_COUNT = 4


@dataclasses.dataclass(frozen=True)
class Places:
    """Paths of modules, joined by slashes.

    Attributes
    ----------
    tail
        Modules that turn what the last dropout gets into the raw embedding, one after
        the other. Where a network has no dropout, it is the input of the dense layer
        that reads the whole feature map, which is where the others have theirs.
    stages
        Modules whose outputs end the four stages, each of half the size of the one
        before it; empty where a network has none.
    vectors
        BatchNorms of feature maps of one pixel that are given as rows here: the
        original has a ``BatchNorm2d``.
    """

    tail: tuple[str, ...]
    stages: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()


def places_of(module: nnx.Module) -> Places | None:
    """Look a network's places up by its class; None if it is of no known family."""
    for kind, find in _FAMILIES:
        if isinstance(module, kind):
            return find(module)
    return None


def module_at(module: Any, path: str) -> Any:
    """Go down a path, such as ``layer1/0/bn1``."""
    for key in path.split("/"):
        module = module[int(key)] if key.isdigit() else getattr(module, key)
    return module


def _iresnet(module: Any) -> Places:
    stages = range(1, STAGE_COUNT + 1)
    ends = (f"layer{s}/{len(getattr(module, f'layer{s}')) - 1}" for s in stages)
    return Places(("fc", "features"), tuple(ends))


def _ir(module: Any) -> Places:
    ends = _before_strides([unit.stride for unit in module.body])
    tail = ("output_layer/3", "output_layer/4")
    return Places(tail, tuple(f"body/{i}" for i in ends))


def _mobilefacenet(_module: Any) -> Places:
    tail = ("features/layers/2", "features/layers/3")
    return Places(tail, tuple(f"layers/{i}" for i in (1, 3, 5, 7)))


def _xiaoccer(module: Any) -> Places:
    # The third convolution of a block, after those of one pixel and its BatchNorm.
    ends = _before_strides([block.conv[3].stride for block in module.blocks])
    return Places(
        ("linear1/conv", "linear1/bn"),
        ("dw_conv1", *(f"blocks/{i}" for i in ends)),
        ("linear1/bn",),
    )


def _sface(_module: Any) -> Places:
    ends = _before_strides([stride for _, stride in SEPARABLE])
    # The first of them ends the part of full size, which is no stage.
    return Places(("pre_fc1", "fc1"), tuple(f"conv_{i + 2}" for i in ends[1:]))


def _vit(_module: Any) -> Places:
    return Places(tuple(f"feature/{i}" for i in range(4)))


def _before_strides(strides: Sequence[int]) -> list[int]:
    """List the indices before each stride above 1, and the last.

    >>> _before_strides([2, 1, 2, 1, 1])
    [1, 4]
    """
    starts = [i for i, stride in enumerate(strides) if stride > 1 and i]
    return [i - 1 for i in starts] + [len(strides) - 1]


_FAMILIES: tuple[tuple[type, Callable[[Any], Places]], ...] = (
    (IResNet, _iresnet),
    (IR, _ir),
    (MobileFaceNet, _mobilefacenet),
    (XiaoccerMobileFaceNet, _xiaoccer),
    (SFace, _sface),
    (ViT, _vit),
)
