"""A writer of MXNet's .params files, by the description of the format."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MAGIC = {"v1": 0xF993FAC8, "v2": 0xF993FAC9, "v3": 0xF993FACA}
FLAGS = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i1": 5, "i8": 6}


def array_bytes(array: np.ndarray, age: str = "v2") -> bytes:
    if age == "oldest":
        shape = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    else:
        shape = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
        storage = b"" if age == "v1" else struct.pack("<i", 0)
        shape = struct.pack("<I", MAGIC[age]) + storage + shape
    flag = FLAGS[f"{array.dtype.kind}{array.dtype.itemsize}"]
    return shape + struct.pack("<iii", 1, 0, flag) + array.tobytes()


def write_params(
    path: Path, arrays: Mapping[str, np.ndarray], age: str = "v2"
) -> bytes:
    names = [name.encode() for name in arrays]
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    parts += [array_bytes(array, age) for array in arrays.values()]
    parts += [struct.pack("<Q", len(arrays))]
    parts += [struct.pack("<Q", len(name)) + name for name in names]
    data = b"".join(parts)
    path.write_bytes(data)
    return data
