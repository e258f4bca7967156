"""Values on the command line: numbers in their range, and which weights to prune."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefiqs_jax.errors import InputError

if TYPE_CHECKING:
    from prefiqs_jax.images import ImageFolder
    from prefiqs_jax.types import Prunable


def add_identity_level(command: "argparse._ActionsContainer") -> None:
    """Add the option that says which folders name the people."""
    command.add_argument(
        "--identity-level",
        type=natural,
        metavar="N",
        help="how many of the folders above an image name the person, from the first "
        "on; 0 = unknown (default: images.csv, or one folder a person)",
    )


def open_folder(
    root: str | os.PathLike[str],
    options: argparse.Namespace,
    *,
    identities_matter: bool = True,
) -> "ImageFolder":
    """List a folder of images, and say how many of how many people were found."""
    from prefiqs_jax.images import read_folder

    folder = read_folder(
        root, options.identity_level, identities_matter=identities_matter
    )
    if not options.quiet:
        print("\n".join(folder.lines), file=sys.stderr)
    return folder


def check_weights(backbone: str | None, weights: str | None) -> None:
    """Refuse weights that cannot be there, before a folder of images is read."""
    if weights in (None, "hub"):
        from prefiqs_jax.backbones.load import check_choice

        check_choice(backbone, weights)


def check_file(weights: str | None) -> None:
    """Refuse a file that is not there, before other processes are waited for."""
    if weights not in (None, "hub") and not Path(weights).exists():
        message = f"{weights} does not exist; give the file of the weights"
        raise InputError(message)


def read_prunable(pattern: str | None) -> "Prunable":
    """Say which weights may be pruned: those whose name matches, or all."""
    import re

    from prefiqs_jax.trees import is_prunable, prunable_matching

    if pattern is None:
        return is_prunable
    try:
        return prunable_matching(pattern)
    except re.error as error:
        message = f"--prunable {pattern!r} is no regular expression: {error}"
        raise InputError(message) from error


def read_sparsities(text: str) -> list[float]:
    """Read a list of sparsities, each in [0, 1)."""
    values = read_numbers(text, "sparsity", "[0, 1)")
    for value in values:
        if not 0 <= value < 1:
            message = (
                f"sparsity {value:g} is not a number in [0, 1); give them as "
                "0.1,0.2,0.4"
            )
            raise InputError(message)
    return values


def read_numbers(text: str, name: str, allowed: str) -> list[float]:
    """Read a list of numbers; ``allowed`` is named in the error."""
    values = []
    for word in text.split(","):
        try:
            values.append(float(word))
        except ValueError:
            message = (
                f"{name} {word.strip()!r} is not a number in {allowed}; give them as "
                "0.1,0.2,0.4"
            )
            raise InputError(message) from None
    return values


def positive(text: str) -> int:
    """Read a whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")  # noqa: EM101
    return value


def natural(text: str) -> int:
    """Read a whole number of at least 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")  # noqa: EM101
    return value
