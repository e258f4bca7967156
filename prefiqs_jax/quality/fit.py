"""Whether a network has what a method needs, told before any work."""

from collections.abc import Sequence

import jax
import numpy as np

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.taps import Taps
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import PRECISIONS, Precision
from prefiqs_jax.quality.grafiqs import OUTPUTS
from prefiqs_jax.quality.methods import CRFIQA, FACEQAN, GRAFIQS, SERFIQ


def check_fit(backbone: Backbone, methods: Sequence[str], precision: Precision) -> None:
    """Raise InputError if the network lacks what a method needs."""
    if precision not in PRECISIONS:
        message = f"precision {precision!r} is unknown; choose {', '.join(PRECISIONS)}"
        raise InputError(message)
    name, taps = backbone.name, backbone.taps
    for method in methods:
        if method in (GRAFIQS, FACEQAN) and precision == "fast":
            message = (
                f"{method} takes gradients, which precision fast does not have; use "
                "high or highest, or leave the method out"
            )
            raise InputError(message)
        if method in (GRAFIQS, SERFIQ) and taps is None:
            message = (
                f"{method} looks inside the network, but of {name} only the whole is "
                "known; load it under its own name (prefiqs backbones), or leave the "
                "method out"
            )
            raise InputError(message)
        if method == CRFIQA and backbone.quality_head is None:
            message = (
                f"crfiqa needs weights with a quality head, which {name} has not; use "
                "crfiqa_iresnet50 or the like, or leave the method out"
            )
            raise InputError(message)
    if GRAFIQS in methods and taps is not None:
        _check_norms(backbone, taps)


def _check_norms(backbone: Backbone, taps: Taps) -> None:
    """Raise InputError unless GraFIQs has its statistics and its four stages."""
    if backbone.provenance.folded:
        message = (
            f"grafiqs needs the BatchNorm statistics of the training, but whoever "
            f"exported {backbone.provenance.file} has folded them into the "
            "convolutions; use the original weights, or leave the method out"
        )
        raise InputError(message)
    pixels = backbone.preprocessing
    image = jax.ShapeDtypeStruct((1, pixels.height, pixels.width, 3), np.float32)
    seen = jax.eval_shape(lambda p, x: taps.observe(p, x, ()), backbone.params, image)
    if not seen.norms or len(seen.stages) + 1 != len(OUTPUTS):
        message = (
            f"grafiqs needs BatchNorms of feature maps in four stages, which "
            f"{backbone.name} has not; leave the method out"
        )
        raise InputError(message)
