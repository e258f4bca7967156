"""Tell what loading a pickle would cost, without building anything of it.

A pickle is a program for a stack machine. It is run here with costs in place of
objects, so that a few bytes which claim terabytes, nest a million tuples, or double a
tuple forty times (whose hash then takes hours) are refused before anything is built.
"""

import pickletools
from collections.abc import Hashable
from typing import Any, BinaryIO, NamedTuple, NoReturn

from prefiqs_jax.errors import InputError

# A checkpoint of LResNet100 with the state of its optimiser has 100,000 opcodes.
MAX_OPCODES = 2**19
# Hashing and comparing nested tuples recurses in C, where nothing limits the depth.
MAX_DEPTH = 100
# Parts of one object, each counted as often as it is reached.
MAX_WEIGHT = 2**22
# Longer tuples than a persistent id have no value here.
MAX_VALUES = 8
MUTATORS = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"))
TUPLES = frozenset(("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"))
CALLS = frozenset(("REDUCE", "NEWOBJ"))
GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
ITEM_SIZES = {
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    "ComplexDouble": 16,
}


class Cost(NamedTuple):
    """What one object on the stack would be: its constant, if known, and its size."""

    value: Any = None
    depth: int = 0
    weight: int = 1


def claimed_bytes(file: BinaryIO) -> dict[Hashable, int]:
    """Follow one pickle to its end.

    Parameters
    ----------
    file
        Stands at the start of the pickle, and is left behind its end.

    Returns
    -------
    dict
        Bytes of every PyTorch storage that the pickle asks for, by the storage's key.

    Raises
    ------
    InputError
        It would build too much, or too deeply nested, or allocate by a number.
    ValueError, LookupError, TypeError
        It is damaged.
    """
    stack: list[Cost] = []
    marks: list[int] = []
    memo: dict[Any, Cost] = {}
    claims: dict[Hashable, int] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count == MAX_OPCODES:
            _refuse("holds too many objects")
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in GETS:
            stack.append(memo[argument])
        elif opcode.name in PUTS:
            memo[argument] = stack[-1]
        else:
            parts = _pop(opcode, stack, marks)
            if opcode.name == "BINPERSID":
                key, size = _storage(parts[0].value)
                claims.setdefault(key, size)
            elif opcode.name in CALLS and _allocates(parts[0].value):
                _refuse(f"asks for memory by {parts[0].value}")
            stack += [_cost(opcode.name, argument, parts)] * len(opcode.stack_after)
    return claims


def _pop(
    opcode: pickletools.OpcodeInfo, stack: list[Cost], marks: list[int]
) -> list[Cost]:
    """Take from the stack what an opcode consumes."""
    needs = opcode.stack_before
    if pickletools.markobject in needs:
        start = marks.pop() - needs.index(pickletools.markobject)
    else:
        start = len(stack) - len(needs)
    if start < 0:
        message = f"{opcode.name} finds too little on the stack"
        raise ValueError(message)
    parts = stack[start:]
    del stack[start:]
    return parts


def _cost(name: str, argument: Any, parts: list[Cost]) -> Cost:
    weight = 1 + sum(part.weight for part in parts)
    inner = parts[1:] if name in MUTATORS else parts
    depth = max((part.depth + 1 for part in inner), default=0)
    if name in MUTATORS:
        depth = max(depth, parts[0].depth)
    if depth > MAX_DEPTH or weight > MAX_WEIGHT:
        _refuse("nests its objects too deeply")
    if name in TUPLES and len(parts) <= MAX_VALUES:
        return Cost(tuple(part.value for part in parts), depth, weight)
    if name == "GLOBAL" and _allocates(argument) and argument != "torch Tensor":
        _refuse(f"asks for memory by {argument}")
    return Cost(argument, depth, weight)


def _allocates(function: Any) -> bool:
    """Return whether torch lets a pickle call this with a number of bytes."""
    if not isinstance(function, str):
        return False
    module, _, name = function.partition(" ")
    return name == "bytearray" or (
        module.partition(".")[0] == "torch" and name.endswith("Tensor")
    )


def _storage(identity: Any) -> tuple[Hashable, int]:
    """Return key and bytes of the storage that a persistent id of PyTorch asks for."""
    kind, storage, key, _, count, *_ = identity
    if kind != "storage" or type(count) is not int or count < 0:
        message = "a persistent id is no storage"
        raise ValueError(message)
    if not isinstance(key, str | int):
        message = "the key of a storage is no text"
        raise ValueError(message)
    name = str(storage).rpartition(" ")[2].removesuffix("Storage")
    return key, count * ITEM_SIZES.get(name, 1)


def _refuse(what: str) -> NoReturn:
    message = (
        f"{what}, far more than weights need; "
        "save it again with torch.save(model.state_dict(), ...)"
    )
    raise InputError(message)
