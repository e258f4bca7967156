"""Real networks and faces in float64, out of ``../shared``."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import globally, magnitude, pruning_delta

SFACE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


def real_network(name, shared, golden_weights, folder, sparsity=0.3, count=2):
    """Return (apply_fn, params, delta, images) in float64.

    ``name`` is ``sface``, ``onnx`` (the same file, run by its graph), or one of the
    golden files, whose weights go into ``folder``. δ is that of the global magnitude.
    """
    if name in ("sface", "onnx"):
        path = shared(SFACE)
    else:
        manifest = golden_weights.load_manifest(shared(f"golden/{name}.manifest.json"))
        seed = manifest["weights"]["seed"]
        path = folder / f"{name}.safetensors"
        save_file(golden_weights.golden_state_dict(manifest, seed=seed), path)
    backbone = load_backbone(name, path)
    faces = read_folder(shared("faces/lfw100"))
    rgb_images = [np.asarray(Image.open(faces.root / n)) for n in faces.names[:count]]
    delta = pruning_delta(
        backbone.params, globally(magnitude)(backbone.params, sparsity)
    )
    params, delta = jax.tree.map(lambda w: w.astype("f8"), (backbone.params, delta))
    images = jnp.asarray(backbone.preprocess(np.stack(rgb_images)), "f8")
    return backbone.apply_fn, params, delta, images
