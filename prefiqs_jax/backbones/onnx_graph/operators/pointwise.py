"""Operators that act on each number alone, with the derivatives that PyTorch has."""

from collections.abc import Callable
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


def pointwise(function: Callable[..., Any], known: Any = None) -> Operator:
    """Make an operator of a function of arrays that broadcast.

    Parameters
    ----------
    function
        Of JAX arrays.
    known
        The same of NumPy arrays, for shapes and constants; None = `function`.
    """

    def operator(call: Call) -> Value:
        values = [call.operand(i) for i in range(max(1, len(call.operands)))]
        chosen = function
        if known is not None and all(is_known(value) for value in values):
            chosen = known
        return combine(chosen, values, call.dtype)

    return operator


def variadic(function: Callable[..., Any], known: Any) -> Operator:
    """Make an operator of any number of inputs of a function of two."""

    def operator(call: Call) -> Value:
        total = call.operand(0)
        for i in range(1, len(call.operands)):
            pair = [total, call.operand(i)]
            chosen = known if all(is_known(value) for value in pair) else function
            total = combine(chosen, pair, call.dtype)
        return total

    return operator


def absolute(x: Any) -> Any:
    """Return |x|; the derivative at 0 is 0, as in PyTorch, where JAX has 1."""
    return jnp.where(x < 0, -x, jnp.where(x > 0, x, 0 * x))


def divide(call: Call) -> Value:
    """Divide; integers are truncated towards zero, as in C."""
    values = [call.operand(0), call.operand(1)]

    def quotient(a: Any, b: Any) -> Any:
        if a.dtype.kind in "iu":
            return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))
        return a / b

    known = all(is_known(value) for value in values)
    return combine(quotient if known else jnp.divide, values, call.dtype)


def modulo(call: Call) -> Value:
    """Take the remainder, with the sign of the divisor or, as in C, of the dividend."""
    name = "fmod" if call.attribute("fmod", 0) else "mod"
    return pointwise(getattr(jnp, name), getattr(np, name))(call)


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
    return pointwise(jnp.power, np.power)(call)


def where(call: Call) -> Value:
    """Choose by a condition; what is not chosen gives no derivative."""
    values = [call.operand(i) for i in range(3)]
    chosen = np.where if all(is_known(value) for value in values) else jnp.where
    return combine(chosen, values, call.dtype)


def cast(call: Call) -> Value:
    """Change the type; between floats only of known numbers.

    A network exported in half precision computes in the type that it is given here.
    """
    from onnx import helper

    value = call.operand(0)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(call.attribute("to", 1)))
    if dtype.kind not in "fiub" or dtype.itemsize < 1:
        why = f"casts to {dtype}; export it in float32"
        raise call.node.refusal(why)
    if isinstance(value, np.ndarray):
        return value.astype(dtype)
    wanted = {"f": call.dtype, "b": dtype}.get(dtype.kind, jnp.result_type(int))
    return combine(lambda x: x.astype(wanted), [value], call.dtype)


def clip(call: Call) -> Value:
    """Limit to [min, max]; at the limits the derivative is 0, as of PyTorch's ReLU6."""
    low = call.attribute("min", call.known(1))
    high = call.attribute("max", call.known(2))
    value = call.operand(0)
    if isinstance(value, np.ndarray):
        return np.clip(value, low, high).astype(value.dtype)

    def limited(x: Any) -> Any:
        if low is not None:
            least = jnp.asarray(low, x.dtype).reshape(())
            x = jnp.where(x <= least, least, x)
        if high is not None:
            most = jnp.asarray(high, x.dtype).reshape(())
            x = jnp.where(x >= most, most, x)
        return x

    return combine(limited, [value], call.dtype)


def prelu(call: Call) -> Value:
    """Keep x where positive, a·x elsewhere; the derivative at 0 is a, as in PyTorch."""
    x, slope = call.operand(0), call.operand(1)
    shape = shape_of(x)
    if len(shape) > 2 and shape_of(slope) == (shape[1],) != (shape[-1],):
        # MXNet's exporter left these without the axes of the pixels.
        slope = plain(slope).reshape(-1, *(1 for _ in shape[2:]))
    return combine(lambda x, a: jnp.where(x > 0, x, a * x), [x, slope], call.dtype)


def activation(make: Callable[[Call], Callable[[Any], Any]]) -> Operator:
    """Make an operator of one input whose attributes are numbers of its formula."""

    def operator(call: Call) -> Value:
        return combine(make(call), [call.operand(0)], call.dtype)

    return operator


def leaky_relu(call: Call) -> Callable[[Any], Any]:
    """Keep x where positive, α·x elsewhere."""
    alpha = call.attribute("alpha", 0.01)
    return lambda x: jnp.where(x > 0, x, alpha * x)


def elu(call: Call) -> Callable[[Any], Any]:
    """Keep x where positive, α (exp(x) - 1) elsewhere."""
    return _exponential_unit(call.attribute("alpha", 1.0), 1.0)


def celu(call: Call) -> Callable[[Any], Any]:
    """Keep x where positive, α (exp(x / α) - 1) elsewhere."""
    alpha = call.attribute("alpha", 1.0)
    return _exponential_unit(alpha, alpha)


def selu(call: Call) -> Callable[[Any], Any]:
    """Take γ times ELU."""
    unit = _exponential_unit(call.attribute("alpha", 1.67326319217681884765625), 1.0)
    gamma = call.attribute("gamma", 1.05070102214813232421875)
    return lambda x: gamma * unit(x)


def hard_sigmoid(call: Call) -> Callable[[Any], Any]:
    """α x + β, limited to [0, 1]."""
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    return lambda x: _unit(alpha * x + beta)


def hard_swish(_: Call) -> Callable[[Any], Any]:
    """Multiply x by x / 6 + 1/2, limited to [0, 1]."""
    return lambda x: x * _unit(x / 6 + 0.5)


def gelu(call: Call) -> Callable[[Any], Any]:
    """Multiply x by Φ(x), or its approximation by a tanh."""
    form = call.attribute("approximate", "none")
    if form not in ("none", "tanh"):
        why = f"approximates by {form}; export it with erf or tanh"
        raise call.node.refusal(why)
    return lambda x: jax.nn.gelu(x, approximate=form == "tanh")


def _exponential_unit(alpha: float, width: float) -> Callable[[Any], Any]:
    def unit(x: Any) -> Any:
        # The inner choice keeps the exponential of a large x out of the derivative.
        negative = jnp.where(x > 0, jnp.zeros_like(x), x)
        return jnp.where(x > 0, x, alpha * jnp.expm1(negative / width))

    return unit


def _unit(x: Any) -> Any:
    x = jnp.where(x <= 0, jnp.zeros_like(x), x)
    return jnp.where(x >= 1, jnp.ones_like(x), x)
