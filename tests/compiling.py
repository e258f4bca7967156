"""Programs that run once or twice, so that compiling would take longer than running."""

from functools import partial
from typing import Any

import jax


def jit_at_level(level: int) -> Any:
    """Give ``jax.jit`` at a level of optimisation of XLA.

    0 suits toy networks; what runs longer needs 1.
    """
    return partial(jax.jit, compiler_options={"xla_backend_optimization_level": level})
