"""From a weights file to a backbone, and back to a file that states its provenance."""

import dataclasses
import importlib.resources
import json
import os
import re
from pathlib import Path
from typing import Any

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.backbone import Backbone, Provenance
from prefiqs_jax.backbones.function import from_file
from prefiqs_jax.backbones.functional import bind_function
from prefiqs_jax.backbones.identity import weights_digest, with_digest
from prefiqs_jax.backbones.official import OFFICIAL
from prefiqs_jax.backbones.quality import quality_head
from prefiqs_jax.backbones.reading import Network, read
from prefiqs_jax.backbones.taps import make_taps
from prefiqs_jax.backbones.zoo import ARCHITECTURES, ONNX, architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.version import __version__
from prefiqs_jax.weights import store
from prefiqs_jax.weights.hub import ADDRESS, HubFile, fetch, place_named

HUB = "hub"
"""Given instead of a file: fetch the weights that the zoo knows of."""


def load_backbone(
    name: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    *,
    pixels: str | None = None,
    dense: bool = False,
) -> Backbone:
    """Load a trained network.

    Parameters
    ----------
    name
        As ``prefiqs backbones`` lists it; ``onnx`` for any network in an ONNX file,
        run by its graph; ``FILE.py:FUNCTION`` for a function of your own that returns a
        backbone, given ``weights`` if it takes an argument. May be left out for a file
        that :func:`convert_weights` wrote, or whose tensors fit one network only.
    weights
        File of PyTorch, ONNX, safetensors, MXNet or NumPy, whatever it is called;
        ``hub`` to fetch the official one, ``hf://OWNER/REPOSITORY/FILE@REVISION`` any
        other of the Hugging Face Hub. May be left out for a network whose weights come
        with the package (``demo``).
    pixels
        Channel order, mean and scale of the input instead of the stored ones, such as
        ``"BGR,127.5,128"``: see :meth:`Preprocessing.with_pixels`.
    dense
        Of a file with the weights and masks of torch.nn.utils.prune, take the weights
        without masks, instead of what is left of them.

    Returns
    -------
    Backbone
        With float32 parameters.

    Raises
    ------
    InputError
        If the name is unknown; the file is missing, damaged, would run code, or belongs
        to another architecture; or a weight is NaN or infinite. One line names the file
        and every tensor that does not fit.
    """
    if is_own(name):
        if dense:
            message = "--dense is of checkpoints; your own function loads what it wants"
            raise InputError(message)
        place = None
        if weights is not None:
            path, place = local_file(weights)
            weights = str(path) if place else weights
        own = from_file(str(name), weights)
        if pixels is None:
            return own
        preprocessing = own.preprocessing.with_pixels(pixels)
        return dataclasses.replace(own, preprocessing=preprocessing)
    network = _read(name, weights, pixels, dense=dense)
    params, apply_fn = bind_function(network.run, network.tensors)
    backbone = Backbone(
        network.name,
        params,
        apply_fn,
        network.embedding_dim,
        network.preprocessing,
        network.provenance,
        quality_head(network.tensors),
        make_taps(network.plan, network.tensors) if network.plan else None,
    )
    return with_digest(backbone)


def is_own(name: str | None) -> bool:
    """Tell whether a name is ``FILE.py:FUNCTION`` of the user's."""
    return name is not None and ".py:" in name


def check_choice(
    name: str | None, weights: str | os.PathLike[str] | None
) -> str | None:
    """Refuse what :func:`load_backbone` could not load, before any file is read.

    Gives the file that comes with the package, if that is to be loaded. InputError if
    the name is unknown, the weights are missing, or the hub has none.
    """
    if is_own(name):
        return None
    found = None if name in (None, ONNX) else architecture(str(name))
    if weights == HUB:
        _check_on_hub(name, found)
    if weights is not None:
        return None
    if found is not None and found.embedded is not None:
        return found.embedded
    needy = "a backbone" if name is None else f"backbone {name}"
    included = ", ".join(a.name for a in ARCHITECTURES.values() if a.embedded)
    message = (
        f"{needy} needs a weights file (weights=… or --weights FILE); "
        f"weights come with: {included}"
    )
    raise InputError(message)


def _check_on_hub(name: str | None, found: Architecture | None) -> None:
    place = None if found is None else OFFICIAL.get(found.name)
    if isinstance(place, HubFile):
        return
    known = ", ".join(
        key for key, place in OFFICIAL.items() if isinstance(place, HubFile)
    )
    where = f"published at: {place}" if place else f"the hub has: {known}"
    message = f"no weights of {name or 'an unnamed backbone'} on the hub; {where}"
    raise InputError(message)


def convert_weights(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    name: str | None = None,
    *,
    pixels: str | None = None,
    dense: bool = False,
) -> Provenance:
    """Convert a checkpoint to one ``.safetensors`` file that says what it is.

    Parameters
    ----------
    source
        Any file that :func:`load_backbone` reads.
    destination
        File to write, ending in ``.safetensors``; replaced in one step if it exists.
    name
        Architecture, as ``prefiqs backbones`` lists it.
    pixels, dense
        As for :func:`load_backbone`; the pixels are kept in the file.

    Returns
    -------
    Provenance
        Where the weights of the source come from.

    Raises
    ------
    InputError
        As :func:`load_backbone`, or if the destination has another extension or cannot
        be written.
    """
    if Path(destination).suffix != ".safetensors":
        message = f"{destination}: the converted file must end in .safetensors"
        raise InputError(message)
    both = Path(source).exists() and Path(destination).exists()
    if both and os.path.samefile(source, destination):
        message = f"{destination} is the source; give another file"
        raise InputError(message)
    if name == ONNX:
        message = (
            f"{source}: the network is the graph in its file, which .safetensors "
            "cannot hold; use it as it is"
        )
        raise InputError(message)
    if name is not None:
        architecture(name)
    network = _read(name, source, pixels, dense=dense)
    provenance = network.provenance
    epsilons = dict(provenance.epsilons)
    metadata = {
        "backbone": network.name,
        "preprocessing": network.preprocessing.to_json(),
        "embedding_dim": str(network.embedding_dim),
        **({"folded": "true"} if provenance.folded else {}),
        **({"epsilons": json.dumps(epsilons)} if epsilons else {}),
        "source_file": provenance.source_file,
        "source_sha256": provenance.source_sha256,
        "ignored": json.dumps(dict(provenance.ignored), sort_keys=True),
        "converted_by": f"prefiqs-jax {__version__}",
    }
    store.save(destination, network.tensors, metadata)
    return provenance


def local_file(weights: str | os.PathLike[str]) -> tuple[Path, HubFile | None]:
    """Give the file on this machine, and its place on the hub if it was fetched."""
    if not str(weights).startswith(ADDRESS):
        return Path(weights), None
    place = place_named(str(weights))
    path = fetch(place)
    # The cache has a folder for each commit.
    commit = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return path, dataclasses.replace(place, revision=commit[1]) if commit else place


def _read(
    name: str | None,
    weights: str | os.PathLike[str] | None,
    pixels: str | None,
    *,
    dense: bool = False,
) -> Network:
    embedded = check_choice(name, weights)
    place = None
    if embedded is not None:
        asset = importlib.resources.files("prefiqs_jax") / "assets" / embedded
        with importlib.resources.as_file(asset) as path:
            network = read(name, path, dense=dense)
    elif weights == HUB:
        place = OFFICIAL[architecture(str(name)).name]
        assert isinstance(place, HubFile)  # check_choice
        network = read(name, fetch(place), dense=dense)
    else:
        path, place = local_file(str(weights))
        network = read(name, path, dense=dense)
    expected, provenance = network.preprocessing, network.provenance
    if place is not None:
        provenance = dataclasses.replace(provenance, hub=str(place))
        channels = place.channels or expected.channels
        expected = dataclasses.replace(expected, channels=channels)
    if pixels is not None:
        expected = expected.with_pixels(pixels)
    return dataclasses.replace(network, preprocessing=expected, provenance=provenance)


def provenance_record(backbone: Backbone) -> dict[str, Any]:
    """Describe a backbone's weights and input for run.json.

    ``changed_after_loading`` says that the numbers are no longer those of the file, as
    after ``dataclasses.replace(backbone, params=…)``; None where that is not known.
    """
    fields: dict[str, Any] = dataclasses.asdict(backbone.provenance)
    loaded = fields.pop("weights_sha256")
    if not fields["program_sha256"]:
        fields.pop("program_sha256")
    changed = weights_digest(backbone) != loaded if loaded else None
    return {
        **fields,
        "changed_after_loading": changed,
        "preprocessing": dataclasses.asdict(backbone.preprocessing),
    }
