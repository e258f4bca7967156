"""The folders of CR-FIQA's evaluation: images/ and pair_list.txt."""

import dataclasses
import re
from pathlib import Path

from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons
from prefiqs_jax.benchmarks.columns import numbered, read_columns
from prefiqs_jax.benchmarks.compared import compared_images
from prefiqs_jax.benchmarks.comparisons import MATED, group_names, groups_of_all_pairs
from prefiqs_jax.errors import InputError

PAIR_LIST = "pair_list.txt"
_SWAPPED = (
    "CR-FIQA's scripts store images with red and blue swapped; if these are, a "
    "network that expects RGB sees wrong colours"
)


def read_crfiqa(path: Path, images: Path | None = None) -> Benchmark:
    """Read a folder as the scripts of CR-FIQA write it, or its ``pair_list.txt``.

    The list has a comparison a line: ``00000 00001 00001``, two images with or without
    extension, and 1 if they show one person. Images are in `images`, or else in
    ``images`` beside the list. Identities are unknown; but if all pairs of images are
    listed, as for Adience, all pairs are compared, and the groups of mated images are
    identities.

    References
    ----------
    Boutros et al. (2023). CR-FIQA: Face image quality assessment by learning sample
    relative classifiability. CVPR, arXiv 2112.06592; its evaluation code.
    """
    source = path / PAIR_LIST if path.is_dir() else path
    name = source.resolve().parent.name
    if re.match(r"ijb", name, re.IGNORECASE):
        message = (
            f"{source} of {name} compares templates, not images; give the folder "
            "with meta/, with --kind ijbc and these images as --images"
        )
        raise InputError(message)
    columns = {"image": "name", "other_image": "name", "mated": "label"}
    one, other, mated = read_columns(source, columns)
    names, (first, second) = numbered(one, other)
    del one, other  # much of Adience's 188 million lines
    comparisons = Comparisons(first, second, mated)
    found = compared_images(
        source,
        names,
        comparisons,
        images=images,
        usual=("images",),
        identity_level=0,
    )
    count = len(found.images.names)
    notes = (*found.repeats, *found.images.notes, *found.left_out, _SWAPPED)
    groups = None if found.repeats else groups_of_all_pairs(count, found.comparisons)
    if groups is None:
        listed = found.comparisons._asdict()
        people, source_of_people, images_of_people = (None,) * count, None, found.images
    else:
        # Without the list: all pairs are compared in blocks.
        listed, people, source_of_people = {}, group_names(groups), MATED
        images_of_people = dataclasses.replace(
            found.images, identities=people, identity_source=MATED
        )
        groups_said = f"the {len(set(people)):,} groups of mated images are identities"
        notes = (f"all pairs are listed: {groups_said}", *notes)
    return Benchmark(
        name=name,
        kind="crfiqa",
        images=images_of_people,
        **listed,
        identities=people,
        identity_source=source_of_people,
        notes=notes,
    )
