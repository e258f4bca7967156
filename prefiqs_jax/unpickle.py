"""Read pickles without running them: plain values and NumPy numbers, nothing else.

A pickle is a program for a stack machine: Python's own loader calls whatever it names,
and may be made to hang or to fill the memory even where it may call nothing. Here, the
unpickler of the standard library follows a short list of steps and calls. It imports
and hashes nothing, and builds nothing that is not in the file.
"""

import io
import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular

MAX_STEPS = 2**24
"""The 470,000 scores of IJB-C take 12 million, if each is an array of one number."""

ENCODED_PER_STEP = 2**8


class Refused(ValueError):
    """What a pickle holds or asks for, and may not."""


class Pairs:
    """A dict: its items in their order, equal keys included."""

    def __init__(self) -> None:
        self.items: list[tuple[Any, Any]] = []


class Array:
    """A NumPy array; its pickle gives the content afterwards."""

    def __init__(self, kind: Any = "numpy.ndarray", *_: Any) -> None:
        if kind != "numpy.ndarray":
            message = "builds an array of another class"
            raise Refused(message)
        self.values = np.empty(0, np.uint8)
        """Flat, as they are in memory."""
        self._form: tuple[Any, Any] = (0,), "C"

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, whether Fortran order, content)."""
        *_, shape, dtype, fortran, content = state
        self.values, self._form = _values(content, dtype), (shape, "CF"[bool(fortran)])

    def shaped(self) -> np.ndarray:
        """Give the array as it was saved; ValueError if its numbers do not fill it."""
        shape, order = self._form
        return self.values.reshape(shape, order=order)


class DType:
    """A NumPy type of fixed size; its pickle gives the byte order afterwards."""

    CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")

    def __init__(self, code: Any, *_: Any) -> None:
        if _text(code) not in (*self.CODES, "O8"):
            message = f"holds NumPy values of the type {_text(code)!r:.80}"
            raise Refused(message)
        self.dtype = np.dtype(_text(code).replace("O8", "O"))

    def __setstate__(self, state: Any) -> None:
        """Take (version, byte order, ...)."""
        order = _text(state[1])
        if order not in ("<", ">", "=", "|"):
            message = "no byte order"
            raise ValueError(message)
        self.dtype = self.dtype.newbyteorder(order)


def _text(value: Any) -> str:
    """Return text, which Python 2 wrote as bytes."""
    if not isinstance(value, str | bytes):
        message = "text expected"
        raise TypeError(message)
    return value if isinstance(value, str) else value.decode("latin1")


def _values(content: Any, dtype: Any) -> np.ndarray:
    if isinstance(dtype, DType) and dtype.dtype.hasobject and type(content) is list:
        objects = np.empty(len(content), object)
        for place, each in enumerate(content):  # at once, lists would become axes
            objects[place] = each
        return objects
    # Anything but bytes could be a stand-in, or a number of bytes to allocate.
    if not isinstance(content, bytes) or not isinstance(dtype, DType):
        message = "an array of no bytes"
        raise TypeError(message)
    return np.frombuffer(content, dtype.dtype)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> Array:
    array = Array()
    array.__setstate__((shape, dtype, order == "F", content))
    return array


CALLS: Mapping[str, Any] = {
    "__builtin__.bytes": lambda: b"",
    "collections.OrderedDict": Pairs,
    "numpy.dtype": DType,
    "numpy.ndarray": "numpy.ndarray",
    "numpy._core.multiarray._reconstruct": Array,
    "numpy._core.multiarray.scalar": lambda dtype, data: _values(data, dtype).item(),
    "numpy._core.numeric._frombuffer": _from_buffer,
}
"""What a pickle may call, by its name, and what is called instead."""


def _dict(machine: Any) -> None:
    parts = machine.pop_mark()
    machine.stack.append(Pairs())
    _add(machine, parts)


def _set_item(machine: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _add(machine, [key, value])


def _add(machine: Any, parts: list[Any]) -> None:
    pairs = machine.stack[-1]
    if not isinstance(pairs, Pairs):
        message = "items of no dict"
        raise TypeError(message)
    pairs.items += zip(parts[::2], parts[1::2], strict=True)


Step = Callable[[Any], None]
CODES = {each.name: ord(each.code) for each in pickletools.opcodes}
_NAMES = {code: name for name, code in CODES.items()}
# Those that are followed as the standard library does. BUILD calls __setstate__, which
# of all that can be on the stack only arrays and their types have, or takes the items
# of a dict, which is none here.
_PLAIN = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 "
    "FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "TUPLE EMPTY_LIST LIST APPEND APPENDS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET "
    "LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD"
)
_STANDARD: Mapping[int, Any] = pickle._Unpickler.dispatch
STEPS: Mapping[int, Step] = {
    **{CODES[name]: _STANDARD[CODES[name]] for name in _PLAIN.split()},
    CODES["EMPTY_DICT"]: lambda machine: machine.stack.append(Pairs()),
    CODES["DICT"]: _dict,
    CODES["SETITEM"]: _set_item,
    CODES["SETITEMS"]: lambda machine: _add(machine, machine.pop_mark()),
    # The standard library allocates as many bytes as these say they have.
    CODES["BYTEARRAY8"]: _STANDARD[CODES["BINBYTES8"]],
}
# What the standard library raises on damaged bytes, and on a stack that is short.
_DAMAGE = (pickle.UnpicklingError, struct.error, EOFError, LookupError, TypeError)
_DAMAGE += (ValueError, AttributeError, OverflowError)


class _Counted(dict[int, Step]):
    """The steps by their code; each look-up takes one off those that are left."""

    def __init__(self, steps: Mapping[int, Step], most: int) -> None:
        super().__init__(steps)
        self.most = self.left = most

    def __getitem__(self, code: int) -> Step:
        self.spend(1)
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Step:
        if code in _NAMES:
            message = f"has the pickle step {_NAMES[code]}"
            raise Refused(message)
        message = f"no pickle step has the code {code}"
        raise pickle.UnpicklingError(message)

    def spend(self, count: int) -> None:
        """Take some steps off those that are left."""
        self.left -= count
        if self.left < 0:
            message = f"has more than {self.most:,} steps"
            raise Refused(message)


class Unpickler(pickle._Unpickler):
    """Follows so many steps of a pickle of protocol 0 to 5, by Python 2 or 3.

    The ``read`` of the file must never allocate more than there is, as of
    ``io.BytesIO`` and ``mmap.mmap``. It is left behind the end of the pickle.
    """

    steps: ClassVar[Mapping[int, Step]] = STEPS
    proto: int = 0
    """Protocol of the pickle, once it is read."""

    def __init__(self, file: Any, most_steps: int | None = None) -> None:
        super().__init__(file, encoding="bytes")
        self.counted = _Counted(self.steps, most_steps or MAX_STEPS)
        # Each machine counts for itself.
        self.dispatch = self.counted  # pyright: ignore[reportAttributeAccessIssue]

    def find_class(self, module: str, name: str) -> Any:
        """Give what is called instead of a function or class; nothing is imported."""
        full = f"{module}.{name}"
        if full == "_codecs.encode":
            return self._encode
        # NumPy 2 has renamed the package.
        known = full.replace("numpy.core.", "numpy._core.", 1)
        if known not in CALLS:
            message = (
                f"refused, since loading it could run code (it asks for {full!r:.80})"
            )
            raise Refused(message)
        return CALLS[known]

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """Return bytes as Python 3 writes them with a protocol below 3."""
        if _text(encoding) not in ("latin1", "latin-1"):
            message = "another encoding than latin1"
            raise ValueError(message)
        # One text may be encoded many times.
        self.counted.spend(len(text) // ENCODED_PER_STEP)
        return str.encode(text, "latin1")


def read_pickle(path: Path, most_bytes: int, cure: str) -> Any:
    """Read a file that holds one pickle of plain values, at most so many bytes long.

    Gives text, bytes (strings of Python 2 among them), numbers, bools, None, lists and
    tuples; `Pairs` for dicts, `Array` for NumPy arrays. InputError, whose message names
    the `cure` and not the file, if it is too long, damaged, or holds or asks for
    anything else; OSError if it cannot be read.
    """
    check_regular(path)
    size = path.stat().st_size
    if size > most_bytes:
        message = f"has {size / 1e9:.1f} GB, more than this needs; {cure}"
        raise InputError(message)
    return unpickled(path.read_bytes(), cure)


def unpickled(data: bytes, cure: str) -> Any:
    """Read a pickle in memory as :func:`read_pickle` does one in a file."""
    try:
        return Unpickler(io.BytesIO(data)).load()
    except Refused as error:
        message = f"{error}; {cure}"
    except _DAMAGE as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        message = f"is no complete pickle ({what}); get the file again"
    raise InputError(message)
