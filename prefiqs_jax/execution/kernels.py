"""Convolutions whose kernels lie as XLA's fast convolution on a CPU wants them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from prefiqs_jax.execution.jaxprs import CHECKPOINTS, interpret


def with_plain_kernels(function: Callable[..., Any]) -> Callable[..., Any]:
    """Transpose kernels before their convolutions, in a function run within a loop.

    A convolution in reverse mode takes its kernel with inputs and outputs exchanged.
    XLA on a CPU turns such kernels, for its fast convolution, in the main part of a
    program only, not in the body of a loop: there reverse mode of iResNet-18 took 3.8
    forwards, not 1.5. So kernels are transposed here. What is in a checkpoint is left
    as it is, and so is everything on other devices.

    Parameters
    ----------
    function
        Takes and returns pytrees of arrays. Apply this to the derivative, not before
        differentiating: ``custom_jvp`` and ``custom_vjp`` rules are lost.

    Examples
    --------
    >>> def product(kernel):
    ...     axes = ("NHWC", "HWOI", "NHWC")
    ...     return jax.lax.conv_general_dilated(
    ...         jnp.ones((1, 2, 2, 5)), kernel, (1, 1), "VALID", dimension_numbers=axes
    ...     )
    >>> program = jax.make_jaxpr(with_plain_kernels(product))(jnp.ones((2, 2, 3, 5)))
    >>> [equation.primitive.name for equation in program.eqns][-2:]
    ['transpose', 'conv_general_dilated']
    """
    if jax.default_backend() != "cpu":
        return function

    def opens(equation: Any, notes: Any) -> bool:
        del notes
        return equation.primitive.name not in CHECKPOINTS

    def run(*arguments: Any) -> Any:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        leaves = jax.tree.leaves(arguments)
        notes = [None] * len(leaves)
        found, _ = interpret(program, leaves, notes, _transposed, opens=opens)
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return run


def _transposed(
    equation: Any, values: list[Any], notes: list[Any], run: Callable[..., list[Any]]
) -> tuple[list[Any], list[Any]]:
    """Run an equation, a convolution with the kernel's axes (spatial, in, out)."""
    del notes
    results = None
    if equation.primitive.name == "conv_general_dilated":
        axes = equation.params["dimension_numbers"]
        outputs, inputs, *spatial = axes.rhs_spec
        order = (*spatial, inputs, outputs)
        if order != tuple(range(len(order))):
            *rest, before, last = range(len(order))
            plain = jax.lax.ConvDimensionNumbers(
                axes.lhs_spec, (last, before, *rest), axes.out_spec
            )
            settings = equation.params | {"dimension_numbers": plain}
            kernel = jnp.transpose(values[1], order)
            results = [equation.primitive.bind(values[0], kernel, **settings)]
    found = run(values) if results is None else results
    return found, [None] * len(found)
