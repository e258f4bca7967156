"""Refuse PyTorch files that would take far more memory than they have bytes."""

import io
import mmap
import zipfile
from collections.abc import Hashable
from pathlib import Path

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.pickle_cost import claimed_bytes
from prefiqs_jax.weights.wording import AGAIN, parsing

RESAVE = "save it again with torch.save(model.state_dict(), ...)"
# Magic number, protocol, system, objects, keys of the storages: all before torch 1.6.
LEGACY_PICKLES = 5
# A directory of the records with 46 bytes or more for each.
MAX_DIRECTORY = 8 * 2**20
DIRECTORY_END, DIRECTORY_END_64 = b"PK\x05\x06", b"PK\x06\x06"
LOCAL_HEADER = 30


def check_zip(path: Path) -> None:
    """Check a file of torch 1.6 or later: an archive of a pickle and raw storages.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        It is damaged, a program, compressed, has records that share bytes, or its
        storages claim more bytes than there are.
    """
    with parsing(), open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if _directory_size(data) > MAX_DIRECTORY:
            message = f"holds too many records for a checkpoint; {RESAVE}"
            raise InputError(message)
        with zipfile.ZipFile(file) as archive:
            records = sorted(archive.infolist(), key=lambda info: info.header_offset)
            end = archive.start_dir
        if any(info.filename.endswith("/constants.pkl") for info in records):
            message = f"a TorchScript program, not a state dict; {RESAVE}"
            raise InputError(message)
        _check_records(records, end)
        claims: dict[Hashable, int] = {}
        for info in records:
            if info.filename.rpartition("/")[2] == "data.pkl":
                claims |= claimed_bytes(io.BytesIO(_stored(data, info)))
        _check_claims(claims, len(data))


def check_legacy(path: Path) -> None:
    """Check a file of torch before 1.6: pickles, then raw storages.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        It is damaged, or its storages claim more bytes than there are.
    """
    with parsing(), open(path, "rb") as file:
        claims: dict[Hashable, int] = {}
        size = path.stat().st_size
        for _ in range(LEGACY_PICKLES):
            # A plain pickle ends here; torch tells what is wrong with it.
            if file.tell() < size:
                claims |= claimed_bytes(file)
        _check_claims(claims, size)


def _check_claims(claims: dict[Hashable, int], size: int) -> None:
    if sum(claims.values()) > size:
        message = f"damaged: its tensors claim more bytes than the file holds; {AGAIN}"
        raise InputError(message)


def _check_records(records: list[zipfile.ZipInfo], end: int) -> None:
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
