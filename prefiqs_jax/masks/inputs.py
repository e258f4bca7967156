"""What goes into the product of each weight: found in the traced program.

A weight w of a convolution or a dense layer meets many inputs: one for each image and
place. How large they are, ‖∂y/∂w‖ of that layer's own output y, is what Wanda asks for
(there ‖X_j‖₂). Here it is read off the jaxpr, so that it is there for any JAX function.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.execution.jaxprs import interpret
from prefiqs_jax.types import ApplyFn, Params

# What only moves entries about, or changes their type.
_MOVES = frozenset(
    (
        *("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "rev"),
        *("slice", "dynamic_slice", "gather", "neg", "copy", "convert_element_type"),
        *("reduce_precision", "stop_gradient"),
    )
)


class Use(NamedTuple):
    """A product that a leaf of the parameters takes part in."""

    squares: Array
    """Σ of the squared inputs of each weight; broadcastable to the operand."""
    view: "View"
    """How the operand came of the leaf."""
    outputs: int | None
    """Axis of the operand that runs over the outputs; None if there is none."""
    inputs: int | None
    """Axis that runs over the input channels."""


class View(NamedTuple):
    """A value in the program that is one leaf, its entries moved about and scaled."""

    leaf: int
    move: Callable[[Any], Any]
    """``leaf -> value``, the moves alone."""
    scale: Callable[[Any], Any]
    """The same with the squares of the scales."""

    def then(self, move: Callable[[Any], Any]) -> "View":
        """Move the entries once more."""
        return View(
            self.leaf, lambda w: move(self.move(w)), lambda w: move(self.scale(w))
        )

    def times(self, factor: Any) -> "View":
        """Scale the entries."""
        squared = jnp.square(factor)
        return View(self.leaf, self.move, lambda w: self.scale(w) * squared)


class _Tracer:
    """Note every product of a leaf with what comes of images.

    The note of a value is its :class:`View`, if it is a leaf; _IMAGES, if it comes of
    images; or None.
    """

    def __init__(self, count: int):
        self.uses: list[list[Use]] = [[] for _ in range(count)]
        self.order: list[int] = []
        self.lost: dict[int, str] = {}
        """Leaf to the operation behind which its weights could not be followed."""

    def __call__(
        self, equation: Any, values: list[Any], notes: list[Any], run: Any
    ) -> tuple[list[Any], list[Any]]:
        """Run one equation, a :class:`~prefiqs_jax.execution.jaxprs.Rule`."""
        out = run(values)
        depends = _IMAGES if _IMAGES in notes else None
        tracked = [i for i, note in enumerate(notes) if isinstance(note, View)]
        seen = self._seen(equation, values, notes, tracked, run)
        if seen is None:
            for place in tracked:
                self.lost.setdefault(notes[place].leaf, equation.primitive.name)
            seen = depends
        return out, [seen] * len(out)

    def _seen(
        self,
        equation: Any,
        values: list[Any],
        notes: list[Any],
        tracked: list[int],
        run: Any,
    ) -> Any:
        """Note what comes of the leaves; None if nothing is known of it."""
        name, depends = equation.primitive.name, _IMAGES in notes
        if len(tracked) != 1:
            return None
        (place,) = tracked
        known = notes[place]
        if name in _MOVES and place == 0 and not depends:
            return known.then(_step(name, values[1:], run))
        if name in ("mul", "div") and not depends and (name, place) != ("div", 1):
            factor = values[1 - place]
            return known.times(1 / factor if name == "div" else factor)
        if depends and name in _PRODUCTS:
            found = _PRODUCTS[name](equation, values, place)
            if found is not None:
                squares, outputs, inputs = found
                self.uses[known.leaf].append(Use(squares, known, outputs, inputs))
                if known.leaf not in self.order:
                    self.order.append(known.leaf)
                return _IMAGES
        return None


_IMAGES = "images"


def _step(name: str, rest: Sequence[Any], run: Any) -> Callable[[Any], Any]:
    # What turns a sign leaves a square alone.
    if name in ("neg", "convert_element_type", "reduce_precision"):
        return lambda w: w
    return lambda w: run([w, *rest])[0]


def wide(values: Array) -> Array:
    """Give half floats as float32: their squares would be zero or infinite."""
    short = jnp.finfo(values.dtype).bits < 32
    return values.astype(jnp.float32) if short else values


def _of_dot(equation: Any, values: Any, place: int) -> Any:
    (contract, batch) = equation.params["dimension_numbers"]
    x, w = values[1 - place], values[place]
    own_contract, own_batch = contract[place], batch[place]
    its_contract, its_batch = contract[1 - place], batch[1 - place]
    free = [i for i in range(x.ndim) if i not in (*its_contract, *its_batch)]
    squares = jnp.sum(jnp.square(wide(x)), axis=tuple(free))
    left = sorted((*its_contract, *its_batch))
    # From x's order of what is left to the operand's, with ones for its outputs.
    partner = dict(
        zip((*own_contract, *own_batch), (*its_contract, *its_batch), strict=True)
    )
    order = [left.index(partner[i]) for i in range(w.ndim) if i in partner]
    squares = jnp.transpose(squares, order)
    outputs = [i for i in range(w.ndim) if i not in partner]
    squares = jnp.expand_dims(squares, tuple(outputs))
    inputs = own_contract[-1] if own_contract else None
    return squares, (outputs[-1] if outputs else None), inputs


def _of_conv(equation: Any, values: Any, place: int) -> Any:
    params = equation.params
    if place != 1 or params["batch_group_count"] != 1:
        return None
    x, w = values
    numbers, groups = params["dimension_numbers"], params["feature_group_count"]
    out_axis, in_axis = numbers.rhs_spec[0], numbers.rhs_spec[1]
    shape = list(w.shape)
    shape[out_axis] = groups
    squared = jnp.square(wide(x))

    def convolve(kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            squared,
            kernel,
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            numbers,
            groups,
        )

    kernel = jnp.zeros(shape, squared.dtype)
    ones = jnp.ones(jax.eval_shape(convolve, kernel).shape, squared.dtype)
    (squares,) = jax.linear_transpose(convolve, kernel)(ones)
    each = w.shape[out_axis] // groups
    squares = jnp.repeat(squares, each, axis=out_axis) if groups > 1 else squares
    return squares, out_axis, in_axis


def _of_mul(equation: Any, values: Any, place: int) -> Any:
    del equation
    squares, own = jnp.square(wide(values[1 - place])), values[place].shape
    shared = [
        i for i, (n, m) in enumerate(zip(own, squares.shape, strict=True)) if n < m
    ]
    return jnp.sum(squares, axis=tuple(shared), keepdims=True), None, None


_PRODUCTS = {
    "dot_general": _of_dot,
    "conv_general_dilated": _of_conv,
    "mul": _of_mul,
}


def trace_inputs(
    apply_fn: ApplyFn, params: Params, images: Any
) -> tuple[list[list[Use]], list[int], dict[int, str]]:
    """Evaluate a network, and note every product of a leaf with what comes of images.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings. Any JAX function.
    params
        Weights.
    images
        Preprocessed, shape (batch, height, width, channels).

    Returns
    -------
    uses
        For each leaf, in tree order, its products.
    order
        Leaves in the order in which the network uses them.
    lost
        Leaf to the operation, such as a loop, behind which it could not be followed.
    """
    leaves, structure = jax.tree.flatten(params)
    closed = jax.make_jaxpr(
        lambda *all_: apply_fn(jax.tree.unflatten(structure, all_[:-1]), all_[-1])
    )(*leaves, images)
    tracer = _Tracer(len(leaves))
    views = [View(i, lambda w: w, lambda w: w) for i in range(len(leaves))]
    interpret(
        closed,
        [*leaves, images],
        [*views, _IMAGES],
        tracer,
        opens=lambda _, notes: any(isinstance(note, View) for note in notes),
        plain=True,
    )
    return tracer.uses, tracer.order, tracer.lost


def input_squares(apply_fn: ApplyFn, params: Params, images: Any) -> list[Array | None]:
    """Sum the squared inputs that each weight meets, over images and places.

    Arguments as in :func:`trace_inputs`.

    Returns
    -------
    list
        For each leaf, in tree order, an array of its shape; None for a leaf that meets
        no image in a product that is known.
    """
    uses, _, lost = trace_inputs(apply_fn, params, images)
    found: list[Array | None] = []
    for index, weights in enumerate(jax.tree.leaves(params)):
        if index in lost or not uses[index]:
            found.append(None)
            continue
        leaf = jax.ShapeDtypeStruct(jnp.shape(weights), uses[index][0].squares.dtype)
        total = jnp.zeros(leaf.shape, leaf.dtype)
        for use in uses[index]:
            operand = jax.eval_shape(use.view.scale, leaf)
            squares = jnp.broadcast_to(use.squares, operand.shape)
            total += jax.linear_transpose(use.view.scale, leaf)(squares)[0]
        found.append(total)
    return found


def leaf_axes(use: Use, shape: Sequence[int]) -> tuple[int | None, int | None]:
    """Find which axes of a leaf run over outputs and input channels.

    Returns
    -------
    tuple of int or None
        Axis of the outputs, axis of the inputs; None where a product has none, or the
        leaf's axes were merged on the way.
    """
    index = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    operand = np.asarray(use.view.move(jnp.asarray(index)))

    def axis(of: int | None) -> int | None:
        if of is None or operand.shape[of] == 1:
            return None
        along = np.moveaxis(operand, of, 0).reshape(operand.shape[of], -1)[:, 0]
        varies = [len(set(each)) > 1 for each in np.unravel_index(along, shape)]
        return varies.index(True) if sum(varies) == 1 else None

    return axis(use.outputs), axis(use.inputs)
