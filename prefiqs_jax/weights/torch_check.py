"""Refuse PyTorch files that would take far more memory than they have bytes.

The pickle of a file is followed with stand-ins for all that it names, so that a few
bytes which claim terabytes, nest a million tuples, or double a tuple forty times (whose
hash then takes hours) are refused before PyTorch builds anything.
"""

import io
import mmap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.unpickle import CODES, STEPS, Pairs, Refused, Step, Unpickler
from prefiqs_jax.weights.wording import AGAIN, parsing

RESAVE = "save it again with torch.save(model.state_dict(), ...)"
# A checkpoint of LResNet100 with the state of its optimiser has 100,000 steps.
MAX_STEPS = 2**19
# Hashing and comparing nested tuples recurses in C, where nothing limits the depth.
MAX_DEPTH = 100
# Magic number, protocol, system, objects, keys of the storages: all before torch 1.6.
LEGACY_PICKLES = 5
# A directory of the records with 46 bytes or more for each.
MAX_DIRECTORY = 8 * 2**20
DIRECTORY_END, DIRECTORY_END_64 = b"PK\x05\x06", b"PK\x06\x06"
LOCAL_HEADER = 30
ITEM_SIZES = {
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    "ComplexDouble": 16,
}


def asked_names(path: Path, zipped: bool) -> tuple[set[str], int]:
    """Check a file; give the classes and functions it asks for, and its protocol.

    `zipped` says whether it is of torch 1.6 or later: an archive of a pickle and raw
    storages. Before, files were pickles, and raw storages behind them. InputError if it
    is damaged, a program, compressed, has records that share bytes, would build too
    much or too deeply nested objects, allocates by a number, or its storages claim more
    bytes than there are.
    """
    names: set[str] = set()
    claims: dict[Any, int] = {}
    protocol = 0
    with parsing(), open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if zipped:
            pickles = [io.BytesIO(each) for each in _stored_pickles(data, file)]
        else:
            pickles = [data] * LEGACY_PICKLES
        for each in pickles:
            # A plain pickle ends early; torch tells what is wrong with it.
            if each is data and data.tell() == len(data):
                break
            dry_run = _DryRun(each, MAX_STEPS)
            try:
                dry_run.load()
            except Refused as error:
                message = f"{error}, far more than weights need; {RESAVE}"
                raise InputError(message) from error
            names |= dry_run.names
            claims |= dry_run.claims
            protocol = max(protocol, dry_run.proto)
        if sum(claims.values()) > len(data):
            message = (
                f"damaged: its tensors claim more bytes than the file holds; {AGAIN}"
            )
            raise InputError(message)
    return names, protocol


class _Inert(Pairs):
    """Whatever PyTorch would call or build; it takes any state."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def __call__(self, *arguments: Any) -> "_Inert":
        # torch._tensor._rebuild_from_type_v2 calls its first argument.
        for each in (self, *arguments[:1]):
            if isinstance(each, _Inert) and _allocates(each.name):
                message = f"asks for memory by {each.name}"
                raise Refused(message)
        return _Inert()

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""
        del state


class _Size(NamedTuple):
    """How much there is to visit in a tuple."""

    made: tuple[Any, ...]
    """The tuple; held, so that no other one gets its id."""
    depth: int
    items: int


def _weighed(step: Step) -> Step:
    """Make a step that puts a tuple on the stack again cost all that is in it."""

    def follow(machine: Any) -> None:
        step(machine)
        top, sizes = machine.stack[-1], machine.sizes
        if not isinstance(top, tuple):
            return
        if id(top) in sizes:
            machine.counted.spend(sizes[id(top)].items)
            return
        inner = [sizes[id(part)] for part in top if isinstance(part, tuple)]
        depth = 1 + max((each.depth for each in inner), default=0)
        if depth > MAX_DEPTH:
            message = "nests its objects too deeply"
            raise Refused(message)
        items = 1 + len(top) + sum(each.items for each in inner)
        sizes[id(top)] = _Size(top, depth, items)

    return follow


_TUPLES = "EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE GET BINGET LONG_BINGET"


class _DryRun(Unpickler):
    """Follows a pickle of PyTorch, and notes what it asks for."""

    steps: ClassVar[Mapping[int, Step]] = {
        **STEPS,
        CODES["NEWOBJ"]: STEPS[CODES["REDUCE"]],
        CODES["BINPERSID"]: Unpickler.dispatch[CODES["BINPERSID"]],
        **{CODES[name]: _weighed(STEPS[CODES[name]]) for name in _TUPLES.split()},
    }

    def __init__(self, file: Any, most_steps: int) -> None:
        super().__init__(file, most_steps)
        self.names: set[str] = set()
        self.claims: dict[Any, int] = {}
        """Bytes of the storages by their key."""
        self.sizes: dict[int, _Size] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give a stand-in for anything."""
        full = f"{module}.{name}"
        self.names.add(full)
        # The class of tensors is an argument, too: only calls of it allocate.
        if _allocates(full) and full != "torch.Tensor":
            message = f"asks for memory by {full!r:.80}"
            raise Refused(message)
        return _Inert(full)

    def persistent_load(self, pid: Any) -> Any:
        """Note the bytes of a storage."""
        kind, storage, key, _, count, *_ = pid
        if kind not in ("storage", b"storage") or type(count) is not int or count < 0:
            message = "a persistent id is no storage"
            raise ValueError(message)
        if not isinstance(key, str | bytes | int) or not isinstance(storage, _Inert):
            message = "a storage has no key or no type"
            raise ValueError(message)
        item = storage.name.rpartition(".")[2].removesuffix("Storage")
        self.claims.setdefault(key, count * ITEM_SIZES.get(item, 1))
        return _Inert()


def _allocates(name: str) -> bool:
    """Return whether torch lets a pickle call this with a number of bytes."""
    module, _, kind = name.rpartition(".")
    return kind == "bytearray" or (
        module.partition(".")[0] == "torch" and kind.endswith("Tensor")
    )


def _stored_pickles(data: mmap.mmap, file: Any) -> list[bytes]:
    """Check an archive, and give its records with pickles of weights."""
    if _directory_size(data) > MAX_DIRECTORY:
        message = f"holds too many records for a checkpoint; {RESAVE}"
        raise InputError(message)
    with zipfile.ZipFile(file) as archive:
        records = sorted(archive.infolist(), key=lambda info: info.header_offset)
        end = archive.start_dir
    files = [info.filename.rpartition("/")[2] for info in records]
    if "data.pkl" not in files:
        message = (
            "a zip archive, not a file of torch.save; unpack it, and give the file of "
            "the weights inside"
        )
        raise InputError(message)
    if "constants.pkl" in files:
        message = f"a TorchScript program, not a state dict; {RESAVE}"
        raise InputError(message)
    starts = [info.header_offset for info in records[1:]] + [end]
    for info, following in zip(records, starts, strict=True):
        stored = info.compress_type == zipfile.ZIP_STORED
        if not stored or info.compress_size != info.file_size:
            message = f"a compressed archive, which torch.save never writes; {RESAVE}"
            raise InputError(message)
        least = LOCAL_HEADER + len(info.filename) + info.file_size
        if info.header_offset + least > following:
            message = f"an archive whose records share bytes; {RESAVE}"
            raise InputError(message)
    return [
        _stored(data, info)
        for info in records
        if info.filename.rpartition("/")[2] == "data.pkl"
    ]


def _stored(data: mmap.mmap, info: zipfile.ZipInfo) -> bytes:
    """Return a record by its header, since torch may leave out the checksums."""
    at = info.header_offset
    names = (data[at + 26 : at + 28], data[at + 28 : at + 30])
    start = at + LOCAL_HEADER + sum(int.from_bytes(n, "little") for n in names)
    return data[start : start + info.file_size]


def _directory_size(data: mmap.mmap) -> int:
    """Return the bytes of an archive's directory, which `zipfile` reads at once."""
    end = data.rfind(DIRECTORY_END)
    if end < 0:
        message = "the end of the archive is missing"
        raise ValueError(message)
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    wide = data.rfind(DIRECTORY_END_64, max(0, end - 2**16), end)
    if wide >= 0:
        size = max(
            size % 0xFFFFFFFF, int.from_bytes(data[wide + 40 : wide + 48], "little")
        )
    return size
