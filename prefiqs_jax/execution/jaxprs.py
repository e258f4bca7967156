"""Programs within JAX's programs."""

from collections.abc import Callable
from typing import Any

PLAIN: dict[str, Callable[..., Any]] = {}
"""Name of a jitted function that takes a faster way to the same product, to the plain
product: for who reads the program instead of running it."""


def bodies(equation: Any) -> list[Any]:
    """List the jaxprs that an equation runs: of a call, a loop, a checkpoint.

    They come without their constants; ``jax.checkpoint`` holds a bare jaxpr,
    ``jax.jit`` a closed one.

    >>> import jax
    >>> for wrap in (jax.jit, jax.checkpoint):
    ...     program = jax.make_jaxpr(wrap(lambda x: x * x))(3.0)
    ...     print([len(body.eqns) for body in bodies(program.eqns[0])])
    [1]
    [1]
    """
    found = [getattr(value, "jaxpr", value) for value in equation.params.values()]
    return [body for body in found if hasattr(body, "eqns")]
