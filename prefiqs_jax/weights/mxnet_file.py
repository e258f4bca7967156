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
from pathlib import Path

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
ROLES = ("arg:", "aux:")


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the named arrays of a .params file of MXNet.

    Parameters
    ----------
    path
        A file of ``Module.save_checkpoint``, ``mx.nd.save`` with a dict, or
        ``save_parameters``. It is mapped into memory rather than read.

    Returns
    -------
    tensors
        Arrays under their names without ``arg:`` and ``aux:``: floats as float32 (those
        of that type are views of the file), integers as they are.

    Raises
    ------
    InputError
        The file is damaged, has arrays that are sparse or without names, or has two of
        the same name.
    """
    with naming(path), parsing(), open(path, "rb") as opened:
        # The arrays keep the mapping alive, which outlives the opened file.
        file = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        if _word(file, 8) != MAGIC:
            message = f"no .params file of MXNet; {AGAIN}"
            raise InputError(message)
        _word(file, 8)
        arrays = [_array(file) for _ in range(_count(file, "arrays"))]
        names = [_name(file) for _ in range(_count(file, "names"))]
        left = len(file) - file.tell()
        if left:
            message = f"has {left} bytes more than it says; {AGAIN}"
            raise InputError(message)
        if len(names) != len(arrays):
            message = (
                f"has {len(arrays)} arrays and {len(names)} names; "
                "save it by names, with Module.save_checkpoint"
            )
            raise InputError(message)
    tensors: dict[str, np.ndarray] = {}
    for name, array in zip(names, arrays, strict=True):
        if name in tensors:
            message = f"{path}: has two arrays of the name {shown(name)}; {AGAIN}"
            raise InputError(message)
        tensors[name] = as_float32(array)
    return tensors


def _skip(file: mmap.mmap, size: int) -> int:
    """Move on by so many bytes, never past the end; return where they start."""
    start = file.tell()
    if size > len(file) - start:
        message = f"cut off, or its sizes are damaged (at byte {start}); {AGAIN}"
        raise InputError(message)
    file.seek(size, os.SEEK_CUR)
    return start


def _word(file: mmap.mmap, size: int, *, signed: bool = False) -> int:
    start = _skip(file, size)
    return int.from_bytes(file[start : start + size], "little", signed=signed)


def _count(file: mmap.mmap, what: str) -> int:
    count = _word(file, 8)
    if count > MAX_ARRAYS:
        message = f"claims to hold {count} {what}; {AGAIN}"
        raise InputError(message)
    return count


def _array(file: mmap.mmap) -> np.ndarray:
    magic = _word(file, 4)
    if magic in (V2, V3) and _word(file, 4, signed=True) != 0:
        message = "has sparse arrays; save them dense: array.tostype('default')"
        raise InputError(message)
    known = magic in (V1, V2, V3)
    axes, width = (_word(file, 4, signed=True), 8) if known else (magic, 4)
    if not 0 <= axes <= MAX_AXES or (axes == 0 and magic != V3):
        message = f"has an array without values or of {axes} axes; {AGAIN}"
        raise InputError(message)
    shape = tuple(_word(file, width, signed=known) for _ in range(axes))
    if any(size < 0 for size in shape):
        message = f"has an array of the shape {shape}; {AGAIN}"
        raise InputError(message)
    _skip(file, 8)  # where it was: the type and the number of the device
    flag = _word(file, 4, signed=True)
    if not 0 <= flag < len(DTYPES):
        message = f"has an array of the unknown type {flag}; save it as float32"
        raise InputError(message)
    dtype = np.dtype(DTYPES[flag])
    size = math.prod(shape)
    start = _skip(file, size * dtype.itemsize)
    return np.frombuffer(file, dtype, size, start).reshape(shape)


def _name(file: mmap.mmap) -> str:
    length = _word(file, 8)
    start = _skip(file, length)
    name = file[start : start + length].decode("utf-8")
    return name[4:] if name.startswith(ROLES) else name
