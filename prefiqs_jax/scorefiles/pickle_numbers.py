"""What a pickle of NumPy's numbers calls, and what it means; nothing else is called."""

import dataclasses
import struct
from typing import Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import shown

CURE = "save a dict {path: float(score)}"

# Of struct, by the codes that NumPy writes.
_FORMATS = {
    **{"f2": "e", "f4": "f", "f8": "d"},
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q"},
    **{"u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
}
_ENCODE = "_codecs.encode"
_DTYPE = "numpy.dtype"
_SCALAR = "numpy._core.multiarray.scalar"
_RECONSTRUCT = "numpy._core.multiarray._reconstruct"
_FROM_BUFFER = "numpy._core.numeric._frombuffer"
_NDARRAY = "numpy.ndarray"
_ORDERED = "collections.OrderedDict"
KNOWN = frozenset(
    (_ENCODE, _DTYPE, _SCALAR, _RECONSTRUCT, _FROM_BUFFER, _NDARRAY, _ORDERED)
)


class Pairs(list[tuple[Any, Any]]):
    """What stands for a dict: its items, in order, equal keys included."""


@dataclasses.dataclass(frozen=True)
class Name:
    """What stands for a function or class, of those in ``KNOWN``."""

    name: str


@dataclasses.dataclass
class DType:
    """What stands for a NumPy type; a pickle gives its byte order afterwards."""

    code: str
    order: str = "<"


@dataclasses.dataclass
class OneNumber:
    """What stands for an array; a pickle gives its content afterwards."""

    number: float | int | None = None


def known(module: str, name: str) -> Name:
    """Return what stands for a function or class; InputError unless it is harmless.

    Examples
    --------
    >>> known("numpy.core.multiarray", "scalar")
    Name(name='numpy._core.multiarray.scalar')
    """
    # NumPy 2 has renamed the package.
    if module == "numpy.core" or module.startswith("numpy.core."):
        module = "numpy._core" + module.removeprefix("numpy.core")
    full = f"{module}.{name}"
    if full not in KNOWN:
        message = (
            f"refused, since loading it could run code (it asks for {shown(full)}); "
            f"where you trust it, load it yourself and {CURE}"
        )
        raise InputError(message)
    return Name(full)


def call(function: object, arguments: object) -> Any:
    """Give the result of a call in a pickle.

    Raises
    ------
    InputError
        If it is none with which numbers and texts are written.
    """
    match function, arguments:
        case Name(name=name), (str() as text, "latin1" | "latin-1") if name == _ENCODE:
            return text.encode("latin1")
        case Name(name=name), (str() | bytes() as code, *_) if name == _DTYPE:
            return DType(code if isinstance(code, str) else code.decode("latin1"))
        case Name(name=name), (DType() as dtype, bytes() as content) if name == _SCALAR:
            return _number(dtype, content)
        case Name(name=name), (bytes() as content, DType() as dtype, *_) if (
            name == _FROM_BUFFER
        ):
            return _number(dtype, content)
        case Name(name=name), (Name(name=kind), *_) if (
            name == _RECONSTRUCT and kind == _NDARRAY
        ):
            return OneNumber()
        case Name(name=name), () if name == _ORDERED:
            return Pairs()
    message = f"calls something in a way that no dict of numbers needs; {CURE}"
    raise InputError(message)


def build(thing: object, state: object) -> None:
    """Give a type its byte order, or an array its content, as a pickle says.

    Raises
    ------
    InputError
        If it is something else that a pickle wants to change.
    """
    match thing, state:
        case DType(), (int(), str() | bytes() as order, *_):
            thing.order = order if isinstance(order, str) else order.decode("latin1")
        case OneNumber(), (int(), tuple(), DType() as dtype, _, bytes() as content):
            thing.number = _number(dtype, content)
        case _:
            message = f"builds something that no dict of numbers needs; {CURE}"
            raise InputError(message)


def _number(dtype: DType, content: bytes) -> float | int:
    if dtype.code not in _FORMATS or dtype.order not in ("<", ">", "=", "|"):
        message = f"holds NumPy values of the type {shown(dtype.code)}; {CURE}"
        raise InputError(message)
    order = ">" if dtype.order == ">" else "<"
    try:
        return struct.unpack(order + _FORMATS[dtype.code], content)[0]
    except struct.error:
        message = f"holds an array of several numbers, or of none; {CURE}"
        raise InputError(message) from None
