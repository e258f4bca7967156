"""Synthetic faces: people and photographs drawn from random keys."""

from prefiqs_jax.images.synthetic.captures import Capture, draw_capture
from prefiqs_jax.images.synthetic.people import Identity, draw_identity
from prefiqs_jax.images.synthetic.render import SIDE_PX, faces, render

__all__ = [
    "SIDE_PX",
    "Capture",
    "Identity",
    "draw_capture",
    "draw_identity",
    "faces",
    "render",
]
