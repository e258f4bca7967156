"""Read a weight file of any supported format as named arrays."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular
from prefiqs_jax.weights import mxnet_file, onnx_file, store, torch_file
from prefiqs_jax.weights.pruned import merge_pruned


@dataclass(frozen=True)
class Source:
    """The named arrays of one weight file, and where they come from.

    Parameters
    ----------
    path
        The file.
    sha256
        Digest of its bytes, in lower-case hexadecimal.
    format
        ``"onnx"``, ``"torch"``, ``"safetensors"`` or ``"mxnet"``.
    tensors
        Arrays under the names of the file, prefixes included. Every float type comes
        as float32 (float64 is rounded); integers and bools keep their type.
    ignored
        What else the file holds, and why it is not in `tensors`.
    metadata
        Text that the file states about itself. Only .safetensors files have it;
        `store.is_own` says whether this package wrote them.
    users
        Tensor to the node that takes it; only .onnx files have nodes.
    """

    path: Path
    sha256: str
    format: str
    tensors: dict[str, np.ndarray]
    ignored: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    users: dict[str, onnx_file.User] = field(default_factory=dict)


_TORCH = ("torch", torch_file.read, ("tensors", "ignored"))
READERS: dict[str, tuple[str, Callable[[Path], Any], tuple[str, ...]]] = {
    ".onnx": ("onnx", onnx_file.read, ("tensors", "ignored", "users")),
    ".pth": _TORCH,
    ".pt": _TORCH,
    ".ckpt": _TORCH,
    ".safetensors": ("safetensors", store.load, ("tensors", "metadata")),
    ".params": ("mxnet", lambda path: [mxnet_file.read(path)], ("tensors",)),
}
"""By extension: the format, what reads it, and what the reader gives of a `Source`."""


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes in lower-case hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_source(path: Path | str) -> Source:
    """Read a weight file by its extension.

    Nothing in the file is executed. Containers (``state_dict``, ``net_state_dict`` ...)
    are opened; prefixes of the names (``module.`` ...) are left to `strip_prefix`,
    which needs to know the architecture.

    Parameters
    ----------
    path
        A .onnx, .pth, .pt, .ckpt, .safetensors or .params (MXNet) file.

    Returns
    -------
    source
        Its arrays, SHA-256, format, ignored entries and metadata.

    Raises
    ------
    InputError
        The file is missing, empty, damaged, of unknown extension, would run code when
        read, or holds no weights. One line that names the file and the cure.
    """
    path = Path(path)
    sha256 = checked_digest(path)
    form, read, parts = READERS[path.suffix.lower()]
    found = dict(zip(parts, read(path), strict=True))
    try:
        found["tensors"] = merge_pruned(found["tensors"])
    except InputError as error:
        message = f"{path}: {error}"
        raise InputError(message) from error
    return Source(path, sha256, form, **found)


def checked_digest(path: Path) -> str:
    """Return the SHA-256 of a weight file; InputError unless it may be read.

    That is: it is there, not empty, no folder, and of a known extension.
    """
    known = ", ".join(READERS)
    if path.suffix.lower() not in READERS:
        message = f"{path}: unknown kind of weight file; use one of {known}"
        raise InputError(message)
    check_regular(path)
    try:
        folder, empty = path.is_dir(), path.stat().st_size == 0
        sha256 = "" if folder else file_sha256(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path}: cannot be opened ({reason}); check the path of the weights"
        raise InputError(message) from error
    if folder:
        message = f"{path}: a folder, not a weight file; give the file inside ({known})"
        raise InputError(message)
    if empty:
        message = f"{path}: empty file; get the weights again"
        raise InputError(message)
    return sha256
