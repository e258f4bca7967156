"""In what precision products are taken: one setting, whatever the network or device.

``highest`` is float32 throughout. ``high`` lets a device split its products: TF32 on an
NVIDIA GPU, three bfloat16 products on a TPU, nothing on a CPU. ``fast`` rounds both
factors of every convolution and matrix product to bfloat16 and sums in float32; all
else (BatchNorm, PReLU, norms) stays in float32. Tangents are taken like values.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.extend import core

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import bodies, run_equation
from prefiqs_jax.types import ApplyFn, Params

Precision: TypeAlias = Literal["highest", "high", "fast"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEFAULT_PRECISION: Precision = "highest"
"""The only one that is within 1e-3 of float32 on every device: a drift at sparsity 0.05
is 4e-3, of which TF32 would hide a part."""

MEANING: dict[Precision, str] = {
    "highest": "float32",
    "high": "float32, products as TF32 or three bfloat16 where the device has them",
    "fast": "factors of products in bfloat16, sums in float32",
}

_PRODUCTS = ("dot_general", "conv_general_dilated")
_CHECKPOINTS = ("remat2", "checkpoint")  # their bodies are bare jaxprs


def at_precision(apply_fn: ApplyFn, precision: Precision) -> ApplyFn:
    """Make a network take its products in a given precision.

    Parameters
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    precision
        One of :data:`PRECISIONS`.

    Returns
    -------
    callable
        Like ``apply_fn``; its tangents have the same precision. (Reverse mode through
        ``fast`` convolutions is beyond JAX 0.8, which does not transpose them.)

    Raises
    ------
    InputError
        If there is no such precision.

    Examples
    --------
    A bfloat16 has eight bits: 1 + 2⁻⁹ is 1 to it.

    >>> network = lambda p, x: x @ p
    >>> x, p = jnp.full((1, 1), 1 + 2**-9, jnp.float32), jnp.ones((1, 1), jnp.float32)
    >>> [float(at_precision(network, p_)(p, x)[0, 0]) for p_ in ("highest", "fast")]
    [1.001953125, 1.0]
    """
    if precision not in PRECISIONS:
        message = f"precision {precision!r} is unknown; choose {', '.join(PRECISIONS)}"
        raise InputError(message)
    traced = _rounding(apply_fn) if precision == "fast" else apply_fn

    def at_this_precision(params: Params, images: Any) -> Any:
        # Read while tracing, by the rules of derivatives, too.
        with jax.default_matmul_precision("high" if precision == "high" else "highest"):
            return traced(params, images)

    return at_this_precision


def _rounding(apply_fn: ApplyFn) -> ApplyFn:
    """Round the factors of all products of a function, by running its jaxpr."""

    def rounded(params: Params, images: Any) -> Any:
        program, result = jax.make_jaxpr(apply_fn, return_shape=True)(params, images)
        leaves = jax.tree.leaves((params, images))
        found = _run(program.jaxpr, program.consts, leaves)
        return jax.tree.unflatten(jax.tree.structure(result), found)

    return rounded


def _run(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    values = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        inner = _inlined(equation)
        if equation.primitive.name in _PRODUCTS:
            found = [_product(equation, operands)]
        elif inner is not None:
            found = _run(inner.jaxpr, inner.consts, operands)
        else:
            found = run_equation(equation, operands, jaxpr)
        values |= zip(equation.outvars, found, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _product(equation: Any, operands: list[Any]) -> Any:
    wanted = equation.outvars[0].aval.dtype
    if not jnp.issubdtype(wanted, jnp.floating):
        return equation.primitive.bind(*operands, **equation.params)
    settings = equation.params | {"preferred_element_type": wanted}
    short = [operand.astype(jnp.bfloat16) for operand in operands]
    return equation.primitive.bind(*short, **settings)


def _inlined(equation: Any) -> Any:
    """Give the body of a call that holds products; None for anything else.

    Calls without products are bound as they are, so that a rule of differentiation
    that someone wrote for them (that of relu at zero, say) stays in force. Products
    within loops (``scan``, ``while``) stay in float32; no network here has one on an
    accelerator.
    """
    name, settings = equation.primitive.name, equation.params
    if name in ("scan", "while"):
        return None
    body = settings.get("jaxpr", settings.get("call_jaxpr"))
    if name in _CHECKPOINTS:
        body = core.ClosedJaxpr(body, [])
    holds = hasattr(body, "consts") and _holds_products(body.jaxpr)
    return body if holds else None


def _holds_products(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name in _PRODUCTS
        or any(_holds_products(body) for body in bodies(equation))
        for equation in jaxpr.eqns
    )
