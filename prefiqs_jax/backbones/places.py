"""Where things are inside a network: stages, and what follows a dropout.

Each network says it itself, by a method ``places``. None of it matters to an embedding:
only quality scores that look inside ask for it.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any


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


def module_at(module: Any, path: str) -> Any:
    """Go down a path, such as ``layer1/0/bn1``."""
    for key in path.split("/"):
        module = module[int(key)] if key.isdigit() else getattr(module, key)
    return module


def before_strides(strides: Sequence[int]) -> list[int]:
    """List the indices before each stride above 1, and the last.

    >>> before_strides([2, 1, 2, 1, 1])
    [1, 4]
    """
    starts = [i for i, stride in enumerate(strides) if stride > 1 and i]
    return [i - 1 for i in starts] + [len(strides) - 1]
