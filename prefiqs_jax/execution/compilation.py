"""Options that a program of a network is compiled with, and where programs are kept."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import DTypeLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_out

LIBRARY_OPTION = "xla_cpu_experimental_ynn_fusion_type"

Tree = TypeVar("Tree")


def compiler_options(dtype: DTypeLike = np.float32) -> dict[str, str | bool]:
    """Give the options for ``jax.jit`` under which a network of a type runs fastest.

    On a CPU, XLA hands float32 convolutions and matrix products to the YNNPACK library
    by default, which runs a convolution of 64 channels on one core (98 GFLOP/s on two
    cores, where XLA's own reaches 170) and takes up to twice as long for a matrix
    product. An empty list of what the library may take turns it off. Convolutions of
    doubles stay with the library (108 GFLOP/s), for which XLA has a plain loop only
    (8 GFLOP/s). There is nothing to choose, and the dict is empty, on a GPU or in a
    release of JAX without this option.
    """
    options: dict[str, str | bool] = {LIBRARY_OPTION: ""}
    if jax.default_backend() != "cpu" or np.dtype(dtype) == np.float64:
        return {}
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError:  # names of options come and go with releases
        return {}
    return options


def stored(make: Callable[[], Tree], place: Array) -> Tree:
    """Give the arrays that ``make`` makes within a loop, stored before they are used.

    XLA on a CPU makes what is cheap anew wherever it is used: the weights of a
    depthwise convolution for every pixel, in a loop that is then not vectorised. A
    sweep of SFace with ``taylor3`` took 2.4 times as long. What a branch gives is
    stored, and this one is always taken, which the compiler cannot know: it asks
    whether ``place``, the index or the t of this turn of the loop, is below infinity.
    On other devices this is ``make()``. A barrier does not do it: XLA on a CPU fuses
    when barriers are gone.
    """
    if jax.default_backend() != "cpu":
        return make()

    def nothing(like: Any) -> Array:
        is_real = jnp.issubdtype(like.dtype, jnp.inexact)
        return jnp.full(like.shape, jnp.nan if is_real else 0, like.dtype)

    shapes = jax.eval_shape(make)
    is_finite = jnp.asarray(place, jnp.float32) < jnp.inf
    return jax.lax.cond(is_finite, make, lambda: jax.tree.map(nothing, shapes))


def cache_folder() -> Path | None:
    """Give the folder for what is found out once: programs and measured strategies.

    ``$PREFIQS_CACHE``, else ``prefiqs-jax`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. It
    may be deleted at any time. None where nobody has a home, as in some containers.
    """
    if named := os.environ.get("PREFIQS_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "prefiqs-jax"
    try:
        return Path.home() / ".cache" / "prefiqs-jax"
    except RuntimeError:
        return None


def keep_programs() -> None:
    """Turn JAX's persistent compilation cache on, unless the user has set his own.

    What took longer than a second to compile is read back by the next process. Where
    the folder cannot be written, nothing is kept;
    ``JAX_ENABLE_COMPILATION_CACHE=false`` turns it off.
    """
    known: Any = jax.config  # whose types do not name its settings
    folder = cache_folder()
    if known.jax_compilation_cache_dir is not None or folder is None:
        return
    with contextlib.suppress(InputError):  # where it cannot be written there is none
        check_out(folder / "programs", folder=True)
        jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
