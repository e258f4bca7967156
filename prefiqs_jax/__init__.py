"""Exact first-order drift against real pruned drift of face-recognition embeddings.

Quality of a face image, as PreFIQs defines it, is how little its L2-normalised
embedding moves when the network is pruned. This package computes that drift and the
norm of the Jacobian-vector product that predicts it to first order, on the same mask,
image by image, over sparsity levels.

Submodules load on first use, so ``import prefiqs_jax`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from prefiqs_jax import moved
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    from prefiqs_jax import (
        backbones,
        benchmarks,
        citing,
        demo,
        evaluation,
        fiqa,
        images,
        masks,
        plots,
        quality,
        report,
        results,
        scorefiles,
        sensitivity,
        statistics,
        sweep,
        trees,
        weights,
    )
    from prefiqs_jax.backbones.function import (
        from_equinox,
        from_function,
        from_linen,
        from_nnx,
    )
    from prefiqs_jax.backbones.load import load_backbone
    from prefiqs_jax.citing.cite import cite
    from prefiqs_jax.sweep.arrays import sweep_arrays

__all__ = [
    "__version__",
    "backbones",
    "benchmarks",
    "cite",
    "citing",
    "demo",
    "evaluation",
    "fiqa",
    "from_equinox",
    "from_function",
    "from_linen",
    "from_nnx",
    "images",
    "load_backbone",
    "masks",
    "plots",
    "quality",
    "report",
    "results",
    "scorefiles",
    "sensitivity",
    "statistics",
    "sweep",
    "sweep_arrays",
    "trees",
    "weights",
]
_FUNCTIONS = {
    "cite": "citing.cite",
    "from_equinox": "backbones.function",
    "from_function": "backbones.function",
    "from_linen": "backbones.function",
    "from_nnx": "backbones.function",
    "load_backbone": "backbones.load",
    "sweep_arrays": "sweep.arrays",
}
moved.install()


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        module = importlib.import_module(f"prefiqs_jax.{_FUNCTIONS[name]}")
        return getattr(module, name)
    if name in __all__:
        return importlib.import_module(f"prefiqs_jax.{name}")
    message = f"module 'prefiqs_jax' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return __all__
