"""IJB-B and IJB-C: templates of images, aligned from loose crops while they load."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Int

from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons, Templates
from prefiqs_jax.benchmarks.columns import numbered, read_columns
from prefiqs_jax.benchmarks.compared import find_images, refuse_absent, take_used
from prefiqs_jax.benchmarks.comparisons import (
    MATED,
    check_comparisons,
    counted,
    group_names,
    joined,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, read_folder
from prefiqs_jax.images.stores import FILES, Landmarked, Store
from prefiqs_jax.weights.wording import listed

MEMBERS = "_face_tid_mid.txt"
COMPARISONS = "_template_pair_label.txt"
POINTS = "_name_5pts_score.txt"
LOOSE_CROP = "loose_crop"
_POINT_COLUMNS = {
    "image": "name",
    **{f"{axis}{point}": "number" for point in range(1, 6) for axis in "xy"},
    "score": "number",
}


def find_members(path: Path) -> Path | None:
    """Find ``ijbc_face_tid_mid.txt`` (or ijbb's) in a folder or its ``meta``."""
    for folder in (path / "meta", path):
        found = sorted(folder.glob(f"*{MEMBERS}")) if folder.is_dir() else []
        if len(found) > 1:
            message = f"{folder} has {listed([each.name for each in found])}; keep one"
            raise InputError(message)
        if found:
            return found[0]
    return None


def read_ijb(path: Path, images: Path | None = None) -> Benchmark:
    """Read the 1:1 verification protocol of IJB-C, or IJB-B, from insightface's files.

    In ``meta/``: ``ijbc_face_tid_mid.txt`` (image, template, medium),
    ``ijbc_template_pair_label.txt`` (two templates, 1 if mated) and
    ``ijbc_name_5pts_score.txt`` (image, five points, score of the detector). Images in
    ``loose_crop/`` are aligned to the ArcFace template by the five points while they
    are loaded; images of another folder are taken to be aligned.

    The files hold no names of people. In this protocol each person has a template of
    the gallery, with which all others of this person are compared, so the groups that
    mated comparisons join stand for the identities. They are a lower bound: a person
    whose templates no mated comparison joins would count twice. InputError if a file,
    an image or its points are absent, a line is malformed, or a template has no image.

    References
    ----------
    Maze et al. (2018). IARPA Janus Benchmark - C: Face dataset and protocol. ICB.
    """
    source = find_members(path)
    if source is None:
        message = f"{path} has no file *{MEMBERS}, neither in meta/ nor itself"
        raise InputError(message)
    prefix = source.name.removesuffix(MEMBERS)
    columns = {"image": "name", "template": "whole", "medium": "whole"}
    image, template, medium = read_columns(source, columns)
    names, (image,) = numbered(image)
    ids, template = np.unique(template, return_inverse=True)
    medium = np.unique(medium, return_inverse=True)[1].astype(np.int32)
    pair_list = source.with_name(prefix + COMPARISONS)
    comparisons, template_of, notes = _read_comparisons(pair_list, ids)

    # Templates that no comparison needs are left out, and their images with them.
    kept = template_of[template] >= 0
    template = template_of[template[kept]]
    folder = read_folder(
        path / LOOSE_CROP if images is None else images, 0, identities_matter=False
    )
    numbers, place = np.unique(image[kept], return_inverse=True)
    wanted = [names[number] for number in numbers.tolist()]
    found, elsewhere = find_images(source, folder, wanted)
    gone = [wanted[n] for n in np.flatnonzero(found < 0).tolist()]
    refuse_absent(source, dataclasses.replace(folder, absent=tuple(gone)))
    folder, (image,), left_out = take_used(folder, found[place])
    store, how = _store(source.with_name(prefix + POINTS), folder)
    unknown = (None,) * len(folder.names)
    order = np.argsort(template, kind="stable")
    templates = Templates(
        names=tuple(str(each) for each in ids[template_of >= 0].tolist()),
        image=image[order],
        template=template[order],
        medium=medium[kept][order],
    )
    groups = joined(len(templates.names), comparisons)
    described = (
        f"identities are the {int(groups.max()) + 1:,} groups of templates that mated "
        "comparisons join"
    )
    return Benchmark(
        name=prefix,
        kind="ijbc",
        images=ImageFolder(
            folder.root, folder.names, unknown, None, folder.notes, store
        ),
        **comparisons._asdict(),
        templates=templates,
        identities=group_names(groups),
        identity_source=MATED,
        notes=(*notes, *folder.notes, *elsewhere, *left_out, how, described),
    )


def _read_comparisons(
    source: Path, ids: Int[np.ndarray, " templates"]
) -> tuple[Comparisons, Int[np.ndarray, " templates"], list[str]]:
    """Read comparisons, and number anew the templates that take part (-1: others)."""
    import pandas as pd

    columns = {"template": "whole", "other_template": "whole", "mated": "label"}
    one, other, mated = read_columns(source, columns)
    index = pd.Index(ids)
    first, second = (index.get_indexer(each).astype(np.int32) for each in (one, other))
    absent = np.unique(np.concatenate([one[first < 0], other[second < 0]]))
    if absent.size:
        message = (
            f"{source} compares {counted(len(absent), 'template')} without images: "
            f"{listed(absent.tolist())}; complete *{MEMBERS}"
        )
        raise InputError(message)
    names = [str(each) for each in ids.tolist()]
    notes = list(check_comparisons(source, names, Comparisons(first, second, mated)))
    used = np.zeros(len(names), bool)
    used[first] = used[second] = True
    template_of = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
    if unused := int((~used).sum()):
        notes.append(f"left out: {counted(unused, 'template')} in no comparison")
    comparisons = Comparisons(template_of[first], template_of[second], mated)
    return comparisons, template_of, notes


def _store(points: Path, folder: ImageFolder) -> tuple[Store, str]:
    """Align loose crops by the points of a file, and nothing else."""
    if folder.root.name != LOOSE_CROP:
        return FILES, f"images of {folder.root} are taken to be aligned"
    names, *numbers = read_columns(points, _POINT_COLUMNS)
    lines = np.bincount(names.codes, minlength=len(names.categories))
    if twice := names.categories[lines > 1].tolist():
        message = f"{points} lists {listed(twice)} more than once; keep one line each"
        raise InputError(message)
    # The line of each name.
    row = dict(zip(names.categories, np.argsort(names.codes).tolist(), strict=True))
    if absent := [name for name in folder.names if name not in row]:
        message = (
            f"{points} has no points of {counted(len(absent), 'image')}: "
            f"{listed(absent)}; complete it"
        )
        raise InputError(message)
    landmarks = np.stack(numbers[:-1], axis=1).reshape(-1, 5, 2)
    chosen = landmarks[[row[name] for name in folder.names]]
    place = {name: index for index, name in enumerate(folder.names)}
    how = f"images of {folder.root} are aligned by five points while they are loaded"
    return Landmarked(chosen, place), how
