"""Read PyTorch checkpoints without executing anything in them."""

import contextlib
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.unpickle import Array, DType, Refused
from prefiqs_jax.weights.containers import unwrap
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.torch_check import RESAVE, asked_names
from prefiqs_jax.weights.wording import naming, parsing, shown

# What training frameworks leave beside the weights: PyTorch Lightning before 1.5 keys
# the state of its callbacks by class (AdaFace), others store scores as NumPy scalars,
# and the options of the command line.
# `weights_only` refuses these names, so empty classes take their place.
NOT_WEIGHTS = re.compile(
    r"(pytorch_lightning|lightning|lightning_fabric)\.[\w.]+"
    r"|argparse\.Namespace|pathlib\.\w+"
    r"|numpy\.(_?core\.multiarray\.(scalar|_reconstruct)|dtype|ndarray|dtypes\.\w+)"
)
MAX_STAND_INS = 64
# What torch.load(weights_only=True) follows.
MOST_PROTOCOL = 3
SHARDED = (
    "holds one process's part of a network in shards (FSDP), not whole tensors; save "
    "the full state dict, as torch.distributed.checkpoint.state_dict does with "
    "StateDictOptions(full_state_dict=True)"
)
# float8 to float32 is a factor of 4; a state dict may name shared weights twice.
MAX_GROWTH = 16


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the state dict of a file of ``torch.save``, and why the rest is ignored.

    Files of ``torch.save`` in its zip format, which are mapped into memory rather than
    read, or in the one before torch 1.6, for any device. Floats come as float32,
    integers as they are. InputError if there is no torch, or the file is damaged, would
    run code, or holds no state dict.
    """
    with naming(path):
        torch = _torch()
        loaded = _load(torch, path)
        with parsing():
            state, ignored = unwrap(loaded)
        needed = sum(
            0 if isinstance(tensor, Array) else 4 * tensor.numel()
            for tensor in state.values()
        )
        if needed > MAX_GROWTH * path.stat().st_size + 2**20:
            message = "its tensors claim far more memory than the file holds; " + RESAVE
            raise InputError(message)
        arrays = {name: _array(torch, name, t) for name, t in state.items()}
    return arrays, ignored


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        message = (
            "reading this file needs PyTorch; pip install 'prefiqs-jax[torch]' "
            "(the CPU build is enough)"
        )
        raise InputError(message) from error
    return torch


def _load(torch: Any, path: Path) -> Any:
    with open(path, "rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    names, protocol = asked_names(path, zipped)
    if any(name.startswith("torch.distributed.") for name in names):
        raise InputError(SHARDED)
    beside = sorted(filter(NOT_WEIGHTS.fullmatch, names))
    stand_ins: list[Any] = [_stand_in(name) for name in beside[:MAX_STAND_INS]]
    try:
        with (
            torch.serialization.safe_globals(stand_ins),
            warnings.catch_warnings(),
            parsing(),
        ):
            # About another pickle protocol, which loads or fails all the same.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(
                str(path), map_location="cpu", weights_only=True, mmap=zipped
            )
    except InputError as error:
        # torch states the cause in the midst of a long message.
        cause = str(error.__cause__)
        if protocol > MOST_PROTOCOL:
            message = (
                f"was saved with pickle_protocol={protocol}, which is not read without "
                "running it; save it again without that argument"
            )
        elif refused := re.search(r"GLOBAL ([\w.]+)", cause):
            message = (
                f"refused, since loading it could run code (it asks for "
                f"{shown(refused[1].rstrip('.'))}); where you trust it, load it "
                f"yourself and {RESAVE}"
            )
        elif cause.startswith("Weights only load failed"):
            # Its own first line advises to load without this protection.
            message = (
                "damaged, no PyTorch file, or not of plain weights; "
                f"get the file again, or {RESAVE}"
            )
        else:
            raise
        raise InputError(message) from error


def _stand_in(name: str) -> type:
    """Return an empty class for torch to build instead of the one of that name."""
    module, _, kind = name.rpartition(".")

    def take(self: object, *_args: object, **_kwargs: object) -> None:
        """Accept any arguments or state, and keep none."""

    inert = {
        "__new__": lambda cls, *_args, **_kwargs: object.__new__(cls),
        "__init__": take,
        "__setstate__": take,
    }
    base = {"dtype": _DType, "_reconstruct": _Values}.get(kind)
    members = {"__module__": module} | (inert if base is None else {})
    return type(kind, (base,) if base else (), members)


class _Values(Array):
    """A NumPy array beside tensors, or in their place."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Take the state; of an array of no numbers none, so it is no tensor."""
        with contextlib.suppress(TypeError, ValueError):
            super().__setstate__(state)
            array = self.shaped()
            self.shape, self.dtype = array.shape, array.dtype


class _DType(DType):
    """The type of the values of such an array."""

    def __init__(self, *arguments: Any) -> None:
        try:
            super().__init__(*arguments)
        except Refused:
            self.dtype = np.dtype(object)


def _array(torch: Any, name: str, tensor: Any) -> np.ndarray:
    if isinstance(tensor, Array):
        return as_float32(tensor.shaped())
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_quantized:
        message = f"{shown(name)} is sparse, quantised or without values; {RESAVE}"
        raise InputError(message)
    with parsing(f"save {shown(name)} as float32"):
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float32)
        return tensor.resolve_conj().resolve_neg().numpy()
