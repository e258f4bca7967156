"""From a weights file to a backbone, and back to a file that states its provenance."""

import dataclasses
import importlib.resources
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.backbones.backbone import Backbone, Provenance
from prefiqs_jax.backbones.functional import bind
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.backbones.zoo import ARCHITECTURES, Architecture, architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.version import __version__
from prefiqs_jax.weights import mapping, store
from prefiqs_jax.weights.prefixes import strip_prefix
from prefiqs_jax.weights.source import Source, read_source


def load_backbone(
    name: str | None = None, weights: str | os.PathLike[str] | None = None
) -> Backbone:
    """Load a trained network.

    Parameters
    ----------
    name
        As ``prefiqs backbones`` lists it. May be left out for a file that
        :func:`convert_weights` wrote.
    weights
        ``.onnx``, ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors`` file. May be left
        out for a network whose weights come with the package (``demo``).

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
    embedded = check_choice(name, weights)
    if weights is not None:
        found, tensors, provenance, preprocessing = _read(name, Path(weights))
    else:
        asset = importlib.resources.files("prefiqs_jax") / "assets" / str(embedded)
        with importlib.resources.as_file(asset) as path:
            found, tensors, provenance, preprocessing = _read(name, path)
    params, apply_fn = bind(found.blueprint, tensors)
    return Backbone(
        found.name, params, apply_fn, found.embedding_dim, preprocessing, provenance
    )


def check_choice(
    name: str | None, weights: str | os.PathLike[str] | None
) -> str | None:
    """Refuse what :func:`load_backbone` could not load, before any file is read.

    Parameters
    ----------
    name, weights
        As for :func:`load_backbone`.

    Returns
    -------
    str or None
        The file that comes with the package, if that is to be loaded.

    Raises
    ------
    InputError
        If the name is unknown, or the weights are missing.
    """
    found = None if name is None else architecture(name)
    if weights is not None:
        return None
    if found is not None and found.embedded is not None:
        return found.embedded
    needy = "a backbone" if found is None else f"backbone {found.name}"
    included = ", ".join(a.name for a in ARCHITECTURES.values() if a.embedded)
    message = (
        f"{needy} needs a weights file (weights=… or --weights FILE); "
        f"weights come with: {included}"
    )
    raise InputError(message)


def convert_weights(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    name: str | None = None,
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

    Returns
    -------
    Provenance
        Of the source.

    Raises
    ------
    InputError
        As :func:`load_backbone`, or if the destination has another extension or cannot
        be written.
    """
    if Path(destination).suffix != ".safetensors":
        message = f"{destination}: the converted file must end in .safetensors"
        raise InputError(message)
    if name is not None:
        architecture(name)
    found, tensors, provenance, preprocessing = _read(name, Path(source))
    metadata = {
        **_self_description(found, preprocessing),
        "source_file": provenance.source_file,
        "source_sha256": provenance.source_sha256,
        "ignored": json.dumps(dict(provenance.ignored), sort_keys=True),
        "converted_by": f"prefiqs-jax {__version__}",
    }
    store.save(destination, tensors, metadata)
    return provenance


def save_trained(
    destination: str | os.PathLike[str],
    name: str,
    tensors: Mapping[str, np.ndarray],
    about: Mapping[str, str],
) -> None:
    """Keep weights of one's own training in half the space, for `load_backbone`.

    Kernels are rounded to float16, which loading widens to float32 again; everything
    with one axis stays float32: it is 1 % of the file, and small variances would
    vanish in float16.

    Parameters
    ----------
    destination
        File to write, ending in ``.safetensors``; replaced in one step if it exists.
    name
        Architecture, as ``prefiqs backbones`` lists it.
    tensors
        Every path of the architecture's blueprint to its array.
    about
        Text to keep in the file: what trained it, with which seed.

    Raises
    ------
    InputError
        If the name is unknown or the file cannot be written.
    MappingError
        If a tensor is missing, of another shape, or not finite in float16.
    """
    found = architecture(name)
    with np.errstate(over="ignore"):  # named as not finite, below
        kept = {
            path: np.asarray(array, np.float16 if np.ndim(array) > 1 else np.float32)
            for path, array in tensors.items()
        }
    mapping.convert(kept, _own_entries(found))
    store.save(
        destination, kept, {**about, **_self_description(found, found.preprocessing)}
    )


def _self_description(
    found: Architecture, preprocessing: Preprocessing
) -> dict[str, str]:
    return {
        "backbone": found.name,
        "preprocessing": preprocessing.to_json(),
        "embedding_dim": str(found.embedding_dim),
    }


def _own_entries(found: Architecture) -> dict[str, mapping.Entry]:
    shapes = found.blueprint.shapes
    return {path: mapping.Entry(path, shape) for path, shape in shapes.items()}


def _read(
    name: str | None, path: Path
) -> tuple[Architecture, dict[str, np.ndarray], Provenance, Preprocessing]:
    source = read_source(path)
    try:
        if store.is_own(source.metadata):
            return _read_own(name, source)
        return _read_foreign(name, source)
    except mapping.MappingError as error:
        raise InputError(_explain(name, source, error)) from error
    except InputError as error:
        message = str(error)
        raise InputError(
            message if str(path) in message else f"{path}: {message}"
        ) from error


def _read_own(
    name: str | None, source: Source
) -> tuple[Architecture, dict[str, np.ndarray], Provenance, Preprocessing]:
    stored = source.metadata
    if name is not None and name != stored.get("backbone"):
        message = f"holds {stored.get('backbone')}, not {name}; leave the name out"
        raise InputError(message)
    found = architecture(stored.get("backbone", ""))
    tensors, _ = mapping.convert(source.tensors, _own_entries(found))
    try:
        preprocessing = Preprocessing(**json.loads(stored["preprocessing"]))
        ignored = json.loads(stored.get("ignored", "{}"))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        message = f"its metadata is damaged ({error}); convert the original again"
        raise InputError(message) from error
    provenance = Provenance(
        file=source.path.name,
        sha256=source.sha256,
        source_file=stored.get("source_file", source.path.name),
        source_sha256=stored.get("source_sha256", source.sha256),
        format=source.format,
        ignored=ignored,
    )
    return found, tensors, provenance, preprocessing


def _read_foreign(
    name: str | None, source: Source
) -> tuple[Architecture, dict[str, np.ndarray], Provenance, Preprocessing]:
    if name is None:
        message = (
            "does not say which network it is (only files of prefiqs convert do); name "
            f"the backbone: {', '.join(ARCHITECTURES)}"
        )
        raise InputError(message)
    found = architecture(name)
    named, _, heads = strip_prefix(source.tensors, found.anchors)
    shapes = found.blueprint.shapes
    tensors, unused = mapping.convert(
        named, found.entries(shapes), found.ignorable, shapes
    )
    if found.check is not None:
        found.check(named)
    provenance = Provenance(
        file=source.path.name,
        sha256=source.sha256,
        source_file=source.path.name,
        source_sha256=source.sha256,
        format=source.format,
        ignored={**source.ignored, **heads, **unused},
    )
    return found, tensors, provenance, found.preprocessing


def _explain(name: str | None, source: Source, error: mapping.MappingError) -> str:
    """Say in a line what does not fit, and which architecture would."""
    wanted = name or source.metadata.get("backbone")
    message = f"{source.path} does not fit {wanted}: {error}"
    if not (error.missing or error.unexpected or error.misshapen):
        return message
    fitting = [a for a in ARCHITECTURES.values() if a.name != name and _fits(a, source)]
    names = " or ".join(a.name for a in fitting)
    return f"{message}; it fits {names}" if fitting else message


def _fits(candidate: Architecture, source: Source) -> bool:
    try:
        named, _, _ = strip_prefix(source.tensors, candidate.anchors)
    except InputError:
        return False
    if not candidate.recognises(named):
        return False
    entries = candidate.entries(candidate.blueprint.shapes)
    return mapping.fit(named, entries, candidate.ignorable) == 0


def provenance_record(backbone: Backbone) -> dict[str, Any]:
    """Describe a backbone's weights and input for run.json."""
    fields: Mapping[str, Any] = dataclasses.asdict(backbone.provenance)
    return {**fields, "preprocessing": dataclasses.asdict(backbone.preprocessing)}
