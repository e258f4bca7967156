"""The folders of CR-FIQA's evaluation: images/ and pair_list.txt."""

import dataclasses
import re
from pathlib import Path

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.columns import numbered, read_columns
from prefiqs_jax.benchmarks.comparisons import check_comparisons
from prefiqs_jax.benchmarks.groups import MATED, group_names, groups_of_all_pairs
from prefiqs_jax.benchmarks.pictures import find_pictures, picture_folder, take_used
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder

PAIR_LIST = "pair_list.txt"
_SWAPPED = (
    "CR-FIQA's scripts store pictures with red and blue swapped; if these are, a "
    "network that expects RGB sees wrong colours"
)


def read_crfiqa(path: Path, images: Path | None = None) -> Benchmark:
    """Read a folder as the scripts of CR-FIQA write it.

    Parameters
    ----------
    path
        ``pair_list.txt``, a comparison a line: ``00000 00001 00001``, two pictures with
        or without extension, and 1 if they show one person; or the folder of it.
    images
        Folder of the pictures; None for ``images`` beside the list.

    Returns
    -------
    Benchmark
        Identities unknown; but if all pairs of pictures are listed, as for Adience,
        all pairs, and the groups of mated pictures as identities.

    Raises
    ------
    InputError
        If the list is unreadable, a line is malformed, a picture is absent, the
        comparisons contradict each other, or it is a list of templates (IJB-C's).

    References
    ----------
    Boutros et al. (2023). CR-FIQA: Face image quality assessment by learning sample
    relative classifiability. CVPR, arXiv 2112.06592; its evaluation code.
    """
    source = path / PAIR_LIST if path.is_dir() else path
    name = source.resolve().parent.name
    if re.match(r"ijb", name, re.IGNORECASE):
        message = (
            f"{source} of {name} compares templates, not pictures; give the folder "
            "with meta/, with --kind ijbc and these pictures as --images"
        )
        raise InputError(message)
    columns = {"picture": "name", "other_picture": "name", "mated": "label"}
    one, other, mated = read_columns(source, columns)
    names, (first, second) = numbered(one, other)
    del one, other  # 1.5 GB of Adience's
    notes = check_comparisons(source, names, first, second, mated)
    folder = picture_folder(source, images, ("images",))
    found = find_pictures(source, folder, names)
    used, (first, second), left_out = take_used(folder, found[first], found[second])
    groups = None
    if not notes:  # no comparison repeats another
        groups = groups_of_all_pairs(len(used.names), first, second, mated)
    if groups is not None:
        return _all_pairs(name, used, group_names(groups), left_out)
    return Benchmark(
        name=name,
        kind="crfiqa",
        images=used,
        first=first,
        second=second,
        mated=mated,
        identities=(None,) * len(used.names),
        notes=(*notes, *left_out, _SWAPPED),
    )


def _all_pairs(
    name: str, used: ImageFolder, people: tuple[str, ...], left_out: tuple[str, ...]
) -> Benchmark:
    """Leave out the list where it is all pairs: they are compared in blocks."""
    count = len(set(people))
    note = (
        f"all pairs are listed: the {count:,} groups of mated pictures are identities"
    )
    return Benchmark(
        name=name,
        kind="crfiqa",
        images=dataclasses.replace(used, identities=people, identity_source=MATED),
        identities=people,
        identity_source=MATED,
        notes=(note, *left_out, _SWAPPED),
    )
