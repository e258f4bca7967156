"""What each network was compared with, as the tests do it, and how closely it agrees.

``tests/backbones/test_verified.py`` holds that this is what the tests compare.
"""

import re

KINDS = {
    "official": "outputs of the official code (float64, 1e-12)",
    "twin": "a PyTorch twin written for the tests, small, layer by layer, and its JVP "
    "(float64, 1e-12)",
    "numpy": "LResNet-IR written in NumPy, small (float64, 1e-12)",
    "export": "a PyTorch twin in ONNX as PyTorch exports it (float32, 1e-5)",
    "runtime": "ONNX Runtime on the published file (float32, 1e-4)",
    "none": "nothing: it was trained by this code",
}
"""Kind to what it means, from the strongest evidence to none."""

_PATTERNS = {
    "official": r"arcface_(iresnet(18|34|50|100)|mobilefacenet|vit_t)"
    r"|(magface|elasticface|grafiqs)_iresnet100|curricularface_ir101"
    r"|adaface_ir(50|101)|xiaoccer_mobilefacenet",
    "numpy": r"mxnet_.*",
    "export": r"(insightface|auraface)_(iresnet|mobilefacenet).*",
    "runtime": r"sface",
    "none": r"demo",
}


def verified(name: str) -> str:
    """Return the kind of evidence, a key of `KINDS`, for a network of the zoo.

    Examples
    --------
    >>> verified("adaface_ir101"), verified("adaface_ir_se101")
    ('official', 'twin')
    """
    for kind, pattern in _PATTERNS.items():
        if re.fullmatch(pattern, name):
            return kind
    return "twin"
