"""From a weights file to the tensors of one network, or one line that says why not."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.backbone import Provenance
from prefiqs_jax.backbones.functional import Blueprint, order_of_use, with_epsilons
from prefiqs_jax.backbones.onnx_graph import read_network
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.backbones.stated import stated_epsilons
from prefiqs_jax.backbones.zoo import ARCHITECTURES, ONNX, OTHERWISE, architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.types import Params
from prefiqs_jax.weights import mapping, store
from prefiqs_jax.weights.prefixes import strip_prefix
from prefiqs_jax.weights.source import Source, identify, read_source
from prefiqs_jax.weights.wording import parsing

Tensors = dict[str, np.ndarray]
# Two tensors in place of one weight, as torch.nn.utils leaves them.
_REPARAMETRISED = re.compile(r"\.parametrizations\.|\.weight_[guv]$")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network and its weights, as one file gives them.

    Attributes
    ----------
    name, embedding_dim, preprocessing, provenance
        As of :class:`~prefiqs_jax.backbones.Backbone`.
    tensors
        Path (``params/…``, ``statistics/…``) to array.
    run
        ``(params, statistics, images) -> raw embeddings``.
    plan
        Blueprint of a port; None for the graph of an ONNX file.
    """

    name: str
    embedding_dim: int
    preprocessing: Preprocessing
    provenance: Provenance
    tensors: Tensors
    run: Callable[[Params, Params, Any], Array]
    plan: Blueprint | None = None


def read(name: str | None, path: Path, *, dense: bool = False) -> Network:
    """Read the weights of a network.

    The name is one of the zoo, or ``onnx`` for a network that its own graph describes;
    None for a file that says which network it is, or whose tensors fit one only. With
    `dense`, masks of torch.nn.utils.prune are left out. InputError if the file cannot
    be read, or is of another network: one line names the file and every tensor that
    does not fit.
    """
    if name == ONNX:
        return _read_graph(path)
    source = read_source(path, dense=dense)
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


def own_entries(plan: Blueprint) -> dict[str, mapping.Entry]:
    """Make the table of a file of this package, whose names are the paths."""
    return {path: mapping.Entry(path, shape) for path, shape in plan.shapes.items()}


def _network(
    found: Architecture,
    plan: Blueprint,
    tensors: Tensors,
    provenance: Provenance,
    preprocessing: Preprocessing | None = None,
) -> Network:
    plan = with_epsilons(plan, provenance.epsilons)
    return Network(
        found.name,
        found.embedding_dim,
        preprocessing or found.preprocessing,
        provenance,
        tensors,
        plan.run,
        plan,
    )


def _provenance(path: Path, digest: str, form: str, **traits: Any) -> Provenance:
    """Describe a file that is itself the original."""
    return Provenance(path.name, digest, path.name, digest, form, **traits)


def _read_own(name: str | None, source: Source) -> Network:
    stored = source.metadata
    found = architecture(stored.get("backbone", ""))
    if name is not None and architecture(name) is not found:
        message = f"holds {found.name}, not {name}; leave the name out"
        raise InputError(message)
    folded = stored.get("folded") == "true"
    plan = (folded and found.folded_blueprint) or found.blueprint
    tensors, _ = mapping.convert(source.tensors, own_entries(plan))
    with parsing("convert the original again"):
        preprocessing = Preprocessing(**json.loads(stored["preprocessing"]))
        ignored = dict(json.loads(stored.get("ignored", "{}")))
        kept = json.loads(stored.get("epsilons", "{}"))
        epsilons = {layer: float(value) for layer, value in kept.items()}
    file, digest = source.path.name, source.sha256
    original = stored.get("source_file", file), stored.get("source_sha256", digest)
    traits = {"ignored": ignored, "folded": folded, "epsilons": epsilons}
    provenance = Provenance(file, digest, *original, source.format, **traits)
    return _network(found, plan, tensors, provenance, preprocessing)


def _read_foreign(name: str | None, source: Source) -> Network:
    found = _only_fitting(source) if name is None else architecture(name)
    entries = found.table(source.path)
    named, prefix, beside = strip_prefix(source.tensors, found.anchors, entries)
    needless = found.needless(entries)
    misfits = mapping.fit(named, entries, needless)
    if misfits and source.format == "onnx" and found.folded_blueprint is not None:
        folded = _read_folded(found, found.folded_blueprint, source)
        if folded is not None:
            return folded
    tensors, unused = mapping.convert(named, entries, needless, found.blueprint.shapes)
    if found.check is not None:
        found.check(named)
    ignored = {**source.ignored, **beside, **unused}
    users = {
        entries[short].target: user
        for name, user in source.users.items()
        if (short := name.removeprefix(prefix)) in entries
    }
    epsilons = stated_epsilons(found.blueprint, users)
    traits = {"ignored": ignored, "epsilons": epsilons, "prefix": prefix}
    provenance = _provenance(source.path, source.sha256, source.format, **traits)
    return _network(found, found.blueprint, tensors, provenance)


def _only_fitting(source: Source) -> Architecture:
    """Tell the network by the names and shapes of its tensors."""
    fitting = [a for a in ARCHITECTURES.values() if _fits(a, source)]
    if len(fitting) == 1:
        return fitting[0]
    told = "its tensors fit no network of prefiqs backbones"
    cure = f"for {OTHERWISE}"
    if fitting:
        told = "does not say which network it is, and its tensors fit several"
        cure = f"give --backbone {' or '.join(a.name for a in fitting)}"
    message = f"{told}; {cure}"
    raise InputError(message)


def _read_folded(
    found: Architecture, plan: Blueprint, source: Source
) -> Network | None:
    """Read an exported network, whose layers have lost their names, by their order."""
    graph, shapes = read_network(source.path), plan.shapes
    if len(graph.uses) != len(shapes):
        return None
    pixels = found.preprocessing
    order = order_of_use(plan, (pixels.height, pixels.width, 3))
    # An exporter keeps tensors of equal values once; each layer gets its own again.
    tensors = {
        target: graph.tensors[path]
        for path, target in zip(graph.uses, order, strict=True)
    }
    entries = {
        entry.target: mapping.Entry(entry.target, shapes[entry.target], _turned(entry))
        for entry in found.entries(shapes).values()
    }
    if mapping.fit(tensors, entries):
        return None
    if graph.scales_pixels:
        message = f"scales pixels itself; run it by its graph: --backbone {ONNX}"
        raise InputError(message)
    tensors, _ = mapping.convert(tensors, entries, targets=shapes)
    epsilons = stated_epsilons(plan, dict(zip(order, graph.users, strict=True)))
    traits = {"ignored": source.ignored, "folded": True, "epsilons": epsilons}
    provenance = _provenance(source.path, source.sha256, source.format, **traits)
    return _network(found, plan, tensors, provenance)


def _turned(entry: mapping.Entry) -> mapping.Transform | None:
    """Return the layout of a dense kernel that comes as (in, out) already."""
    turn = entry.transform
    if turn is None or len(entry.shape) != 2:
        return None
    return lambda kernel: turn(kernel.T)


def _read_graph(path: Path) -> Network:
    form, digest = identify(path)
    if form != "onnx":
        message = f"{path}: --backbone {ONNX} runs ONNX files; name the network"
        raise InputError(message)
    graph = read_network(path)
    if not any(name.startswith("params/") for name in graph.tensors):
        message = f"{path}: holds no weights; export the network with them"
        raise InputError(message)
    # A table may be a mask of attention, whose infinities are meant.
    broken = [
        name
        for name, array in graph.tensors.items()
        if np.isnan(array).any()
        or (not name.endswith("/table") and np.isinf(array).any())
    ]
    if broken:
        message = f"{path}: {mapping.MappingError({'non_finite': broken})}"
        raise InputError(message)
    height, width = graph.input_size
    # What insightface's own loader concludes.
    mean, std = (0.0, 1.0) if graph.scales_pixels else (127.5, 127.5)
    return Network(
        ONNX,
        graph.embedding_dim,
        Preprocessing(height=height, width=width, mean=mean, std=std),
        _provenance(path, digest, "onnx", folded=graph.folded),
        dict(graph.tensors),
        graph.apply,
    )


def _explain(name: str | None, source: Source, error: mapping.MappingError) -> str:
    """Say in a line what does not fit, and which architecture would."""
    wanted = name or source.metadata.get("backbone")
    message = f"{source.path} does not fit {wanted}: {error}"
    if not error.is_of_another_network:
        return message
    if any(map(_REPARAMETRISED.search, error.unexpected)):
        return (
            f"{message}; its weights are reparametrised (weight or spectral norm): "
            "call torch.nn.utils.parametrize.remove_parametrizations, or "
            "remove_weight_norm, and save it again"
        )
    fitting = [a.name for a in ARCHITECTURES.values() if _fits(a, source)]
    if fitting:
        return f"{message}; it fits {' or '.join(fitting)}"
    if source.format == "onnx":
        return f"{message}; or run it by its own graph: --backbone {ONNX}"
    return f"{message}; it fits no network of prefiqs backbones: for {OTHERWISE}"


def _fits(candidate: Architecture, source: Source) -> bool:
    anchors = candidate.anchors
    try:
        if not candidate.recognises(strip_prefix(source.tensors, anchors)[0]):
            return False
        entries = candidate.entries(candidate.blueprint.shapes)
        named, _, _ = strip_prefix(source.tensors, anchors, entries)
    except InputError:
        return False
    return mapping.fit(named, entries, candidate.needless(entries)) == 0
