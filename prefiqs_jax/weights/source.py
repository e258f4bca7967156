"""Read a weight file of any supported format as named arrays."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular
from prefiqs_jax.weights import mxnet_file, numpy_file, onnx_file, store, torch_file
from prefiqs_jax.weights.pruned import merge_pruned
from prefiqs_jax.weights.torch_file import SHARDED
from prefiqs_jax.weights.wording import naming


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
        ``"onnx"``, ``"torch"``, ``"safetensors"``, ``"mxnet"`` or ``"numpy"``.
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


READERS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "onnx": (onnx_file.read, ("tensors", "ignored", "users")),
    "torch": (torch_file.read, ("tensors", "ignored")),
    "safetensors": (store.load, ("tensors", "metadata")),
    "mxnet": (lambda path: [mxnet_file.read(path)], ("tensors",)),
    "numpy": (numpy_file.read, ("tensors", "ignored")),
}
"""By format: what reads it, and what the reader gives of a `Source`."""

SUFFIXES = {
    ".onnx": "onnx",
    **dict.fromkeys((".pth", ".pt", ".ckpt"), "torch"),
    ".safetensors": "safetensors",
    ".params": "mxnet",
    **dict.fromkeys((".npz", ".npy"), "numpy"),
}
"""Usual ends of names, which tell the format only where the content does not."""

_ARCHIVE = "an archive; unpack it, and give the file of the weights inside"
_OTHERS: Sequence[tuple[int, bytes, str]] = (
    (0, b"version https://git-lfs", "a Git LFS pointer, not the weights themselves; "
     "run git lfs pull, or download the file by its page"),
    (0, b"<", "a web page, not weights; download the file itself in a browser"),
    (0, b"\x89HDF", "an HDF5 file, as of Keras; export the network to ONNX"),
    (4, b"TFL3", "a TensorFlow Lite file; export the network to ONNX"),
    *((0, mark, _ARCHIVE) for mark in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc",
                                       b"Rar!")),
    (257, b"ustar", _ARCHIVE),
)  # fmt: skip
"""Where which bytes are, of files that hold no weights that can be read; what it is."""
_SHARD = (
    "one part of a checkpoint in shards; join them: python -m "
    "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth"
)
# With which the files of torch.save before its zip format begin.
_TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEAD = 512


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes in lower-case hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_source(path: Path | str, *, dense: bool = False) -> Source:
    """Read a weight file, whatever it is called.

    Nothing in the file is executed. Containers (``state_dict``, ``net_state_dict`` ...)
    are opened; prefixes of the names (``module.`` ...) are left to `strip_prefix`,
    which needs to know the architecture.

    Parameters
    ----------
    path
        A file of ONNX, PyTorch, safetensors, MXNet (``.params``) or NumPy.
    dense
        Of a network that torch.nn.utils.prune prunes, give the weights without masks.

    Returns
    -------
    source
        Its arrays, SHA-256, format, ignored entries and metadata.

    Raises
    ------
    InputError
        The file is missing, empty, damaged, of unknown format, would run code when
        read, or holds no weights. One line that names the file and the cure.
    """
    path = Path(path)
    form, sha256 = identify(path)
    read, parts = READERS[form]
    found = dict(zip(parts, read(path), strict=True))
    with naming(path):
        if any(re.fullmatch(r"(.+\.)?_?flat_param", name) for name in found["tensors"]):
            raise InputError(SHARDED)
        found["tensors"] = merge_pruned(found["tensors"], dense=dense)
    return Source(path, sha256, form, **found)


def identify(path: Path) -> tuple[str, str]:
    """Tell the format of a weight file by its content, and give its SHA-256.

    InputError unless it may be read: it is there, no folder, not empty, and of a known
    format.
    """
    check_regular(path)
    try:
        folder = path.is_dir()
        with contextlib.nullcontext() if folder else open(path, "rb") as file:
            head = file.read(_HEAD) if file else b""
        sha256 = "" if folder else file_sha256(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path}: cannot be opened ({reason}); check the path of the weights"
        raise InputError(message) from error
    known = ", ".join(SUFFIXES)
    message = ""
    if folder:
        message = f"a folder, not a weight file; give the file inside ({known})"
    elif not head:
        message = "empty file; get the weights again"
    elif path.suffix == ".distcp":
        message = _SHARD
    elif form := _told_by(head):
        return form, sha256
    elif other := [said for at, mark, said in _OTHERS if head.startswith(mark, at)]:
        message = other[0]
    elif form := SUFFIXES.get(path.suffix.lower()):
        return form, sha256
    else:
        message = f"unknown kind of weight file; use one of {known}"
    with naming(path):
        raise InputError(message)


def _told_by(head: bytes) -> str | None:
    """Tell the format by the first bytes, where these can be of no other one."""
    if head.startswith(b"PK\x03\x04"):
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return "numpy" if name.endswith(b".npy") else "torch"
    if head.startswith(b"\x93NUMPY"):
        return "numpy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "safetensors"
    if head.startswith(b"\x80"):
        return "torch" if _TORCH_MAGIC in head else "numpy"
    if int.from_bytes(head[:8], "little") == mxnet_file.MAGIC:
        return "mxnet"
    # The version of ONNX, and then the next field of its model.
    fields = b"\x12\x1a\x22\x28\x32\x3a\x42"
    return "onnx" if head[0] == 0x08 and head[2:3] and head[2] in fields else None
