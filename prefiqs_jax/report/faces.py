"""Choose the extreme faces of a run, in drift or in residual; open their images."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
from prefiqs_jax.plots import Face, MissedFace
from prefiqs_jax.report.rounded import setting_of

if TYPE_CHECKING:
    import pandas as pd

# Twice the size on the page, so that a zoom shows the image and not its pixels.
_LONGEST_SIDE_PX = 224


class Opened(NamedTuple):
    """Images of a run, as far as they could be opened."""

    pixels: dict[str, np.ndarray]
    note: str = ""
    """What is missing and why; empty if nothing is."""


def choose_faces(
    rows: "pd.DataFrame", sparsity: float, count: int = 8
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


def choose_worst(
    rows: "pd.DataFrame",
    sparsity: float,
    kinds: Mapping[str, str] | None = None,
    count: int = 8,
) -> "pd.DataFrame":
    """Take the images whose change the first order misses most at one sparsity.

    Up to `count` of each kind. Rows have the column relative_residual. Columns kind
    (empty without kinds), rank from 1, image, identity, sparsity, relative_residual,
    drift, first_order, cosine.
    """
    import pandas as pd

    chosen = rows.loc[
        (rows["sparsity"] == sparsity) & rows["relative_residual"].notna()
    ]
    kind = chosen["image"].map(kinds) if kinds else ""
    chosen = chosen.assign(kind=kind).sort_values(
        ["relative_residual", "image"], ascending=[False, True], kind="stable"
    )
    wanted = list(dict.fromkeys(kinds.values())) if kinds else [""]
    parts = [chosen.loc[chosen["kind"] == name].iloc[:count] for name in wanted]
    parts = [part.assign(rank=range(1, len(part) + 1)) for part in parts]
    columns = ["kind", "rank", "image", "identity", "sparsity", "relative_residual"]
    columns += ["drift", "first_order", "cosine"]
    return pd.DataFrame(pd.concat(parts, ignore_index=True), columns=columns)


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
    chosen: Iterable[str],
    folder: Path | None,
    copies: ImageFolder | None = None,
    measured: Inventory | None = None,
) -> Opened:
    """Open images of a run by name; a note says what is not shown.

    Parameters
    ----------
    folder, copies
        Folder of the images, None if it is gone; and what :func:`degraded_copies`
        gives.
    measured
        What the images' files held when they were measured; None if unknown.
    """
    names = list(dict.fromkeys(chosen))
    if folder is None:
        note = (
            "The images of this run are not where it read them; write the report again "
            "with the folder they are in to see them."
        )
        return Opened({}, note)
    store = FILES if copies is None else copies.store
    changed = _changed(names, folder, store, measured)
    there = [name for name in names if name not in changed]
    opened = {name: open_image(store, folder, name) for name in there}
    pixels = {name: image for name, image in opened.items() if image is not None}
    missing = [name for name in there if name not in pixels]
    notes = []
    if missing:
        first = missing[0] + (", …" if len(missing) > 1 else ".")
        notes.append(
            f"Images of the grids that could not be opened: {len(missing)}, {first}"
        )
    if changed:
        notes.append(
            "Images of the grids whose content is no longer what was measured: "
            f"{len(changed)}, such as {min(changed)}."
        )
    return Opened(pixels, " ".join(notes))


def stable_faces(chosen: "pd.DataFrame", opened: Opened) -> dict[str, list[Face]]:
    """Give the faces of :func:`choose_faces` that could be opened, by end."""
    ends: dict[str, list[Face]] = {"most stable": [], "least stable": []}
    for row in chosen.to_dict("records"):
        if row["image"] in opened.pixels:
            pixels = opened.pixels[row["image"]]
            face = Face(pixels, _label(row["image"]), row["quality"], row["drift"])
            ends[row["end"]].append(face)
    return ends


def missed_faces(
    worst: "pd.DataFrame", opened: Opened, where: str
) -> dict[str, list[MissedFace]]:
    """Give the faces of :func:`choose_worst` that could be opened, by heading."""
    found: dict[str, list[MissedFace]] = {}
    for row in worst.to_dict("records"):
        if row["image"] in opened.pixels:
            heading = f"{row['kind']} images, {where}" if row["kind"] else where
            pixels, label = opened.pixels[row["image"]], _label(row["image"])
            face = MissedFace(pixels, label, row["relative_residual"], row["drift"])
            found.setdefault(heading, []).append(face)
    return found


def _label(name: str) -> str:
    # A copy's name says behind the file's what was done to it.
    file, _, what = name.partition("~")
    return what.replace("_", " ") or PurePosixPath(file).stem


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
