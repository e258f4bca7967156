"""In what precision products are taken: one setting, whatever the network or device.

``highest`` is float32 throughout. ``high`` lets a device split its products: TF32 on an
NVIDIA GPU, three bfloat16 products on a TPU, nothing on a CPU. ``fast`` rounds both
factors of every convolution and matrix product to bfloat16 and sums in float32; all
else (BatchNorm, PReLU, norms) stays in float32. Tangents are taken like values.
``double``, of sweeps alone, is float64 throughout.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import bodies, interpret
from prefiqs_jax.types import ApplyFn, Params

Precision: TypeAlias = Literal["double", "highest", "high", "fast"]

SWEEP_PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PRECISIONS = SWEEP_PRECISIONS[1:]
"""Of everything else: float32 and less."""
DEFAULT_PRECISION: Precision = "highest"
"""The only one that is within 1e-3 of float32 on every device: a drift at sparsity 0.05
is 4e-3, of which TF32 would hide a part."""

MEANING: dict[Precision, str] = {
    "double": "float64",
    "highest": "float32",
    "high": "float32, products as TF32 or three bfloat16 where the device has them",
    "fast": "factors of products in bfloat16, sums in float32",
}


def at_double(precision: Precision) -> AbstractContextManager[None]:
    """Let JAX compute in float64 within this context, if that is the precision."""
    return jax.enable_x64(True) if precision == "double" else nullcontext()


def image_type(precision: Precision) -> type[np.floating]:
    """Give the type of the images and the weights."""
    return np.float64 if precision == "double" else np.float32


_PRODUCTS = ("dot_general", "conv_general_dilated")


def at_precision(apply_fn: ApplyFn, precision: Precision) -> ApplyFn:
    """Make a network take its products in a given precision.

    Parameters
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    precision
        One of :data:`SWEEP_PRECISIONS`; ``double`` is for :func:`at_double` to make.

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
    if precision not in SWEEP_PRECISIONS:
        known = ", ".join(SWEEP_PRECISIONS)
        message = f"precision {precision!r} is unknown; choose {known}"
        raise InputError(message)
    traced = _rounding(apply_fn) if precision == "fast" else apply_fn

    def at_this_precision(params: Params, images: Any) -> Any:
        # Read while tracing, by the rules of derivatives, too.
        with jax.default_matmul_precision("high" if precision == "high" else "highest"):
            return traced(params, images)

    return at_this_precision


def _rounding(apply_fn: ApplyFn) -> ApplyFn:
    """Round the factors of all products of a function, by running its jaxpr.

    Calls without products are left as they are, so that a rule of differentiation that
    someone wrote for them (that of relu at zero, say) stays in force. Products within
    loops (``scan``, ``while``) stay in float32; no network here has one on an
    accelerator.
    """

    def rounded(params: Params, images: Any) -> Any:
        program, result = jax.make_jaxpr(apply_fn, return_shape=True)(params, images)
        leaves = jax.tree.leaves((params, images))
        found, _ = interpret(
            program,
            leaves,
            [None] * len(leaves),
            _round_products,
            opens=lambda equation, _: any(map(_holds_products, bodies(equation))),
        )
        return jax.tree.unflatten(jax.tree.structure(result), found)

    return rounded


def _round_products(
    equation: Any, values: list[Any], notes: list[Any], run: Any
) -> tuple[list[Any], list[Any]]:
    del notes
    wanted = equation.outvars[0].aval.dtype
    if equation.primitive.name in _PRODUCTS and jnp.issubdtype(wanted, jnp.floating):
        settings = equation.params | {"preferred_element_type": wanted}
        short = [value.astype(jnp.bfloat16) for value in values]
        found = [equation.primitive.bind(*short, **settings)]
    else:
        found = run(values)
    return found, [None] * len(found)


def _holds_products(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name in _PRODUCTS
        or any(_holds_products(body) for body in bodies(equation))
        for equation in jaxpr.eqns
    )
