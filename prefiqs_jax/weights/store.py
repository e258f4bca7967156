"""Keep weights with their provenance in a .safetensors file."""

import json
import math
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic, clear_beside
from prefiqs_jax.weights.floats import BFLOAT16, as_float32
from prefiqs_jax.weights.wording import AGAIN, naming, parsing, shown

FORMAT = "prefiqs-jax 1"
# That of iResNet-100 has 0.1 MB; what JSON makes of a file may be 30 times its size.
MAX_HEADER = 4 * 2**20
_DTYPES = {
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(bool),
}
_NAMES = {dtype.name: name for name, dtype in _DTYPES.items()}


def is_own(metadata: Mapping[str, Any]) -> bool:
    """Return whether this package wrote the file that has this metadata."""
    return metadata.get("format") == FORMAT


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> None:
    """Write arrays and text about them to a .safetensors file, all or nothing.

    The same arrays and metadata give the same bytes, so the SHA-256 of the file
    identifies them. (The safetensors package writes its header in random order.)
    ``format`` is set here. InputError if the file cannot be written, and nothing is
    left behind; ValueError for a type that the format lacks, or a reserved name.
    """
    clear_beside(path)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(_header(tensors, metadata))
        for name in sorted(tensors):
            array = np.asarray(tensors[name], order="C")
            # The values themselves, without a copy of them as bytes.
            array.astype(array.dtype.newbyteorder("<"), copy=False).tofile(file)


def load(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read arrays and metadata of a .safetensors file, of this package or any other.

    Every float type comes as float32 (bfloat16 and float16 exactly, float64 rounded),
    others as they are. Float32 and integers are views of the file, which is mapped into
    memory rather than read. InputError if the file is damaged, of a newer version of
    this package, or has a type that NumPy lacks.
    """
    path = Path(path)
    with naming(path), parsing():
        from safetensors import safe_open

        with open(path, "rb") as file:
            # The arrays keep the mapping alive, which outlives the opened file.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(data[:8], "little")
        if length > MAX_HEADER:
            message = f"damaged: claims a header of {length} bytes; {AGAIN}"
            raise InputError(message)
        # Checks that the arrays lie one behind the other and fill the file.
        with safe_open(path, framework="numpy"):
            header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", None) or {}
        stated = metadata.get("format", "")
        if stated.startswith("prefiqs-jax ") and stated != FORMAT:
            message = f"format {shown(stated)} is unknown here; update prefiqs-jax"
            raise InputError(message)
        arrays = {name: _array(data, name, header[name], 8 + length) for name in header}
    return arrays, metadata


def _header(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> bytes:
    header: dict[str, object] = {"__metadata__": dict(metadata) | {"format": FORMAT}}
    if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        message = "metadata of a .safetensors file is text only"
        raise ValueError(message)
    start = 0
    for name in sorted(tensors):
        array = tensors[name]
        if array.dtype.name not in _NAMES or name == "__metadata__":
            message = (
                f"cannot store {name} of type {array.dtype} in a .safetensors file"
            )
            raise ValueError(message)
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _array(data: mmap.mmap, name: str, part: Mapping, start: int) -> np.ndarray:
    dtype = BFLOAT16 if part["dtype"] == "BF16" else _DTYPES.get(part["dtype"])
    if dtype is None:
        message = f"{shown(name)} has the type {part['dtype']}; save it as float32"
        raise InputError(message)
    first = start + part["data_offsets"][0]
    count = math.prod(part["shape"])
    array = np.frombuffer(data, dtype.newbyteorder("<"), count, first)
    return as_float32(array.reshape(part["shape"]))
