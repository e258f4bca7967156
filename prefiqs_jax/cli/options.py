"""Options that several commands share, and the values that they take."""

import argparse
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.terminal import STDOUT, say

if TYPE_CHECKING:
    from prefiqs_jax.backbones import Backbone
    from prefiqs_jax.images import ImageFolder
    from prefiqs_jax.types import Params, Prunable

PIXELS_HELP = (
    "what the weights were trained on, instead of what is known of them, such as "
    "BGR,127.5,128: order of channels, and (x - MEAN) / STD of 0 to 255"
)


_AS_LIST = "give them as 0.1,0.2,0.4"


class Choices:
    """Names that a module of the library knows, imported when argparse asks.

    Its options need a ``metavar``: argparse would list the names at once otherwise.
    """

    def __init__(self, module: str, name: str):
        self._module, self._name = module, name

    def __iter__(self) -> Iterator[str]:
        """Import the module, and list the names."""
        known: Any = getattr(importlib.import_module(self._module), self._name)
        names: Any = known() if callable(known) else known
        return iter(names)

    def __contains__(self, value: object) -> bool:
        """Import the module, and look the name up."""
        return value in list(self)

    def __str__(self) -> str:
        """List the names in a help text."""
        return ", ".join(self)


def add_quiet(command: argparse.ArgumentParser) -> None:
    """Add the option that turns progress off."""
    command.add_argument("--quiet", action="store_true", help="no progress")


def add_on_bad_image(command: "argparse._ActionsContainer") -> None:
    """Add the option that leaves out images that cannot be used."""
    command.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="what to do with an image that cannot be used (default: fail)",
    )


def add_precision(
    command: "argparse._ActionsContainer", *, double: bool = False
) -> None:
    """Add the option that sets the precision of products."""
    names = "SWEEP_PRECISIONS" if double else "PRECISIONS"
    more = "; double: float64 throughout, a fifth as fast or slower" if double else ""
    command.add_argument(
        "--precision",
        choices=Choices("prefiqs_jax.execution.precision", names),
        metavar="NAME",
        default="highest",
        help="of matrix products and convolutions; highest: float32; high: TF32 or "
        "three bfloat16 passes where the device has them; fast: bfloat16, summed in "
        f"float32{more} (default: highest)",
    )


def add_weights(command: "argparse._ActionsContainer") -> None:
    """Add the options that say which network it is, and how it was trained."""
    command.add_argument(
        "--backbone",
        metavar="NAME",
        help="network, see prefiqs backbones; not needed for a converted file, or one "
        "that fits one network only; onnx for any other network in an ONNX file; "
        "FILE.py:FUNCTION for one of your own",
    )
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="trained weights of the network; hub to fetch the official ones, or "
        "hf://OWNER/REPOSITORY/FILE[@REVISION]; not needed for --backbone demo",
    )
    add_dense(command)
    command.add_argument("--pixels", metavar="CHANNELS,MEAN,STD", help=PIXELS_HELP)


def add_dense(command: "argparse._ActionsContainer") -> None:
    """Add the option that leaves masks in a file of weights out."""
    command.add_argument(
        "--dense",
        action="store_true",
        help="of weights with masks of torch.nn.utils.prune, take those without masks",
    )


def load_network(options: argparse.Namespace) -> "Backbone":
    """Load the network that the options name, and say how its file was read."""
    from prefiqs_jax.backbones import load_backbone

    backbone = load_backbone(
        options.backbone, options.weights, pixels=options.pixels, dense=options.dense
    )
    if not options.quiet:
        told = [] if options.backbone else [f"{options.weights} is {backbone.name}"]
        for line in (*told, *backbone.provenance.notes):
            say(f"note: {line}")
    return backbone


def add_mask(command: "argparse._ActionsContainer") -> None:
    """Add the options that say which weights go."""
    command.add_argument(
        "--mask",
        metavar="NAME",
        default="global/magnitude",
        help="see prefiqs masks (default: %(default)s)",
    )
    add_prunable(command)


def add_prunable(command: "argparse._ActionsContainer") -> None:
    """Add the option that says which weights may be pruned."""
    command.add_argument(
        "--prunable",
        metavar="REGEX",
        help="prune only weights whose name matches (default: all weights of "
        "convolutions and dense layers)",
    )


def add_calibration(command: "argparse._ActionsContainer") -> None:
    """Add the options that say what masks with data are made from."""
    command.add_argument(
        "--calibration",
        nargs="+",
        metavar="DIR",
        help="aligned faces for masks that need data, see prefiqs masks; at most 256 "
        "are taken, evenly spread (default: the faces that are measured)",
    )
    command.add_argument(
        "--earlier",
        metavar="FILE",
        help="weights of an earlier checkpoint of the network, for movement",
    )


def add_seed(command: "argparse._ActionsContainer") -> None:
    """Add the option that sets the seed."""
    command.add_argument("--seed", type=natural, default=0, help="default: 0")


def add_degraded(command: "argparse._ActionsContainer") -> None:
    """Add the option that adds degraded copies of the images."""
    command.add_argument(
        "--degraded",
        type=natural,
        default=0,
        metavar="N",
        help="add N degraded copies of every image, of known severity, dealt out by "
        "--seed; the report then looks within severities, too (default: 0)",
    )


def add_part_size(command: "argparse._ActionsContainer") -> None:
    """Add the option that sets the images of one part of a run."""
    command.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="images of one part of the run, which a run keeps; where memory is short "
        "they go through the network in smaller steps (default: at most 32 a device on "
        "a CPU, 128 elsewhere)",
    )


def add_faces(command: argparse.ArgumentParser) -> None:
    """Add the options of a network and of a folder of faces for it."""
    add_weights(command)
    command.add_argument(
        "--images",
        nargs="+",
        metavar="DIR",
        required=True,
        help="aligned faces: a folder, or image files; identities from images.csv or a "
        "folder per person",
    )
    add_identity_level(command)
    add_on_bad_image(command)
    add_quiet(command)


def add_identity_level(command: "argparse._ActionsContainer") -> None:
    """Add the option that says which folders name the people."""
    command.add_argument(
        "--identity-level",
        type=natural,
        metavar="N",
        help="how many of the folders above an image name the person, from the first "
        "on; 0 = unknown (default: images.csv, or one folder a person)",
    )


def add_out(command: "argparse._ActionsContainer", **settings: Any) -> None:
    """Add the option that names the folder of it all."""
    command.add_argument("--out", type=folder_name, **settings)


def only(given: Sequence[str]) -> str | Sequence[str]:
    """Give what stands alone, as a folder does, by itself."""
    return given[0] if len(given) == 1 else given


def open_folder(
    root: Sequence[str],
    options: argparse.Namespace,
    *,
    identities_matter: bool = True,
) -> "ImageFolder":
    """List a folder of images, and say how many of how many people were found."""
    from prefiqs_jax.images import as_folder

    folder = as_folder(
        only(root), options.identity_level, identities_matter=identities_matter
    )
    if not options.quiet:
        say(*folder.lines)
    return folder


def read_calibration(
    options: argparse.Namespace,
) -> "tuple[ImageFolder | None, Params | None]":
    """Read what :func:`add_calibration` asks for: images, earlier weights."""
    from prefiqs_jax.backbones import load_backbone
    from prefiqs_jax.images import as_folder

    folder = earlier = None
    if options.calibration is not None:
        folder = as_folder(only(options.calibration), identities_matter=False)
    if options.earlier is not None:
        earlier = load_backbone(options.backbone, options.earlier).params
    return folder, earlier


def check_weights(backbone: str | None, weights: str | None) -> None:
    """Refuse weights that cannot be there, before a folder of images is read."""
    if weights in (None, "hub"):
        from prefiqs_jax.backbones.load import check_choice

        check_choice(backbone, weights)


def check_file(weights: str | None) -> None:
    """Refuse a file that is not there, before other processes are waited for."""
    if weights in (None, "hub") or weights.startswith("hf://"):
        return
    if not Path(weights).exists():
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
    if bad := [value for value in values if not 0 <= value < 1]:
        message = f"sparsity {bad[0]:g} is not a number in [0, 1); {_AS_LIST}"
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
                f"{name} {word.strip()!r} is not a number in {allowed}; {_AS_LIST}"
            )
            raise InputError(message) from None
    return values


def folder_name(text: str) -> str:
    """Refuse standard output where a folder is meant, for argparse."""
    if text == STDOUT:
        message = "is standard output, which holds no folder; give a name"
        raise argparse.ArgumentTypeError(message)
    return text


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
