"""Programs within JAX's programs."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend import core

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


def run_equation(equation: Any, operands: Sequence[Any], jaxpr: Any) -> list[Any]:
    """Run one equation of a jaxpr on these operands; gives its results."""
    pairs = zip(equation.invars, operands, strict=True)
    known = {atom: v for atom, v in pairs if not isinstance(atom, core.Literal)}
    alone = jaxpr.replace(
        constvars=[],
        invars=list(known),
        outvars=equation.outvars,
        eqns=[equation],
        effects=equation.effects,
    )
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*known.values())
