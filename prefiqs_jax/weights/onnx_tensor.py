"""Take the values of one ONNX tensor out of the file."""

from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import from_bfloat16
from prefiqs_jax.weights.wording import listed, shown

INLINE = "save it whole: onnx.save(onnx.load('model.onnx'), 'whole.onnx')"


def to_array(tensor: Any) -> np.ndarray:
    """Return the values of an ONNX tensor that the file itself holds.

    Parameters
    ----------
    tensor
        An ``onnx.TensorProto``.

    Returns
    -------
    array
        In the tensor's own shape and type, but bfloat16 as float32 and integers of 4
        bits as 8 bits, since NumPy has neither. May be read-only.

    Raises
    ------
    InputError
        The values are in another file, not as many as the shape says, or of a type that
        has no place in a network's weights.
    """
    from onnx import TensorProto, numpy_helper

    name = shown(tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        places = [e.value for e in tensor.external_data if e.key == "location"]
        message = f"keeps weights in another file ({listed(places)}); {INLINE}"
        raise InputError(message)
    # NumPy would take -1 for whatever fits.
    if any(size < 0 for size in tensor.dims):
        message = f"{name} has a negative size; export it again"
        raise InputError(message)
    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind.startswith(("FLOAT8", "FLOAT6", "FLOAT4", "INT2", "UINT2", "COMPLEX")):
        message = f"{name} has the type {kind}; export it with float32 or int8 weights"
        raise InputError(message)
    if tensor.data_type == TensorProto.BFLOAT16:
        raw = tensor.raw_data if tensor.HasField("raw_data") else None
        bits = tensor.int32_data if raw is None else np.frombuffer(raw, "<u2")
        array = from_bfloat16(np.asarray(bits).astype(np.uint16))
        return array.reshape(tensor.dims)
    array = numpy_helper.to_array(tensor)
    # Each onnx version has another NumPy type of its own for 4 bits.
    if kind in ("INT4", "UINT4"):
        array = array.astype(np.int8)
    return array.reshape(tensor.dims)
