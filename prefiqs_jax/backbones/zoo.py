"""Networks by name: how to build each, what its pixels are, where its weights fit.

This is the package's one registry: weights need provenance.
"""

import math

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.families import (
    ADAFACE_PIXELS,
    APACHE,
    ARCFACE_PIXELS,
    MAGFACE_PIXELS,
    MIT,
    NON_COMMERCIAL,
    SHARE_ALIKE,
    demo,
    iresnets,
    irs,
    lresnets,
    mobilefacenets,
    opencv_sface,
    spelling,
    vits,
    xiaoccer,
)
from prefiqs_jax.backbones.networks.mobilefacenet import LARGE_BLOCKS, LARGE_SCALE
from prefiqs_jax.backbones.official import OFFICIAL
from prefiqs_jax.backbones.verified import KINDS, verified
from prefiqs_jax.errors import unknown
from prefiqs_jax.weights.hub import HubFile

DEPTHS = (18, 34, 50, 100)
ADAFACE_DEPTHS = (18, 34, 50, 101, 152, 200)
SE_DEPTHS = (50, 101, 152)
# Any network in an ONNX file, which brings its own architecture.
ONNX = "onnx"

_ALL = [
    *(iresnets("ArcFace", depth) for depth in (*DEPTHS, 200)),
    *(
        iresnets("MagFace", depth, pixels=MAGFACE_PIXELS, epsilon=2e-5, licence=MIT)
        for depth in DEPTHS
    ),
    *(
        iresnets("ElasticFace", depth, se=se, licence=SHARE_ALIKE)
        for se in (False, True)
        for depth in DEPTHS
    ),
    *(
        iresnets(
            "CR-FIQA",
            depth,
            quality=True,
            licence=NON_COMMERCIAL,
            note=", with its quality head",
        )
        for depth in DEPTHS
    ),
    # GraFIQs' script feeds BGR unless told otherwise, but its weights are ArcFace's,
    # trained on RGB.
    *(iresnets("GraFIQs", depth, licence=NON_COMMERCIAL) for depth in DEPTHS),
    *(irs("CurricularFace", depth, pixels=ARCFACE_PIXELS) for depth in SE_DEPTHS),
    *(
        irs("CurricularFace", depth, pixels=ARCFACE_PIXELS, se=True)
        for depth in SE_DEPTHS
    ),
    *(irs("AdaFace", depth, pixels=ADAFACE_PIXELS) for depth in ADAFACE_DEPTHS),
    *(irs("AdaFace", d, pixels=ADAFACE_PIXELS, se=True) for d in ADAFACE_DEPTHS),
    mobilefacenets("arcface_mobilefacenet", "MobileFaceNet of ArcFace"),
    mobilefacenets(
        "arcface_mobilefacenet_large",
        "large MobileFaceNet of ArcFace",
        LARGE_BLOCKS,
        LARGE_SCALE,
    ),
    xiaoccer(),
    *(vits(size) for size in "tsblh"),
    *(lresnets(depth) for depth in (34, 50, 100)),
    iresnets("InsightFace", 50, note=", exported (w600k_r50): weights folded"),
    iresnets("InsightFace", 100, note=", exported (glintr100): weights folded"),
    iresnets("AuraFace", 100, licence=APACHE, note=", exported: weights folded"),
    mobilefacenets(
        "insightface_mobilefacenet",
        "MobileFaceNet of InsightFace, exported (w600k_mbf): weights folded",
    ),
    opencv_sface(),
    demo(),
]
ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in _ALL}
_SPELLINGS = {spelling(name): name for name in ARCHITECTURES}


def architecture(name: str) -> Architecture:
    """Look up an architecture by name, in any of its spellings.

    Parameters
    ----------
    name
        As ``prefiqs backbones`` lists it. Case, hyphens and the field's short names do
        not matter: ``AdaFace-IR-101``, ``arcface_r50``, ``arcface_mbf``.

    Returns
    -------
    Architecture

    Raises
    ------
    InputError
        If there is none of that name; says which is the nearest.
    """
    found = ARCHITECTURES.get(name) or ARCHITECTURES.get(
        _SPELLINGS.get(spelling(name), "")
    )
    if found is None:
        error = unknown("backbone", name, [*ARCHITECTURES, ONNX], _all_names())
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
            _where(a),
            a.licence,
        )
        for a in ARCHITECTURES.values()
    ]
    generic = (
        ONNX,
        "any network, run by the graph in its ONNX file",
        "size of the graph",
        "",
        "file",
        "",
    )
    return [*rows, generic]


def _where(found: Architecture) -> str:
    if found.embedded:
        return "included"
    return "file or hub" if isinstance(OFFICIAL.get(found.name), HubFile) else "file"


def details(name: str) -> list[tuple[str, str]]:
    """Say all that is known of one backbone, as (what, text).

    Raises
    ------
    InputError
        If there is none of that name.
    """
    found = architecture(name)
    place = OFFICIAL.get(found.name)
    rows = [
        ("name", found.name),
        ("network", found.description),
        ("input", found.preprocessing.describe()),
        ("embedding", f"{found.embedding_dim} values, not normalised"),
        ("parameters", f"{_size(found):,}"),
        ("licence", found.licence),
        ("verified against", KINDS[verified(found.name)]),
    ]
    if isinstance(place, HubFile):
        rows += [
            ("weights", f"--weights hub, or a file: {place}"),
            ("SHA-256", place.sha256 or "not published"),
            ("their licence", place.licence),
        ]
        if place.channels not in (None, found.preprocessing.channels):
            rows.append(("their input", f"{place.channels}, unlike other checkpoints"))
    elif found.embedded:
        rows.append(("weights", "included"))
    else:
        rows.append(("weights", f"a file; {place or 'no official file is known'}"))
    return rows


def _size(found: Architecture) -> int:
    shapes = found.blueprint.shapes
    return sum(math.prod(s) for path, s in shapes.items() if path.startswith("params/"))
