"""Operators that act on each number alone, with the derivatives that PyTorch has."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.values import (
    Value,
    combine,
    is_known,
    plain,
    shape_of,
)

Operator = Callable[[Call], Value]


def absolute(module: Any, x: Any) -> Any:
    """Return |x|; the derivative at 0 is 0, as in PyTorch, where JAX has 1."""
    return x * module.sign(x)


def divide(module: Any, a: Any, b: Any) -> Any:
    """Divide; integers are truncated towards zero, as in C."""
    if a.dtype.kind in "iu":
        return module.sign(a) * module.sign(b) * (abs(a) // abs(b))
    return a / b


def limited(x: Any, low: Any, high: Any) -> Any:
    """Limit to [low, high]; at the limits the derivative is 0, as of PyTorch's ReLU6.

    A limit is one number, or None for none.
    """
    if low is not None:
        x = jnp.where(x <= low, jnp.full_like(x, low), x)
    if high is not None:
        x = jnp.where(x >= high, jnp.full_like(x, high), x)
    return x


def _gelu(x: Any, approximate: str) -> Any:
    return jax.nn.gelu(x, approximate={"none": False, "tanh": True}[approximate])


# Either the name that NumPy and JAX have in common, or a function of that module, the
# inputs and the attributes of the node.
ELEMENTWISE: Mapping[str, str | Callable[..., Any]] = {
    "Abs": absolute,
    "Add": "add",
    "And": "logical_and",
    "Ceil": "ceil",
    "Div": divide,
    "Equal": "equal",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Log": "log",
    "Max": lambda module, *x: functools.reduce(module.maximum, x),
    "Min": lambda module, *x: functools.reduce(module.minimum, x),
    # With the sign of the divisor or, as in C, of the dividend.
    "Mod": lambda module, a, b, fmod: (module.fmod if fmod else module.mod)(a, b),
    "Mul": "multiply",
    "Neg": "negative",
    "Not": "logical_not",
    "Or": "logical_or",
    "Reciprocal": lambda _, x: 1 / x,
    "Sqrt": "sqrt",
    "Sub": "subtract",
    "Sum": lambda module, *x: functools.reduce(module.add, x),
    "Where": "where",
}
# Functions of one activation and the attributes of the node.
ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "Celu": lambda x, alpha: jax.nn.celu(x, alpha),
    "Cos": jnp.cos,
    "Elu": lambda x, alpha: jax.nn.elu(x, alpha),
    "Erf": jax.scipy.special.erf,
    "Gelu": _gelu,
    "HardSigmoid": lambda x, alpha, beta: limited(alpha * x + beta, 0, 1),
    "HardSwish": lambda x: x * limited(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x, alpha: jnp.where(x > 0, x, alpha * x),
    "Mish": jax.nn.mish,
    "Relu": jax.nn.relu,
    "Selu": lambda x, alpha, gamma: gamma * jax.nn.elu(x, alpha),
    "Sigmoid": jax.nn.sigmoid,
    "Sin": jnp.sin,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
    "Tanh": jnp.tanh,
}


def elementwise(function: str | Callable[..., Any]) -> Operator:
    """Make an operator of an entry of `ELEMENTWISE`."""

    def operator(call: Call) -> Value:
        chosen = (
            getattr(call.module, function)
            if isinstance(function, str)
            else functools.partial(function, call.module, **call.node.attributes)
        )
        return combine(chosen, call.all_operands(), call.dtype)

    return operator


def activation(function: Callable[..., Any]) -> Operator:
    """Make an operator of an entry of `ACTIVATIONS`."""

    def operator(call: Call) -> Value:
        applied = functools.partial(function, **call.node.attributes)
        return combine(applied, [call.lifted(0)], call.dtype)

    return operator


def power(call: Call) -> Value:
    """Raise to a power; small whole numbers by products, which is exact and fast."""
    exponent = call.operand(1)
    single = isinstance(exponent, np.ndarray) and exponent.shape in ((), (1,))
    if single and not is_known(call.operand(0)):
        y = float(plain(exponent).item())
        if y == 0.5:
            return combine(jnp.sqrt, [call.operand(0)], call.dtype)
        if y.is_integer() and abs(y) <= 16:
            return combine(lambda x: x ** int(y), [call.operand(0)], call.dtype)
    return elementwise("power")(call)


def cast(call: Call) -> Value:
    """Change the type; between floats only of known numbers.

    A network exported in half precision computes in the type that it is given here.
    """
    from onnx import helper

    value = call.operand(0)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(call.attribute("to")))
    if dtype.kind not in "fiub" or dtype.itemsize < 1:
        why = f"casts to {dtype}; export it in float32"
        raise call.node.refusal(why)
    if isinstance(value, np.ndarray):
        return value.astype(dtype)
    wanted = {"f": call.dtype, "b": dtype}.get(dtype.kind, jnp.result_type(int))
    return combine(lambda x: x.astype(wanted), [value], call.dtype)


def clip(call: Call) -> Value:
    """Limit to [min, max], attributes or, in later opsets, inputs."""
    value = call.operand(0)
    low, high = (
        None if limit is None else np.asarray(limit).item()
        for limit in (
            call.attribute("min", call.known(1)),
            call.attribute("max", call.known(2)),
        )
    )
    if isinstance(value, np.ndarray):
        return np.clip(value, low, high).astype(value.dtype)
    return combine(lambda x: limited(x, low, high), [value], call.dtype)


def prelu(call: Call) -> Value:
    """Keep x where positive, a·x elsewhere; the derivative at 0 is a, as in PyTorch."""
    x, slope = call.operand(0), call.operand(1)
    shape = shape_of(x)
    if len(shape) > 2 and shape_of(slope) == (shape[1],) != (shape[-1],):
        # MXNet's exporter left these without the axes of the pixels.
        slope = plain(slope).reshape(-1, *(1 for _ in shape[2:]))
    return combine(lambda x, a: jnp.where(x > 0, x, a * x), [x, slope], call.dtype)
