"""What a run used, as its folder or settings tell: methods, and their references."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from prefiqs_jax.backbones import ARCHITECTURES
from prefiqs_jax.citing.index import ROOT, cited_in, of_module, titled
from prefiqs_jax.citing.reference import Reference
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.folder import MARKER, MEASURED, PRUNED
from prefiqs_jax.masks import SCORES
from prefiqs_jax.masks.allocations import find_allocation
from prefiqs_jax.quality import METHODS
from prefiqs_jax.results import read_manifest

Used: TypeAlias = Iterator[tuple[str, list[Reference]]]
"""What was used, in words, and its references, perhaps none."""

PROJECTS = {
    **dict.fromkeys(("auraface", "demo", "grafiqs", "insightface", "mxnet"), "arcface"),
    "evolve": "faceevolve",
}
"""First words of networks' names, and the method that they were trained by, or the work
that they are from, where that has another name."""
STATISTICS = ("correlation", "jackknife", "rank_interval", "woodruff")
STATISTICS += ("quantile_interval",)
"""Modules of ``prefiqs_jax.statistics`` behind every report."""
COMPARED = ("statistics.simultaneous", "statistics.separation", "masks.overlap")
"""Modules behind every comparison of masks, beside ``STATISTICS``."""
EXTRAS = {"taylor2": "sensitivity.taylor", "taylor3": "sensitivity.taylor"}
"""What ``prefiqs sweep --with`` measures by a published method."""
PROTOCOLS = {
    "crfiqa": "arXiv:2112.06592",
    "fiqat": "arXiv:2303.13294",
    "proportional": "arXiv:2112.06592, arXiv:2607.22752",
}
"""Protocols of error-versus-discard curves, and where each is from."""
BENCHMARKS = {
    "lfw": "Huang et al. (2007)",
    "xqlfw": "Huang et al. (2007); Knoche et al. (2021)",
    "ijbc": "Maze et al. (2018)",
}
"""Kinds of benchmark that are one data set, or names of benchmarks."""


def used_by(run: Path | Mapping[str, Any]) -> Used:
    """Tell what a run used.

    Raises InputError if it is neither a folder of ``prefiqs sweep``, ``compare-masks``,
    ``edc`` or ``demo``, nor settings such as those in ``run.json``.
    """
    if not isinstance(run, Path):
        yield from _of_sweep("these settings", run)
    elif (run / MARKER).exists():
        yield from _of_evaluation(run)
    else:
        yield from _of_sweep(str(run), read_manifest(run))
        if (run / "comparison").exists():
            yield "comparison of masks", _of_modules(COMPARED)
            yield from _curves("crfiqa", ("jackknife",))


def network(name: str) -> list[Reference]:
    """Give the references of a network: its architecture, and how it was trained.

    >>> [reference.key for reference in network("adaface_ir101")]
    ['kim2022adaface']
    >>> [reference.key for reference in network("arcface_iresnet50")]
    ['deng2019arcface', 'duta2021improved']
    """
    if name not in ARCHITECTURES:
        return []
    projects = {re.split(r"_|\d", other)[0] for other in ARCHITECTURES}
    project, *parts = re.split(r"[_\d]+", name)
    folder = ROOT / "backbones" / "networks"
    modules = [
        part
        for part in dict.fromkeys((project, *parts))
        if (folder / f"{part}.py").exists()
    ]
    modules += ["iresnet"] * (project == "demo") + ["squeeze"] * ("se" in parts)
    every = _of_modules(f"backbones.networks.{module}" for module in modules)
    also = PROJECTS.get(project, project)
    # Networks of other projects share the file.
    others = {*projects, *PROJECTS.values()} - {also}
    own = [one for one in every if one.short_title not in others]
    return _once([*own, *titled(also)])


def mask(name: str) -> list[Reference]:
    """Give the references of a mask: its allocation, and its score.

    >>> [reference.key for reference in mask("erk/wanda")]
    ['evci2020rigging', 'sun2024simple']
    """
    before, _, score = name.partition("/")
    allocation = find_allocation(before)
    sources = [allocation.source] if allocation is not None else []
    if score in SCORES:
        sources.append(SCORES[score].source)
    return _once(one for source in sources for one in cited_in(source))


def _of_sweep(what: str, manifest: Mapping[str, Any]) -> Used:
    settings = manifest.get("settings") or manifest
    if "backbone" not in settings:
        message = (
            f"{what} tell of no backbone; give the folder of a run, or its settings"
        )
        raise InputError(message)
    yield "the drift, and its first order", cited_in("arXiv:2605.13396")
    name = str(settings["backbone"])
    yield f"network {name}", network(name)
    for each in dict.fromkeys(manifest.get("masks") or [settings.get("mask") or ""]):
        yield f"mask {each}", mask(str(each))
    for word in map(str, settings.get("with") or []):
        if word in EXTRAS:
            yield f"--with {word}", of_module(EXTRAS[word])
    yield "statistics", _of_modules(f"statistics.{name}" for name in STATISTICS)


def _of_evaluation(folder: Path) -> Used:
    import pandas as pd

    path = folder / "tables" / "areas.csv"
    try:
        areas = pd.read_csv(path)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read ({error}); run prefiqs edc to its end"
        raise InputError(message) from error
    yield "the drift, and its first order", cited_in("arXiv:2605.13396")
    for name in dict.fromkeys([*areas["verifier"], *areas["scorer"]]):
        yield f"network {name}", network(str(name))
    methods = {str(name).partition("/")[0] for name in areas["quality"]}
    for name in METHODS:
        if name in methods:
            yield f"quality {name}", cited_in(METHODS[name].source)
    paths = sorted(folder.glob(f"{MEASURED}/*/*/run.json"))
    paths += sorted(folder.glob(f"{PRUNED}/*/*/*/run.json"))
    settings = [read_manifest(path.parent).get("settings") or {} for path in paths]
    masks = [each.get("mask") for each in settings]
    for name in dict.fromkeys(masks):
        if name:  # networks that do not score have none
            yield f"mask {name}", mask(str(name))
    kinds = {*areas["kind"], *(str(name).lower() for name in areas["benchmark"])}
    for kind, source in BENCHMARKS.items():
        if kind in kinds:
            yield f"benchmark {kind}", cited_in(source)
    for protocol in areas["protocol"].unique():
        yield from _curves(str(protocol), areas["interval"].unique())


def _curves(protocol: str, intervals: Iterable[str]) -> Used:
    curves = cited_in("Grother & Tabassi (2007)")
    yield (
        f"error versus discard, {protocol}",
        _once([*curves, *cited_in(PROTOCOLS.get(protocol, ""))]),
    )
    modules = {
        "jackknife": ("statistics.jackknife", "statistics.simultaneous"),
        "bootstrap": ("fiqa.bootstrap.replicates", "statistics.simultaneous"),
    }
    for method in intervals:
        if method in modules:
            yield f"intervals, {method}", _of_modules(modules[method])


def _of_modules(modules: Iterable[str]) -> list[Reference]:
    return _once(one for module in modules for one in of_module(module))


def _once(references: Iterable[Reference]) -> list[Reference]:
    return list(dict.fromkeys(references))
