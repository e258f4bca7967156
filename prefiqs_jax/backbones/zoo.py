"""Networks by name: how to build each, what its pixels are, where its weights fit.

This is the package's one registry: weights need provenance.
"""

import math
import re

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.families import ENTRIES
from prefiqs_jax.backbones.official import OFFICIAL
from prefiqs_jax.backbones.verified import KINDS, verified
from prefiqs_jax.errors import unknown
from prefiqs_jax.plugins import load_plugin, plugin_names
from prefiqs_jax.weights.hub import HubFile

# Any network in an ONNX file, which brings its own architecture.
ONNX = "onnx"


def _spelling(name: str) -> str:
    """Reduce a name to what its spellings have in common.

    >>> _spelling("AdaFace_IR_101") == _spelling("adaface_ir101")
    True
    >>> _spelling("arcface_r50") == _spelling("arcface-iresnet50")
    True
    >>> _spelling("adaface_irse50") == _spelling("adaface_ir50_se")
    True
    """
    name = re.sub(r"[^a-z0-9]+", "_", name.lower())
    name = re.sub(r"_r(\d+)", r"_iresnet\1", name).replace("mbf", "mobilefacenet")
    name = name.replace("_", "").replace("lresnet", "iresnet")
    return re.sub(r"(ir|iresnet)(\d+)se$", r"\1se\2", name)


PLUGINS = "prefiqs_jax.backbones"
"""Entry points under which installed packages offer an :class:`Architecture`."""

OTHERWISE = (
    "any other network: --backbone onnx with its ONNX file, or --backbone "
    "FILE.py:FUNCTION, which returns prefiqs_jax.from_function(apply_fn, params)"
)

_OF_ONNX = [
    (
        "pixels",
        "as insightface's loader has them: 0 to 255 if the graph scales them itself, "
        "otherwise (x - 127.5) / 127.5, RGB; --pixels says otherwise",
    ),
    ("weights", "a file, which is the network, too"),
]
ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in ENTRIES}
_SPELLINGS = {_spelling(name): name for name in ARCHITECTURES}


def architecture(name: str) -> Architecture:
    """Look up an architecture by name, as ``prefiqs backbones`` lists it.

    Case, hyphens and the field's short names do not matter: ``AdaFace-IR-101``,
    ``arcface_r50``, ``arcface_mbf``. InputError, with the nearest, if there is none.
    """
    found = ARCHITECTURES.get(name) or ARCHITECTURES.get(
        _SPELLINGS.get(_spelling(name), "")
    )
    if found is None:
        added = plugin_names(PLUGINS, ARCHITECTURES)
        if name in added:
            return load_plugin(PLUGINS, name, Architecture)
        listed = "; ".join([", ".join([_all_names(), *added]), OTHERWISE])
        error = unknown("backbone", name, [*ARCHITECTURES, ONNX, *added], listed)
        raise error
    return found


def _all_names() -> str:
    """List every name, depths of one family together."""
    families: dict[str, list[str]] = {}
    for name in (*ARCHITECTURES, ONNX):
        family = name.rstrip("0123456789")
        families.setdefault(family, []).append(name.removeprefix(family))
    return ", ".join(family + "|".join(depths) for family, depths in families.items())


def describe() -> list[tuple[str, ...]]:
    """List every backbone: name, what it is, input, output, weights, licence."""
    rows = [
        (
            a.name,
            a.description,
            a.preprocessing.describe(),
            f"{a.embedding_dim}-d",
            "included" if a.embedded else "file or hub" if _on_hub(a) else "file",
            a.licence,
        )
        for a in (
            *ARCHITECTURES.values(),
            *map(architecture, plugin_names(PLUGINS, ARCHITECTURES)),
        )
    ]
    generic = (
        ONNX,
        "any network, run by the graph in its ONNX file",
        "size of the graph",
        "",
        "file",
        "",
    )
    own = ("FILE.py:FUNCTION", "your own, any JAX function", "", "", "", "")
    return [*rows, generic, own]


def _on_hub(found: Architecture) -> bool:
    return isinstance(OFFICIAL.get(found.name), HubFile)


def details(name: str) -> list[tuple[str, str]]:
    """Say all that is known of one backbone, as (what, text)."""
    if name == ONNX:
        (row,) = (row for row in describe() if row[0] == ONNX)
        return [("name", ONNX), ("network", row[1]), ("input", row[2]), *_OF_ONNX]
    found = architecture(name)
    place = OFFICIAL.get(found.name)
    shapes = found.blueprint.shapes.items()
    size = sum(math.prod(s) for path, s in shapes if path.startswith("params/"))
    evidence = "not known: it comes with an installed package"
    if found.name in ARCHITECTURES:
        evidence = KINDS[verified(found.name)]
    rows = [
        ("name", found.name),
        ("network", found.description),
        ("input", found.preprocessing.describe()),
        ("embedding", f"{found.embedding_dim} values, not normalised"),
        ("parameters", f"{size:,}"),
        ("licence", found.licence),
        ("verified against", evidence),
    ]
    if isinstance(place, HubFile):
        rows += [
            ("weights", f"--weights hub, or a file: {place}"),
            ("SHA-256", place.sha256),
            ("their licence", place.licence),
        ]
        if place.channels not in (None, found.preprocessing.channels):
            rows.append(("their input", f"{place.channels}, unlike other checkpoints"))
    elif found.embedded:
        rows.append(("weights", "included"))
    else:
        rows.append(("weights", f"a file; {place or 'no official file is known'}"))
    return rows
