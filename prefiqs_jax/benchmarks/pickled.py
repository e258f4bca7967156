"""Read a pickle of bytes, lists and numbers without running anything in it.

A pickle is a program for a stack machine. The machine here knows the opcodes that build
plain values, and the handful of names that NumPy arrays of bytes and old strings go by;
everything else is refused by its name. What it builds is never larger than the file.
"""

import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from prefiqs_jax.errors import InputError

# A file of 7,000 comparisons whose pictures are NumPy arrays has 500,000 opcodes.
MAX_OPCODES = 2**23
MAX_BYTES = 2**32


class Name(NamedTuple):
    """A class or function that a pickle asks for; it is never looked up."""

    text: str


class Numpy:
    """A NumPy array of one-byte items, or its dtype, while and after it is built."""

    def __init__(self, code: str = "", data: bytes = b"") -> None:
        self.code = code
        """The dtype's: u1 (bytes) or b1 (truth values)."""
        self.data = data


class _Mark:
    """Where a tuple or a list begins on the stack."""


_MARK = _Mark()
_CONSTANTS: Mapping[str, Any] = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_TEXT = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_VALUES = frozenset((*_INTEGERS, *_BYTES, *_TEXT))
_STRINGS = frozenset(("STRING", "BINSTRING", "SHORT_BINSTRING"))
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
_ARRAY_CODES = ("u1", "b1")
_SCALAR_CODES = ("u1", "b1", "i1", "i2", "i4", "i8")


def read_pickle(path: Path) -> Any:
    """Read one pickle of plain values.

    Parameters
    ----------
    path
        A file of ``pickle.dump`` by Python 2 or 3, protocol 0 to 5.

    Returns
    -------
    object
        Of bytes (strings of Python 2 among them), str, int, bool, None, lists and
        tuples; of `Numpy` for arrays.

    Raises
    ------
    InputError
        If the file is no pickle, truncated, too large, or holds anything else.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            message = f"{path} has {size / 2**30:.1f} GiB; more than 4 is no benchmark"
            raise InputError(message)
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from None
    machine = _Machine(path)
    last = ""
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count > MAX_OPCODES:
                message = f"{path} has more than {MAX_OPCODES:,} steps: no benchmark"
                raise InputError(message)
            last = opcode.name
            machine.step(last, argument)
        return machine.result()
    except InputError:
        raise
    # What genops and a stack that is too short raise on bytes that are no pickle.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        after = f" after {last}" if last else ""
        message = f"{path} is no complete pickle ({what}{after}); fetch it again"
        raise InputError(message) from None


class _Machine:
    """Stack and memory of one pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Do what one opcode says."""
        stack = self.stack
        if opcode in _VALUES:
            stack.append(argument)
        elif opcode in _STRINGS:
            # pickletools decodes them; as bytes they are what Python 2 wrote.
            stack.append(argument.encode("latin-1"))
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode == "MEMOIZE":
            self.memory[len(self.memory)] = stack[-1]
        elif opcode in _PUTS:
            self.memory[argument] = stack[-1]
        elif opcode in _GETS:
            stack.append(self.memory[argument])
        elif opcode in _SHORT_TUPLES:
            stack.append(tuple(self._pop(_SHORT_TUPLES[opcode])))
        elif opcode in self._SPECIAL:
            self._SPECIAL[opcode](self, argument)
        elif opcode not in _IGNORED:
            self._refuse(f"a step {opcode}")

    def result(self) -> Any:
        """Give the one value that is left."""
        (value,) = self.stack
        return value

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _pop_mark(self) -> list[Any]:
        stack = self.stack
        place = len(stack) - 1
        while stack[place] is not _MARK:  # an IndexError, if there is none
            place -= 1
            if place < 0:
                raise IndexError
        values = stack[place + 1 :]
        del stack[place:]
        return values

    def _list(self) -> list[Any]:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        return self.stack[-1]

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        self._list().append(value)

    def _appends(self, _: Any) -> None:
        values = self._pop_mark()
        self._list().extend(values)

    def _global(self, argument: str) -> None:
        self.stack.append(Name(argument.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        module, name = self._pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError
        self.stack.append(Name(f"{module}.{name}"))

    def _reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        text = function.text if isinstance(function, Name) else str(type(function))
        if text not in _FUNCTIONS:
            self._refuse(text)
        self.stack.append(_FUNCTIONS[text](*arguments))

    def _build(self, _: Any) -> None:
        (state,) = self._pop(1)
        built = self.stack[-1]
        if not isinstance(built, Numpy) or not isinstance(state, tuple):
            self._refuse("an object with a state of its own")
        # The state of a dtype of one byte says nothing; that of an array ends in data.
        if len(state) == 5 and isinstance(state[2], Numpy):
            built.code, built.data = state[2].code, _plain(state[4])

    def _refuse(self, what: str) -> NoReturn:
        message = (
            f"{self.path} holds {what[:80]}, not only pictures and labels: it is no "
            "benchmark, and may be malicious"
        )
        raise InputError(message)

    _SPECIAL: Mapping[str, Callable[[Any, Any], None]] = {
        "MARK": lambda self, _: self.stack.append(_MARK),
        "EMPTY_LIST": lambda self, _: self.stack.append([]),
        "LIST": lambda self, _: self.stack.append(self._pop_mark()),
        "TUPLE": lambda self, _: self.stack.append(tuple(self._pop_mark())),
        "APPEND": _append,
        "APPENDS": _appends,
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "BUILD": _build,
    }


def _old_bytes(text: str, encoding: str) -> bytes:
    """Bytes that Python 3 wrote with a protocol below 3."""
    if encoding != "latin1":
        raise ValueError
    return text.encode("latin-1")


def _plain(data: Any) -> bytes:
    # Not bytes(data): of a number it would make that many.
    if not isinstance(data, bytes | bytearray):
        raise TypeError
    return bytes(data)


def _dtype(code: Any, *_: Any) -> Numpy:
    return Numpy(code if isinstance(code, str) else _plain(code).decode())


def _scalar(dtype: Numpy, data: bytes) -> int:
    if dtype.code not in _SCALAR_CODES:
        raise ValueError
    value = int.from_bytes(_plain(data), "little", signed=dtype.code.startswith("i"))
    return bool(value) if dtype.code == "b1" else value


def _from_buffer(data: bytes, dtype: Numpy, *_: Any) -> Numpy:
    return Numpy(dtype.code, _plain(data))


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "_codecs.encode": _old_bytes,
    "numpy.dtype": _dtype,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in {
            "multiarray._reconstruct": lambda *_: Numpy(),
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _from_buffer,
        }.items()
    },
}


def array_bytes(value: Numpy) -> bytes | None:
    """Give the items of an array of one-byte items; None if it is of another dtype."""
    return value.data if value.code in _ARRAY_CODES else None
