"""Walk the bytes of an ONNX file, before protobuf makes objects of them.

Protobuf turns two bytes into an empty message of a hundred, and one byte into a number
of eight, so a small file can fill the memory. The walk counts what it would make, and
skips the raw data of the weights: of a large file it reads a few pages.

References
----------
Protocol Buffers, "Encoding": https://protobuf.dev/programming-guides/encoding/
"""

import functools
from typing import Any, NoReturn

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import AGAIN

# A network of 2,000 nodes has 150,000 fields.
MAX_FIELDS = 2**20
# What packed numbers of 64 bits may take, beyond a multiple of the file; those of 32
# bits, as which some files have their half-precision weights, take 4 times their bytes
# at most.
MAX_UNPACKED = 2**26
MAX_GROWTH = 4
# Protobuf itself stops at 100.
MAX_DEPTH = 64
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def check_size(data: Any) -> None:
    """Refuse an ONNX file of which protobuf would make far more than its size.

    `data` are its bytes, a memory map, for instance. InputError if it has too many
    fields, nests them too deeply, or is damaged.
    """
    from onnx import ModelProto

    waiting = [(0, len(data), ModelProto.DESCRIPTOR, 0)]
    fields, budget = 0, MAX_UNPACKED + MAX_GROWTH * len(data)
    while waiting:
        at, end, message, depth = waiting.pop()
        known = _unpacked(message)
        while at < end:
            fields += 1
            tag, at = _varint(data, at, end)
            kind = tag & 7
            if kind == LENGTH:
                length, at = _varint(data, at, end)
                inner = known.get(tag >> 3)
                if isinstance(inner, int):
                    budget -= inner * length
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


@functools.cache
def _unpacked(message: Any) -> dict[int, Any]:
    """List the fields of a message, by its descriptor, that protobuf unpacks.

    Field number to the descriptor of the messages in it, or to the bytes that one of
    its packed numbers may take.
    """
    return {
        field.number: field.message_type or 8
        for field in message.fields
        if field.message_type is not None
        or field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
    }


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
