"""``prefiqs align``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import (
    Choices,
    add_identity_level,
    add_on_bad_image,
    add_quiet,
    folder_name,
    open_folder,
    positive,
)
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import show


def add_align(commands: Any) -> None:
    """Add ``align`` to the commands."""
    align = commands.add_parser(
        "align",
        help="cut aligned faces out of images",
        description="Cut the face out of every image so that its eyes, nose and "
        "mouth lie where the networks expect them, by a similarity transform of five "
        "landmarks. Writes PNG files in the same folders, and images.csv with "
        "identities and landmarks. Run it again to continue, or after images have "
        "changed: their faces are made again.",
    )
    align.add_argument(
        "source", nargs="+", metavar="SOURCE", help="folder of images, or image files"
    )
    align.add_argument(
        "destination", metavar="DEST", type=folder_name, help="folder of the faces"
    )
    align.add_argument(
        "--template",
        choices=Choices("prefiqs_jax.images.geometry", "TEMPLATES"),
        metavar="NAME",
        default="arcface",
        help="arcface: 112×112; narrow, sphereface: 96 wide, 112 high (default: "
        "%(default)s)",
    )
    align.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help="height: a multiple of 112, or of 128 for arcface (default: 112)",
    )
    where = align.add_mutually_exclusive_group()
    where.add_argument(
        "--landmarks",
        metavar="FILE",
        help="images.csv with x and y of left_eye, right_eye, nose, mouth_left and "
        "mouth_right, in image order, or IJB-C's ijbc_name_5pts_score.txt (default: "
        "SOURCE/images.csv)",
    )
    where.add_argument(
        "--detector",
        metavar="FILE",
        help="YuNet's ONNX file; of several faces, the one with the largest area × "
        "centredness counts",
    )
    add_on_bad_image(align)
    add_identity_level(align)
    add_quiet(align)
    align.set_defaults(run=_align)


def _align(options: argparse.Namespace) -> None:
    check_out(options.destination, folder=True)
    from prefiqs_jax.images.align import align_folder

    found = align_folder(
        open_folder(options.source, options, identities_matter=False),
        options.destination,
        template=options.template,
        size=options.size,
        landmarks=options.landmarks,
        detector=options.detector,
        on_bad_image=options.on_bad_image,
        progress=not options.quiet,
    )
    words = f"{found.face_count} faces in {options.destination} ({options.template}, "
    words += f"{found.width}×{found.height})"
    if found.left_out:
        words += f", {found.left_out} images left out"
    if found.made_again:
        words += f", {found.made_again} made again: their images changed"
    show(words)
