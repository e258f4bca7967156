"""Follow the few instructions of a pickle with which a dict of numbers is written.

A pickle is a program for a stack machine; Python's own loader calls what it names, and
may be made to hang or to fill the memory even where it may call nothing. Here a stack
holds texts, bytes, numbers, tuples and the stand-ins of ``pickle_numbers``; nothing is
hashed, imported or called, and nothing is built that is not in the file.
"""

import dataclasses
import pickletools
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.pickle_numbers import CURE, Pairs, build, call, known

PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
_MARK = object()


@dataclasses.dataclass
class _Machine:
    content: bytes
    at: int = 0
    """Where the next instruction stands."""
    stack: list[Any] = dataclasses.field(default_factory=list)
    memo: list[Any] = dataclasses.field(default_factory=list)


def run_pickle(content: bytes) -> Any:
    """Follow a pickle to its end.

    Parameters
    ----------
    content
        The pickle, of protocol 2 to 5.

    Returns
    -------
    object
        What it holds: a :class:`~prefiqs_jax.scorefiles.pickle_numbers.Pairs` for a
        dict.

    Raises
    ------
    InputError
        If it is damaged, or has instructions that no dict of numbers needs.

    References
    ----------
    The instructions are those of PEP 307, 3154 and 574.
    """
    machine = _Machine(content)
    try:
        while (code := content[machine.at]) != _STOP:
            machine.at += 1
            if code not in _INSTRUCTIONS:
                _refuse(code)
            _INSTRUCTIONS[code](machine)
        return machine.stack.pop()
    # A stack, memo or file that is shorter than an instruction needs.
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        message = "is a damaged pickle, or cut off; get the file again"
        raise InputError(message) from error


def _refuse(code: int) -> NoReturn:
    names = (each.name for each in pickletools.opcodes if ord(each.code) == code)
    found = f"the instruction {next(names, code)}"
    message = f"is no pickled dict of numbers (it has {found}); {CURE}"
    raise InputError(message)


def _take(machine: _Machine, count: int) -> bytes:
    start = machine.at
    machine.at = end = start + count
    if end > len(machine.content):
        raise IndexError
    return machine.content[start:end]


def _constant(value: object) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _fixed(form: str) -> Callable[[_Machine], None]:
    """Push a number of a fixed form."""
    read = struct.Struct(form)

    def push(machine: _Machine) -> None:
        machine.stack.append(read.unpack_from(machine.content, machine.at)[0])
        machine.at += read.size

    return push


def _counted(form: str, convert: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    """Push what is made of some bytes, whose number stands before them."""
    read = struct.Struct(form)

    def push(machine: _Machine) -> None:
        (count,) = read.unpack_from(machine.content, machine.at)
        machine.at += read.size
        if count < 0:
            raise IndexError
        machine.stack.append(convert(_take(machine, count)))

    return push


def _skip(count: int) -> Callable[[_Machine], None]:
    def skip(machine: _Machine) -> None:
        machine.at += count

    return skip


def _text(content: bytes) -> str:
    # As Python writes the halves of characters with which it names odd files.
    return content.decode("utf-8", "surrogatepass")


def _long(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


def _last(count: int) -> Callable[[_Machine], None]:
    """Make a tuple of the last things on the stack."""

    def make(machine: _Machine) -> None:
        machine.stack.append(tuple(_pop(machine, count)))

    return make


def _pop(machine: _Machine, count: int) -> list[Any]:
    stack = machine.stack
    if len(stack) < count:
        raise IndexError
    parts = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    return parts


def _pop_to_mark(machine: _Machine) -> list[Any]:
    stack = machine.stack
    at = len(stack) - 1
    while stack[at] is not _MARK:
        at -= 1
        if at < 0:
            raise IndexError
    parts = stack[at + 1 :]
    del stack[at:]
    return parts


def _marked_tuple(machine: _Machine) -> None:
    machine.stack.append(tuple(_pop_to_mark(machine)))


def _set_items(machine: _Machine) -> None:
    _add_items(machine, _pop_to_mark(machine))


def _set_item(machine: _Machine) -> None:
    _add_items(machine, _pop(machine, 2))


def _add_items(machine: _Machine, parts: list[Any]) -> None:
    pairs = machine.stack[-1]
    if not isinstance(pairs, Pairs) or len(parts) % 2:
        raise IndexError
    pairs.extend(zip(parts[::2], parts[1::2], strict=True))


def _put(form: str) -> Callable[[_Machine], None]:
    read = struct.Struct(form)

    def put(machine: _Machine) -> None:
        (place,) = read.unpack_from(machine.content, machine.at)
        machine.at += read.size
        # Every pickler numbers them in order; a gap would claim memory.
        if place < len(machine.memo):
            machine.memo[place] = machine.stack[-1]
        elif place == len(machine.memo):
            machine.memo.append(machine.stack[-1])
        else:
            raise IndexError

    return put


def _memoize(machine: _Machine) -> None:
    machine.memo.append(machine.stack[-1])


def _get(form: str) -> Callable[[_Machine], None]:
    read = struct.Struct(form)

    def get(machine: _Machine) -> None:
        (place,) = read.unpack_from(machine.content, machine.at)
        machine.at += read.size
        machine.stack.append(machine.memo[place])

    return get


def _line(machine: _Machine) -> str:
    end = machine.content.find(b"\n", machine.at)
    if end < 0:
        raise IndexError
    line = machine.content[machine.at : end]
    machine.at = end + 1
    return line.decode()


def _global(machine: _Machine) -> None:
    module, name = _line(machine), _line(machine)
    machine.stack.append(known(module, name))


def _stack_global(machine: _Machine) -> None:
    module, name = _pop(machine, 2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise IndexError
    machine.stack.append(known(module, name))


def _reduce(machine: _Machine) -> None:
    function, arguments = _pop(machine, 2)
    machine.stack.append(call(function, arguments))


def _build(machine: _Machine) -> None:
    (state,) = _pop(machine, 1)
    build(machine.stack[-1], state)


def _empty_dict(machine: _Machine) -> None:
    machine.stack.append(Pairs())


_BY_NAME: dict[str, Callable[[_Machine], None]] = {
    "PROTO": _skip(1),
    "FRAME": _skip(8),
    "MARK": _constant(_MARK),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "BININT": _fixed("<i"),
    "BININT1": _fixed("<B"),
    "BININT2": _fixed("<H"),
    "BINFLOAT": _fixed(">d"),
    "LONG1": _counted("<B", _long),
    "BINSTRING": _counted("<i", bytes),
    "SHORT_BINSTRING": _counted("<B", bytes),
    "SHORT_BINBYTES": _counted("<B", bytes),
    "BINBYTES": _counted("<I", bytes),
    "BINBYTES8": _counted("<Q", bytes),
    "BYTEARRAY8": _counted("<Q", bytes),
    "SHORT_BINUNICODE": _counted("<B", _text),
    "BINUNICODE": _counted("<I", _text),
    "BINUNICODE8": _counted("<Q", _text),
    "EMPTY_TUPLE": _last(0),
    "TUPLE1": _last(1),
    "TUPLE2": _last(2),
    "TUPLE3": _last(3),
    "TUPLE": _marked_tuple,
    "EMPTY_DICT": _empty_dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "BINPUT": _put("<B"),
    "LONG_BINPUT": _put("<I"),
    "MEMOIZE": _memoize,
    "BINGET": _get("<B"),
    "LONG_BINGET": _get("<I"),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_INSTRUCTIONS = {_CODES[name]: follow for name, follow in _BY_NAME.items()}
_STOP = _CODES["STOP"]
