"""Walk the bytes of an ONNX file, before protobuf makes objects of them.

Protobuf turns two bytes into an empty message of a hundred, and one byte into a number
of eight, so a small file can fill the memory. The walk counts what it would make, and
skips the raw data of the weights: of a large file it reads a few pages.

References
----------
Protocol Buffers, "Encoding": https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import AGAIN

# A network of 2,000 nodes has 150,000 fields.
MAX_FIELDS = 2**20
# What packed numbers of variable length may take, beyond a multiple of the file.
# Weights of float16 as such numbers grow by a third, bytes by 2.7, zeros by 8.
MAX_UNPACKED = 2**26
MAX_GROWTH = 3
# Protobuf itself stops at 100.
MAX_DEPTH = 64
# Fewer numbers than this are not worth a look; no more are looked at at once.
SHORT, CHUNK = 64, 2**20
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# Field number to the table of the messages it holds, or to the bytes that one packed
# number of variable length takes. What takes no more than in the file is left out.
Table = Mapping[int, Any]


def check_size(data: Any, table: Table) -> None:
    """Refuse a file of which protobuf would make far more than its size.

    Parameters
    ----------
    data
        The bytes; a memory map, for instance.
    table
        Of the outermost message, as :func:`field_table` makes it.

    Raises
    ------
    InputError
        It has too many fields, nests them too deeply, or is damaged.
    """
    waiting = [(0, len(data), table, 0)]
    fields, budget = 0, MAX_UNPACKED + MAX_GROWTH * len(data)
    while waiting:
        at, end, known, depth = waiting.pop()
        while at < end:
            fields += 1
            tag, at = _varint(data, at, end)
            kind = tag & 7
            if kind == LENGTH:
                length, at = _varint(data, at, end)
                inner = known.get(tag >> 3)
                if isinstance(inner, int):
                    budget -= inner * _count(data, at, min(length, end - at))
                elif inner is not None:
                    waiting.append((at, at + length, inner, depth + 1))
                at += length
            elif kind == VARINT:
                _, at = _varint(data, at, end)
            elif kind in (FIXED32, FIXED64):
                at += 4 if kind == FIXED32 else 8
            else:
                _damaged("a field of an unknown kind")
            if at > end:
                _damaged("a field is cut off")
            if fields > MAX_FIELDS or budget < 0 or depth > MAX_DEPTH:
                message = "would unpack to far more than its size; export it again"
                raise InputError(message)


def field_table(message: Any) -> Table:
    """Tell which fields of a message, and of those inside, protobuf unpacks.

    Parameters
    ----------
    message
        Its descriptor, such as ``onnx.ModelProto.DESCRIPTOR``.

    Returns
    -------
    dict
        Messages may hold others of their own kind, so the table may hold itself.
    """
    some = message.fields[0]
    flat = (some.CPPTYPE_FLOAT, some.CPPTYPE_DOUBLE, some.CPPTYPE_STRING)
    tables: dict[str, dict[int, Any]] = {}

    def fill(descriptor: Any) -> dict[int, Any]:
        name = descriptor.full_name
        if name not in tables:
            tables[name] = {}
            for field in descriptor.fields:
                if field.message_type is not None:
                    tables[name][field.number] = fill(field.message_type)
                elif field.cpp_type not in flat:
                    wide = field.cpp_type in (some.CPPTYPE_INT64, some.CPPTYPE_UINT64)
                    tables[name][field.number] = 8 if wide else 4
        return tables[name]

    return fill(message)


def _count(data: Any, at: int, length: int) -> int:
    """Count packed numbers, each of which ends in a byte below 128."""
    if length <= SHORT:
        return length
    return sum(
        int(np.count_nonzero(np.frombuffer(data, np.int8, size, start) >= 0))
        for start in range(at, at + length, CHUNK)
        if (size := min(CHUNK, at + length - start))
    )


def _varint(data: Any, at: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, lowest first; return it and what follows."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return _damaged("a number is cut off")


def _damaged(what: str) -> NoReturn:
    message = f"damaged: {what}; {AGAIN}"
    raise InputError(message)
