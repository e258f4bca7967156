"""From a Flax module to a pure function of (params, images), without random weights."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jax import Array

from prefiqs_jax.errors import InputError
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import ApplyFn, Params
from prefiqs_jax.weights.wording import AGAIN, listed

Build = Callable[[nnx.Rngs], nnx.Module]
_ORDER = ("kernel", "scale", "bias", "mean", "var", "slope")


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """Shapes of a network that holds no weights yet.

    Attributes
    ----------
    graph
        Flax's static description of the module.
    params, statistics
        Nested dicts of abstract arrays: what is trained, and the rest (running means
        and variances), which no mask and no derivative may touch.
    """

    graph: Any
    params: Any
    statistics: Any

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, by its path: ``params/…`` or ``statistics/…``."""
        both = {"params": self.params, "statistics": self.statistics}
        return {path: tuple(leaf.shape) for path, leaf in flatten(both).items()}

    def module(self, params: Any = None, statistics: Any = None) -> Any:
        """Make the Flax module with these arrays; without any, with shapes alone."""
        own = self.params, self.statistics
        trees = own if params is None else (params, statistics)
        return nnx.merge(self.graph, *map(nnx.State, trees))

    def run(self, params: Params, statistics: Params, images: Array) -> Array:
        """Compute raw embeddings, in the types that are given."""
        return self.module(params, statistics)(images)


@dataclasses.dataclass(frozen=True)
class _SameKey:
    """Random keys for weights that are never drawn.

    Those of Flax count in traced variables: for a hundred layers, ten seconds.
    """

    key: Array

    # What asks for nnx.Rngs takes it.
    __class__ = property(lambda _: nnx.Rngs)  # pyright: ignore

    def params(self) -> Array:
        return self.key


def blueprint(build: Build) -> Blueprint:
    """Trace the construction of a module; no weight is made."""
    rngs = cast(nnx.Rngs, _SameKey(jax.random.key(0)))
    module = nnx.eval_shape(lambda: build(rngs))
    graph, params, statistics = nnx.split(module, nnx.Param, ...)
    return Blueprint(graph, nnx.to_pure_dict(params), nnx.to_pure_dict(statistics))


def with_epsilons(plan: Blueprint, epsilons: Mapping[str, float]) -> Blueprint:
    """Give every normalisation the epsilon that a file states for it.

    `epsilons` maps the path of a normalisation, such as ``layer1/0/bn1``, to its
    epsilon; none at all = as the architecture has it. InputError if one of them is left
    out, unknown, negative or not finite.
    """
    if not epsilons:
        return plan
    module = plan.module()
    norms: dict[str, Any] = {
        "/".join(map(str, keys)): layer
        for keys, layer in nnx.iter_modules(module)
        if hasattr(layer, "epsilon")
    }
    if wrong := sorted(norms.keys() ^ epsilons.keys()):
        many = listed(wrong)
        message = f"states no epsilon, or one too many, for {many}; {AGAIN}"
        raise InputError(message)
    for path, layer in norms.items():
        layer.epsilon = epsilons[path]
        if not 0 <= layer.epsilon < math.inf:
            message = f"the epsilon of {path} is {layer.epsilon}; {AGAIN}"
            raise InputError(message)
    graph, *_ = nnx.split(module, nnx.Param, ...)
    return dataclasses.replace(plan, graph=graph)


def order_of_use(plan: Blueprint, image: tuple[int, ...]) -> list[str]:
    """List the paths of all tensors, layer by layer as the network runs.

    `image` is the shape of an image, (height, width, 3). Those of one layer come in the
    order of ONNX.
    """
    images = jax.ShapeDtypeStruct((2, *image), np.float32)
    program = jax.make_jaxpr(plan.run)(plan.params, plan.statistics, images).jaxpr
    paths = {id(v): path for v, path in zip(program.invars, plan.shapes, strict=False)}
    used = [id(v) for equation in program.eqns for v in equation.invars]
    layers = dict.fromkeys(_layer(paths[v]) for v in used if v in paths)
    ranks = {layer: rank for rank, layer in enumerate(layers)}

    def place(path: str) -> tuple[int, int]:
        rank = ranks.get(_layer(path), len(ranks))
        return rank, _ORDER.index(path.rpartition("/")[2])

    return sorted(plan.shapes, key=place)


def _layer(path: str) -> str:
    return path.partition("/")[2].rpartition("/")[0]


def bind(plan: Blueprint, tensors: Mapping[str, np.ndarray]) -> tuple[Params, ApplyFn]:
    """Fill a blueprint with weights.

    Parameters
    ----------
    plan
        Shapes of the network.
    tensors
        Every path of ``plan.shapes`` to its array.

    Returns
    -------
    params : nested dict of jax.Array
        What masks prune and derivatives move.
    apply_fn : callable
        ``(params, images) -> raw embeddings``, with the running statistics closed over
        and cast to the type of the images.
    """
    return bind_function(plan.run, tensors)


def bind_function(
    run: Callable[[Params, Params, Array], Array], tensors: Mapping[str, np.ndarray]
) -> tuple[Params, ApplyFn]:
    """Give a function of (params, statistics, images) its weights, as :func:`bind`."""
    both = unflatten(tensors)
    # Copies: the arrays may be mapped from a file that changes or goes away. They are
    # NumPy's, since jnp.array would compile a program for every shape.
    statistics = jax.tree.map(np.array, both.get("statistics", {}))
    params = jax.tree.map(lambda a: jax.device_put(np.array(a)), both["params"])

    def apply_fn(params: Params, images: Any, /) -> Array:
        images = jnp.asarray(images)
        return run(params, as_stored(statistics, images.dtype), images)

    return params, apply_fn


def as_stored(statistics: Any, dtype: Any) -> Any:
    """Cast running statistics, and keep the compiler from computing with them.

    XLA folds what it can compute of constants, but not to the same last digit in a
    program of one device and in one of many: 1/√(variance + ε) then differs, and a
    derivative jumps wherever a PReLU's input lies that close to zero. Behind a barrier
    rows are the same on any number of devices.
    """
    cast = jax.tree.map(lambda s: jnp.asarray(s, dtype), statistics)
    return jax.lax.optimization_barrier(cast)


def flatten(tree: Any) -> dict[str, Any]:
    """Flatten nested dicts to ``{"a/b/0/c": leaf}``."""
    return dict(named_leaves(tree))


def unflatten(flat: Mapping[str, Any]) -> dict[Any, Any]:
    """Undo :func:`flatten`; keys that are all digits become integers, as Flax has them.

    >>> unflatten({"a/0/b": 1, "a/1/b": 2})
    {'a': {0: {'b': 1}, 1: {'b': 2}}}
    """
    return traverse_util.unflatten_dict(
        {
            tuple(int(key) if key.isdigit() else key for key in path.split("/")): leaf
            for path, leaf in flat.items()
        }
    )
