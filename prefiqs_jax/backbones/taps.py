"""Look inside a network while it runs: inputs of BatchNorms, stages, the last dropout.

The modules stay as they are. Each trace makes its own copy of the network anyway; in
that copy some modules are wrapped in one that also reports what goes through it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.convolutions.convolution import Conv
from prefiqs_jax.backbones.convolutions.reverse import (
    is_slow_in_reverse,
    run_for_reverse,
)
from prefiqs_jax.backbones.functional import Blueprint, as_stored, unflatten
from prefiqs_jax.backbones.networks.layers import BatchNorm, dense
from prefiqs_jax.backbones.places import Places, module_at
from prefiqs_jax.types import Params


class NormInput(NamedTuple):
    """What one BatchNorm of feature maps normalises, and by what."""

    input: Array
    """Shape (batch, height, width, channels)."""
    mean: Array
    """Running mean of the training, shape (channels,)."""
    var: Array
    """Running variance, shape (channels,)."""


class Observed(NamedTuple):
    """What was seen of one pass."""

    raw: Array
    """Raw embeddings, shape (batch, dim)."""
    norms: list[NormInput]
    """One for every BatchNorm of feature maps, in the order of their use."""
    stages: list[Array]
    """Output of each stage, shape (batch, height, width, channels)."""


@dataclasses.dataclass(frozen=True)
class Taps:
    """A network opened up, as pure functions of its weights.

    Attributes
    ----------
    apply_for_gradients
        The network itself, ``(params, images) -> raw embeddings``, in a form for
        gradients of images: reverse mode is quick, forward mode is not to be had.
    trunk
        ``(params, images) -> features`` (batch, values): what the last dropout gets, or
        would get (see :class:`~prefiqs_jax.backbones.places.Places`).
    head
        ``(params, features) -> raw embeddings`` (batch, dim): the rest of the network.
        ``head(params, trunk(params, images))`` is ``apply_fn(params, images)``.
    slow_in_reverse
        Whether the network itself is slow in reverse mode, on a CPU.
    observe
        ``(params, images, shifts) -> Observed``. Each of the shifts, none or one a
        stage, is added to that stage's output, so that a derivative with respect to it
        is one with respect to the output; reverse mode only, as above.
    """

    apply_for_gradients: Callable[[Params, Any], Array]
    trunk: Callable[[Params, Any], Array]
    head: Callable[[Params, Any], Array]
    observe: Callable[[Params, Any, Sequence[Any]], Observed]
    slow_in_reverse: bool

    def reverse_fn(self) -> Callable[[Params, Any], Array] | None:
        """Give ``apply_for_gradients`` if it is quicker than the network, else None."""
        slow = self.slow_in_reverse and jax.default_backend() == "cpu"
        return self.apply_for_gradients if slow else None


def make_taps(plan: Blueprint, tensors: Mapping[str, np.ndarray]) -> Taps | None:
    """Open up a network; None if it does not say where its places are.

    `tensors` are those of :func:`~prefiqs_jax.backbones.bind`; only the statistics are
    kept.
    """
    shapes = plan.module()
    find = getattr(shapes, "places", None)
    if find is None:
        return None
    depthwise = any(
        isinstance(part, Conv) and part.is_depthwise for _, part in _parts(shapes)
    )
    places: Places = find()
    kept = unflatten({k: v for k, v in tensors.items() if k.startswith("statistics/")})
    statistics = jax.tree.map(np.array, kept.get("statistics", {}))

    def network(params: Params, values: Array) -> Any:
        return plan.module(params, as_stored(statistics, values.dtype))

    def apply_for_gradients(params: Params, images: Any) -> Array:
        module = network(params, images)
        _prepare_for_reverse(module)
        return module(images)

    def trunk(params: Params, images: Any) -> Array:
        module = network(params, images)
        seen: list[Array] = []

        def keep(layer: Any, x: Array) -> Array:
            seen.append(x)
            return layer(x)

        _wrap(module, places.tail[0], keep)
        module(images)
        return seen[0][: len(images)]  # a single row goes through `dense` twice

    def head(params: Params, features: Any) -> Array:
        module = network(params, features)
        for path in places.tail:
            features = dense(module_at(module, path), features)
        return features

    def observe(params: Params, images: Any, shifts: Sequence[Any] = ()) -> Observed:
        return _observe(network(params, images), places, images, shifts)

    return Taps(apply_for_gradients, trunk, head, observe, depthwise)


class _Wrapped(nnx.Module):
    """A module, and what is called in its place with it and its input."""

    def __init__(self, inner: nnx.Module, watch: Callable[[Any, Array], Array]):
        self.inner = inner
        self.watch = watch

    def __call__(self, x: Array) -> Array:
        return self.watch(self.inner, x)


def _observe(
    module: Any, places: Places, images: Array, shifts: Sequence[Any]
) -> Observed:
    norms: list[NormInput] = []
    stages: list[Array] = []

    def watch_norm(layer: Any, x: Array) -> Array:
        as_map = x if x.ndim == 4 else x[:, None, None]
        norms.append(NormInput(as_map, layer.mean[...], layer.var[...]))
        return layer(x)

    def watch_rows(layer: Any, x: Array) -> Array:
        return watch_norm(layer, x) if x.ndim == 4 else layer(x)

    def watch_stage(layer: Any, x: Array) -> Array:
        y = layer(x)
        if shifts:
            y = y + shifts[len(stages)]
        stages.append(y)
        return y

    for path, part in _parts(module):
        if isinstance(part, BatchNorm):
            _wrap(module, path, watch_norm if path in places.vectors else watch_rows)
    for path in places.stages:
        _wrap(module, path, watch_stage)
    _prepare_for_reverse(module)
    raw = module(images)
    return Observed(raw, norms, stages)


def _prepare_for_reverse(module: Any) -> None:
    for path, part in _parts(module):
        if is_slow_in_reverse(part):
            _wrap(module, path, run_for_reverse)


def _parts(module: nnx.Module) -> list[tuple[str, nnx.Module]]:
    """List all modules in a network by their paths, before any is wrapped."""
    return [("/".join(map(str, path)), part) for path, part in nnx.iter_modules(module)]


def _wrap(module: Any, path: str, watch: Callable[[Any, Array], Array]) -> None:
    above, _, key = path.rpartition("/")
    parent = module_at(module, above) if above else module
    wrapped = _Wrapped(module_at(parent, key), watch)
    if key.isdigit():
        parent[int(key)] = wrapped
    else:
        setattr(parent, key, wrapped)
