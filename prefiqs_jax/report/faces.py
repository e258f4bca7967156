"""Choose the most and least stable faces of a run and open their images."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from prefiqs_jax.benchmarks import copy_named, degraded_folder
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    BadImage,
    ImageFolder,
    Inventory,
    read_folder,
    take_inventory,
)
from prefiqs_jax.images.opening import quiet_pillow
from prefiqs_jax.images.stores import FILES, Store
from prefiqs_jax.plots import Face
from prefiqs_jax.report.rounded import setting_of

if TYPE_CHECKING:
    import pandas as pd

# Twice the size on the page, so that a zoom shows the image and not its pixels.
_LONGEST_SIDE_PX = 224


class StableFaces(NamedTuple):
    """The two ends of a run at one sparsity, most extreme first."""

    most_stable: list[Face]
    least_stable: list[Face]
    note: str
    """What is missing and why; empty if nothing is."""


def choose_faces(
    rows: "pd.DataFrame", sparsity: float, count: int = 12
) -> "pd.DataFrame":
    """Take the images of smallest and of largest drift at one sparsity of a run.

    Up to `count` an end, and none at both. Columns end ("most stable" or "least
    stable"), rank from 1, image, identity, sparsity, drift, quality.
    """
    import pandas as pd

    chosen = rows.loc[rows["sparsity"] == sparsity].sort_values(
        ["drift", "image"], kind="stable"
    )
    most = min(count, (len(chosen) + 1) // 2)
    least = min(count, len(chosen) // 2)
    both = pd.concat([chosen.iloc[:most], chosen.iloc[::-1].iloc[:least]])
    table = both.loc[:, ["image", "identity", "sparsity", "drift", "quality"]].copy()
    table.insert(0, "rank", [*range(1, most + 1), *range(1, least + 1)])
    table.insert(0, "end", ["most stable"] * most + ["least stable"] * least)
    return table.reset_index(drop=True)


def find_folder(manifest: dict[str, Any], images: Path | None) -> Path | None:
    """Give the folder of the images: as asked for, or as the run recorded it."""
    if images is not None:
        if not images.is_dir():
            message = f"{images} is no folder; give the folder of the run's images"
            raise InputError(message)
        return images
    recorded = (manifest.get("images") or {}).get("folder")
    return Path(recorded) if recorded and Path(recorded).is_dir() else None


def degraded_copies(
    rows: "pd.DataFrame", folder: Path | None, manifest: dict[str, Any]
) -> ImageFolder | None:
    """Deal the degraded copies of a run out again, to see what the network saw.

    None if the run has no copies, or would get others from this folder.
    """
    names = set(rows["image"])
    copies = [copy for copy in map(copy_named, names) if copy is not None]
    if not copies or folder is None:
        return None
    each = max(Counter(original for original, *_ in copies).values())
    originals = read_folder(folder, identities_matter=False)
    seed = setting_of(manifest, "seed") or 0
    found, _, _ = degraded_folder(originals, each, seed=seed)
    return found if names <= set(found.names) else None


def open_faces(
    chosen: "pd.DataFrame",
    folder: Path | None,
    copies: ImageFolder | None = None,
    measured: Inventory | None = None,
) -> StableFaces:
    """Open the images of :func:`choose_faces`; a note says what is not shown.

    Parameters
    ----------
    folder, copies
        Folder of the images, None if it is gone; and what :func:`degraded_copies`
        gives.
    measured
        What the images' files held when they were measured; None if unknown.
    """
    ends: dict[str, list[Face]] = {"most stable": [], "least stable": []}
    if folder is None:
        note = (
            "The images of this run are not where it read them; write the report again "
            "with the folder they are in to see them."
        )
        return StableFaces([], [], note)
    missing = []
    store = FILES if copies is None else copies.store
    changed = _changed(chosen["image"].tolist(), folder, store, measured)
    for row in chosen.to_dict("records"):
        name = row["image"]
        if name in changed:
            continue
        pixels = open_image(store, folder, name)
        if pixels is None:
            missing.append(name)
            continue
        # A copy's name says behind the file's what was done to it.
        file, tilde, what = name.partition("~")
        label = f"{PurePosixPath(file).stem}{tilde}{what}"
        face = Face(pixels, label, quality=row["quality"], drift=row["drift"])
        ends[row["end"]].append(face)
    notes = []
    if missing:
        first = missing[0] + (", …" if len(missing) > 1 else ".")
        notes.append(
            f"Images of the grid that could not be opened: {len(missing)}, {first}"
        )
    if changed:
        notes.append(
            "Images of the grid whose content is no longer what was measured: "
            f"{len(changed)}, such as {min(changed)}."
        )
    return StableFaces(ends["most stable"], ends["least stable"], " ".join(notes))


def _changed(
    names: list[str], folder: Path, store: Store, measured: Inventory | None
) -> set[str]:
    """List the images whose files are there, but hold something else now."""
    if measured is None:
        return set()
    now = ImageFolder(folder, tuple(names), (None,) * len(names), None, (), store)
    found = take_inventory(now, measured)
    known = zip(found.names, found.contents, strict=True)
    there = {name for name, content in known if content.sha256}
    return there & set(found.changed_since(measured))


def open_image(store: Store, folder: Path, name: str) -> np.ndarray | None:
    """Open an image of a run, small; None if it cannot be."""
    relative = PurePosixPath(name)
    # A run may come from elsewhere: its names must not lead out of the folder.
    if relative.is_absolute() or ".." in relative.parts:
        return None
    try:
        with quiet_pillow():
            image = Image.fromarray(store.load(folder, name, None).pixels)
    except BadImage:
        return None
    image.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX))
    return np.asarray(image)
