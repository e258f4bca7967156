"""Any JAX function as a backbone: your own, a Flax module's, an equinox module's."""

import dataclasses
import hashlib
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import FlaxError
from jax import Array

from prefiqs_jax.backbones.backbone import Backbone, Provenance
from prefiqs_jax.backbones.identity import program_digest, with_digest
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.errors import InputError
from prefiqs_jax.types import ActivationsFn, ApplyFn, Params
from prefiqs_jax.user_code import blamed, load_function

SHAPE = (112, 112, 3)
PIXELS = "RGB,127.5,127.5"
# What JAX, Flax and plain Python raise for shapes, types and names that do not fit.
_TRACING_ERRORS = (
    *(TypeError, ValueError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, AssertionError, FlaxError),
)


def from_function(
    apply_fn: ApplyFn,
    params: Params,
    input_shape: Sequence[int] = SHAPE,
    name: str = "function",
    *,
    pixels: str = PIXELS,
    activations_fn: ActivationsFn | None = None,
) -> Backbone:
    """Take any JAX function for a network.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim), image by image.
    params
        Its weights: any tree of arrays. Those of two axes or more can be pruned, but
        position embeddings, tokens and biases, by their names.
    input_shape
        (height, width, 3) of the images that it takes.
    name
        For rows, figures and messages.
    pixels
        How ``preprocess`` turns RGB images of 0 to 255 into what it takes: channel
        order, mean and scale.
    activations_fn
        ``(params, images) -> {name: inputs}``, inputs of activations of shape (batch,
        …), 0 at their kinks; None = read off the function's program, see
        :func:`prefiqs_jax.sensitivity.activations`.

    Returns
    -------
    Backbone
        A run tells it from another by its weights, its code and what that closes over,
        and by the program that it traces to.

    Raises
    ------
    InputError
        If the functions cannot be traced for such images or give no embeddings or
        activations, or the shape is not that of RGB images.

    Examples
    --------
    >>> def apply_fn(params, images):
    ...     return images.reshape(len(images), -1) @ params["fc"]
    >>> weights = {"fc": jnp.ones((12, 4), jnp.float32)}
    >>> from_function(apply_fn, weights, (2, 2, 3)).embedding_dim
    4
    """
    if len(input_shape) != 3 or min(input_shape) < 1 or input_shape[2] != 3:
        message = (
            f"{name}: input_shape {tuple(input_shape)} is not (height, width, 3); give "
            "it as (112, 112, 3), RGB, and let the function make what else it needs"
        )
        raise InputError(message)
    height, width, _ = map(int, input_shape)
    preprocessing = Preprocessing(height, width).with_pixels(pixels)
    image = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)

    program, found = _trace(apply_fn, params, image, f"{name}: the function")
    shape = getattr(found, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != 2:
        message = (
            f"{name}: the function gives "
            f"{type(found).__name__ if shape is None else shape} for two images; it "
            "must give embeddings of shape (2, dim)"
        )
        raise InputError(message)
    if activations_fn is not None:
        _check_activations(activations_fn, params, image, name)
    provenance = Provenance(
        name,
        "",
        name,
        "",
        "function",
        folded=None,
        program_sha256=program_digest(program),
    )
    return with_digest(
        Backbone(
            name,
            params,
            apply_fn,
            shape[1],
            preprocessing,
            provenance,
            own_activations_fn=activations_fn,
        )
    )


def _trace(
    function: Callable[..., Any], params: Params, image: Any, which: str
) -> tuple[Any, Any]:
    """Trace a function for two images; gives its program and the form of its result."""

    def traced(params: Params, images: Any) -> Any:
        # A new function: of a known one JAX would give the program that it remembers,
        # although a global variable in it has changed.
        return function(params, images)

    try:
        return jax.make_jaxpr(traced, return_shape=True)(params, image)
    except _TRACING_ERRORS as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        message = f"{which} cannot be traced for images of shape {image.shape}: {said}"
        raise InputError(message) from error


def _check_activations(
    activations_fn: ActivationsFn, params: Params, image: Any, name: str
) -> None:
    _, found = _trace(activations_fn, params, image, f"{name}: activations_fn")
    wrong = f"a {type(found).__name__}"
    if isinstance(found, dict):
        bad = [
            f"{key!r}: {getattr(value, 'shape', type(value).__name__)}"
            for key, value in found.items()
            if getattr(value, "shape", ())[:1] != (2,)
            or not jnp.issubdtype(value.dtype, jnp.floating)
        ]
        wrong = ", ".join(bad)
    if wrong:
        message = (
            f"{name}: activations_fn gives {wrong} for two images; it must give "
            "{name: inputs}, floats of shape (2, …)"
        )
        raise InputError(message)


def from_nnx(
    module: nnx.Module,
    input_shape: Sequence[int] = SHAPE,
    name: str | None = None,
    *,
    pixels: str = PIXELS,
    activations_fn: ActivationsFn | None = None,
) -> Backbone:
    """Take a Flax NNX module for a network.

    Parameters
    ----------
    module
        Maps images to raw embeddings. It is set to evaluation: running statistics are
        used, dropout is off. Only its ``nnx.Param`` can be pruned or get a derivative.
    input_shape, name, pixels, activations_fn
        As in :func:`from_function`; the name is by default the class's.

    Raises
    ------
    InputError
        As :func:`from_function` does.
    """
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def apply_fn(params: Params, images: Any) -> Array:
        built = nnx.merge(graph, nnx.State(params), rest)
        built.eval()
        return built(images)

    return from_function(
        apply_fn,
        nnx.to_pure_dict(params),
        input_shape,
        name or type(module).__name__,
        pixels=pixels,
        activations_fn=activations_fn,
    )


def from_linen(
    module: Any,
    variables: Any,
    input_shape: Sequence[int] = SHAPE,
    name: str | None = None,
    *,
    pixels: str = PIXELS,
    activations_fn: ActivationsFn | None = None,
    **arguments: Any,
) -> Backbone:
    """Take a Flax Linen module and its variables for a network.

    Parameters
    ----------
    module
        The module.
    variables
        As ``module.init`` gives them: ``params``, and running statistics and the like
        beside them, which cannot be pruned.
    input_shape, name, pixels, activations_fn
        As in :func:`from_function`; the name is by default the class's.
    **arguments
        Passed to the module's call, such as ``train=False``.

    Raises
    ------
    InputError
        If there are no ``params``, and as :func:`from_function` does.
    """
    if "params" not in variables:
        message = f"variables hold {', '.join(variables)}, but no params; give both"
        raise InputError(message)
    rest = {kind: held for kind, held in variables.items() if kind != "params"}

    def apply_fn(params: Params, images: Any) -> Array:
        return module.apply({"params": params, **rest}, images, **arguments)

    return from_function(
        apply_fn,
        variables["params"],
        input_shape,
        name or type(module).__name__,
        pixels=pixels,
        activations_fn=activations_fn,
    )


def from_equinox(
    module: Any,
    state: Any = None,
    input_shape: Sequence[int] = SHAPE,
    name: str | None = None,
    *,
    pixels: str = PIXELS,
    activations_fn: ActivationsFn | None = None,
    channels_first: bool = True,
) -> Backbone:
    """Take an equinox module for a network.

    Parameters
    ----------
    module
        Maps one image to its raw embedding. It is set to inference. Its arrays of
        floating point can be pruned as those of any tree, but what a ``StateIndex``
        holds.
    state
        ``equinox.nn.State`` of a module that takes one, such as with BatchNorm; it
        stays as it is.
    input_shape, name, pixels, activations_fn
        As in :func:`from_function`; the name is by default the class's.
    channels_first
        Whether an image is given as (channels, height, width), as equinox's
        convolutions take it.

    Raises
    ------
    InputError
        If equinox is not installed, and as :func:`from_function` does.
    """
    try:
        import equinox as eqx
    except ImportError as error:
        message = "equinox is not installed; pip install equinox"
        raise InputError(message) from error
    module = eqx.nn.inference_mode(module)
    trained = jax.tree.map(
        lambda leaf: eqx.is_inexact_array(leaf),
        module,
        is_leaf=lambda leaf: isinstance(leaf, eqx.nn.StateIndex),
    )
    params, rest = eqx.partition(module, trained)
    # A state that was written to is spent: each call is given its own.
    held, structure = jax.tree.flatten(state)

    def apply_fn(params: Params, images: Any) -> Array:
        network = eqx.combine(params, rest)

        def one(image: Array) -> Array:
            if channels_first:
                image = jnp.moveaxis(image, -1, 0)
            if state is None:
                return network(image)
            return network(image, structure.unflatten(held))[0]

        return jax.vmap(one, axis_name="batch")(images)

    return from_function(
        apply_fn,
        params,
        input_shape,
        name or type(module).__name__,
        pixels=pixels,
        activations_fn=activations_fn,
    )


def from_file(
    reference: str, weights: str | os.PathLike[str] | None = None
) -> Backbone:
    """Call the function ``FILE.py:FUNCTION``, which builds a network.

    Parameters
    ----------
    reference
        File and function. The file is run.
    weights
        Given to the function. One whose argument has a default needs none.

    Returns
    -------
    Backbone
        What the function returned; digests of its file and of the weights are added.

    Raises
    ------
    InputError
        If there is no such file, function or weights, it needs weights or takes none,
        raises, or returns something else; names the file's own line.
    """
    build, digest = load_function(reference, "backbone")
    takes, needs = _arguments(build)
    if weights is not None and not takes:
        message = f"{reference} takes no argument, so no weights; leave {weights} out"
        raise InputError(message)
    if weights is None and needs:
        message = f"{reference} takes an argument; give --weights FILE"
        raise InputError(message)
    if weights is not None and not Path(weights).exists():
        message = f"{weights} does not exist; give the file of the weights"
        raise InputError(message)
    found = build(weights) if weights is not None else build()
    if not isinstance(found, Backbone):
        message = (
            f"{reference} returned a {type(found).__name__}; return a Backbone, as "
            "prefiqs_jax.from_function(apply_fn, params) makes it"
        )
        raise InputError(message)
    file, source_digest = Path(reference.rpartition(":")[0]), digest
    if weights is not None and Path(weights).is_file():
        source_digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    provenance = Provenance(
        file.name,
        digest,
        Path(weights or file).name,
        source_digest,
        "function",
        folded=None,
        program_sha256=found.provenance.program_sha256,
    )
    own = found.own_activations_fn
    found = dataclasses.replace(
        found,
        apply_fn=blamed(found.apply_fn, file, "backbone"),
        own_activations_fn=own and blamed(own, file, "backbone"),
    )
    return with_digest(found, provenance)


def _arguments(build: Callable[..., Any]) -> tuple[bool, bool]:
    """Tell whether a function takes an argument, and whether it needs one."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    every = inspect.signature(build).parameters.values()
    found = [parameter for parameter in every if parameter.kind in kinds]
    return bool(found), any(p.default is inspect.Parameter.empty for p in found)
