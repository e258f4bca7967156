"""What a process of a run has to do: which batches, of what size, of which images."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import jax

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    ImageFolder,
    Inventory,
    batch_count,
    refuse_bad,
    refuse_changed,
    take_inventory,
)
from prefiqs_jax.results.inventory import read_inventory, write_inventory
from prefiqs_jax.results.parts import run_digest, sound_parts
from prefiqs_jax.results.run_folder import CONTENT, check_setting, claim_run, open_run
from prefiqs_jax.sweep.distributed import Agreed, Share, abort_all_on_error, agree
from prefiqs_jax.sweep.planner import default_batch_size

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What one process of a run has to do.

    Attributes
    ----------
    share
        Which process this is.
    batches
        Indices of this process's batches that are to be done.
    done
        How many of its batches were done before.
    complete
        Whether the whole run was.
    settings
        Settings of the run, with its batch size and the digest of its images' content.
    manifest
        Manifest of the run that is continued; None for a new one.
    inventory
        What the images' files hold.
    schema
        Schema of the parts.
    """

    share: Share
    batches: list[int]
    done: int
    complete: bool
    settings: dict[str, Any]
    manifest: dict[str, Any] | None
    inventory: Inventory
    schema: "pa.Schema"

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the run, which its parts carry."""
        return run_digest(self.settings)

    def check_images(self, folder: ImageFolder, batch: int) -> None:
        """Raise InputError if a batch's images changed since the run was opened."""
        size = self.settings["batch_size"]
        end = min((batch + 1) * size, len(folder.names))
        refuse_changed(folder, self.inventory, range(batch * size, end))


@contextlib.contextmanager
def assign(
    backbone: Backbone,
    folder: ImageFolder,
    out: str | os.PathLike[str],
    settings: Mapping[str, Any],
    schema: "pa.Schema",
    *,
    device_count: int = 1,
    on_bad_image: Literal["fail", "skip"],
    beside: frozenset[str] = frozenset(),
    distributed: bool = False,
    doing: str,
    say: Callable[[str], None],
    progress: bool,
) -> Iterator[Assignment]:
    """Open the run, check the images, and agree with other processes, if any.

    The folder of the run is this process's until the context ends; of several that
    share a run out, it is the first one's.

    Parameters
    ----------
    backbone, folder, out
        As in :func:`prefiqs_jax.sweep.sweep`.
    settings
        That decide the rows; a batch size of None is chosen here.
    schema
        Schema of the parts.
    device_count
        Devices of this process.
    on_bad_image, beside, distributed
        As in :class:`prefiqs_jax.sweep.SweepOptions`.
    doing
        What this process does, for the message of another one.
    say
        Is told of parts that have to be made again.
    progress
        Whether to show a bar while files are compared.

    Raises
    ------
    InputError
        If the run has other settings or images, an image cannot be used, another
        process works on the run or is at odds with this one. Nothing has been written
        then.
    """
    count = len(folder.names)
    _check_apart(folder, out)
    together = abort_all_on_error if distributed else contextlib.nullcontext
    with contextlib.ExitStack() as stack:
        with together():
            if distributed and jax.process_index():
                manifest = open_run(out, settings, beside=beside)
            else:
                claim = claim_run(out, settings, doing, beside=beside)
                manifest = stack.enter_context(claim)
            size = (manifest or {"settings": settings})["settings"]["batch_size"]
            size = size or default_batch_size(
                count, device_count, jax.process_count() if distributed else 1
            )
            first = not distributed or jax.process_index() == 0
            # Each process looks: its images may be a copy of its own.
            inventory = _inventory(folder, out, manifest, keep=first, progress=progress)
            fixed = {**settings, "batch_size": size, CONTENT: inventory.sha256}
            done: set[int] = set()
            if first:
                done, bad = sound_parts(out, schema, fixed)
                for line in bad:
                    say(f"{line}; it is made again")
                if on_bad_image == "fail" and len(done) < batch_count(folder, size):
                    pixels = backbone.preprocessing
                    size_of = pixels.height, pixels.width, backbone.name
                    refuse_bad(folder, *size_of, progress=progress)
        agreed = Agreed(Share(), size, frozenset(done))
        if distributed:
            agreed = agree(
                {**settings, CONTENT: inventory.sha256},
                batch_size=size,
                batch_bound=count,
                done=done,
            )
        every = range(batch_count(folder, agreed.batch_size))
        missing = [index for index in every if index not in agreed.done]
        yield Assignment(
            agreed.share,
            agreed.share.of(missing),
            len(agreed.share.of(sorted(agreed.done))),
            not missing,
            {**fixed, "batch_size": agreed.batch_size},
            manifest,
            inventory,
            schema,
        )


def _check_apart(folder: ImageFolder, out: str | os.PathLike[str]) -> None:
    """Refuse a run among its images: the next call would take its figures for some."""
    root = os.path.realpath(folder.root)
    inside = os.path.commonpath([root, os.path.realpath(out)]) == root
    if inside and folder.is_whole and os.path.isdir(root):
        message = f"{out} lies in the folder of the images, {root}; give another --out"
        raise InputError(message)


def _inventory(
    folder: ImageFolder,
    out: str | os.PathLike[str],
    manifest: dict[str, Any] | None,
    *,
    keep: bool,
    progress: bool,
) -> Inventory:
    """Find out what the files hold; refuse images that are not those of the run."""
    if manifest is None:
        return take_inventory(folder, progress=progress)
    known = read_inventory(out)
    if known and known.sha256 != manifest["settings"].get(CONTENT):
        known = None  # it is not this run's
    found = take_inventory(folder, known, progress=progress)
    changed = found.changed_since(known) if known else []
    if changed:
        more = f" and {len(changed) - 1} more images" if changed[1:] else ""
        message = (
            f"{out} was made with other content of {changed[0]}{more}; give another "
            "--out or the same images"
        )
        raise InputError(message)
    check_setting(out, manifest, CONTENT, found.sha256)
    if keep and found != known:
        write_inventory(out, found)
    return found
