"""Read state dicts of NumPy arrays: .npz, a pickled dict, or one that np.save wrote."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.unpickle import Array, Pairs, unpickled
from prefiqs_jax.weights.containers import unwrap
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.wording import naming, parsing, shown

# A compressed archive may hold far more than its bytes.
MAX_GROWTH = 16
MAX_DEPTH = 8
CURE = "save it as np.savez(FILE, **{name: array})"


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays of a file by name, and why the rest is ignored.

    Floats come as float32, integers as they are. Nothing in a pickle is run; InputError
    if the file is damaged, would unpack to far more than its size, or holds something
    else than arrays by name.
    """
    with naming(path), parsing():
        data = path.read_bytes()
        state, ignored = unwrap(_archived(data) if data[:2] == b"PK" else _dict(data))
        return {name: as_float32(array) for name, array in state.items()}, ignored


def _archived(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > MAX_GROWTH * len(data) + 2**20:
            message = f"would unpack to far more than its size; {CURE}"
            raise InputError(message)
        members = {info.filename: archive.read(info) for info in infos}
    return {name.removesuffix(".npy"): _array(name, m) for name, m in members.items()}


def _array(name: str, data: bytes) -> np.ndarray:
    shape, fortran, dtype, start = _header(data)
    if dtype.hasobject:
        message = f"{shown(name)} holds Python objects, not numbers; {CURE}"
        raise InputError(message)
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(data: bytes) -> tuple[Any, bool, np.dtype, int]:
    """Give shape, order and type of a .npy file, and where its values start."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    return (*read(file), file.tell())


def _dict(data: bytes) -> Any:
    """Read a pickled dict, or the one that np.save wrote as an array of one object."""
    if data.startswith(b"\x93NUMPY"):
        *_, dtype, start = _header(data)
        if not dtype.hasobject:
            message = f"holds one array, not a state dict; {CURE}"
            raise InputError(message)
        data = data[start:]
    found = unpickled(data, CURE)
    one = found.values if isinstance(found, Array) else None
    return _plain(found if one is None or one.size != 1 else one.item())


def _plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Turn what stands for dicts and arrays in a pickle into such."""
    if isinstance(value, Array):
        return value.shaped()
    if isinstance(value, Pairs) and depth:
        return {
            key.decode("latin1") if isinstance(key, bytes) else str(key): _plain(
                each, depth - 1
            )
            for key, each in value.items
        }
    return value
