"""Face-recognition networks in Flax NNX: the only package that imports Flax."""

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.backbone import Backbone, Provenance
from prefiqs_jax.backbones.functional import Blueprint, bind, blueprint
from prefiqs_jax.backbones.load import convert_weights, load_backbone
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.backbones.zoo import ARCHITECTURES

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Backbone",
    "Blueprint",
    "Preprocessing",
    "Provenance",
    "bind",
    "blueprint",
    "convert_weights",
    "load_backbone",
    "pytorch_entries",
]
