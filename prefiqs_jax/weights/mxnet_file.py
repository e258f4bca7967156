"""Read MXNet's .params files: a list of arrays, then their names.

All integers are little-endian. The file starts with a magic number, a reserved word and
the number of arrays. An array is a header, of one of four ages, and its raw values:

==========  ==============================================================
`V3`, `V2`  magic, storage type (0 = dense), number of axes, 64-bit sizes
`V1`        magic, number of axes, 64-bit sizes
oldest      number of axes, 32-bit sizes
==========  ==============================================================

each followed by device type, device number and type of the values. The names follow,
each with its length in front, as many as arrays.

References
----------
``NDArray::Save`` and ``NDArray::LegacyLoad`` in src/ndarray/ndarray.cc of Apache MXNet.
"""

import math
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.wording import AGAIN, naming, parsing, shown

MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DTYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")
# NumPy's own limit was 32 until version 2, and networks need four.
MAX_AXES = 32
# LResNet100 has 1,000. A file of many millions would be objects more than values.
MAX_ARRAYS = 2**16


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the named arrays of a .params file of MXNet, mapped into memory.

    Files of ``Module.save_checkpoint``, ``mx.nd.save`` with a dict, or
    ``save_parameters``; names come without ``arg:`` and ``aux:``, floats as float32
    (those of that type are views of the file), integers as they are. InputError if the
    file is damaged, has arrays that are sparse or without names, or has two of the same
    name.
    """
    tensors: dict[str, np.ndarray] = {}
    with naming(path), parsing(), open(path, "rb") as opened:
        # The arrays keep the mapping alive, which outlives the opened file.
        file = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        _require(_take(file, "QQ")[0] == MAGIC, f"no .params file of MXNet; {AGAIN}")
        arrays = [_array(file) for _ in range(_count(file, "arrays"))]
        names = [_name(file) for _ in range(_count(file, "names"))]
        left = len(file) - file.tell()
        _require(not left, f"has {left} bytes more than it says; {AGAIN}")
        _require(
            len(names) == len(arrays),
            f"has {len(arrays)} arrays and {len(names)} names; "
            "save it by names, with Module.save_checkpoint",
        )
        for name, array in zip(names, arrays, strict=True):
            twice = f"has two arrays of the name {shown(name)}; {AGAIN}"
            _require(name not in tensors, twice)
            tensors[name] = as_float32(array)
    return tensors


def _require(condition: object, message: str) -> None:
    if not condition:
        raise InputError(message)


def _skip(file: mmap.mmap, size: int) -> int:
    """Move on by so many bytes, never past the end; return where they start."""
    start = file.tell()
    inside = size <= len(file) - start
    _require(inside, f"cut off, or its sizes are damaged (at byte {start}); {AGAIN}")
    file.seek(size, os.SEEK_CUR)
    return start


def _take(file: mmap.mmap, form: str) -> tuple[Any, ...]:
    """Read numbers, in the letters of `struct`."""
    form = f"<{form}"
    return struct.unpack_from(form, file, _skip(file, struct.calcsize(form)))


def _count(file: mmap.mmap, what: str) -> int:
    (count,) = _take(file, "Q")
    _require(count <= MAX_ARRAYS, f"claims to hold {count} {what}; {AGAIN}")
    return count


def _array(file: mmap.mmap) -> np.ndarray:
    (magic,) = _take(file, "I")
    sparse = magic in (V2, V3) and _take(file, "i") != (0,)
    _require(not sparse, "has sparse arrays; save them dense: array.tostype('default')")
    known = magic in (V1, V2, V3)
    axes = _take(file, "i")[0] if known else magic
    some = 0 <= axes <= MAX_AXES and (axes or magic == V3)
    _require(some, f"has an array without values or of {axes} axes; {AGAIN}")
    shape = _take(file, f"{axes}{'q' if known else 'I'}")
    _require(min(shape, default=0) >= 0, f"has an array of the shape {shape}; {AGAIN}")
    # First where it was: the type and the number of the device.
    *_, flag = _take(file, "iii")
    some = 0 <= flag < len(DTYPES)
    _require(some, f"has an array of the unknown type {flag}; save it as float32")
    dtype, size = np.dtype(DTYPES[flag]), math.prod(shape)
    start = _skip(file, size * dtype.itemsize)
    return np.frombuffer(file, dtype, size, start).reshape(shape)


def _name(file: mmap.mmap) -> str:
    (length,) = _take(file, "Q")
    start = _skip(file, length)
    name = file[start : start + length].decode("utf-8")
    return name[4:] if name.startswith(("arg:", "aux:")) else name
