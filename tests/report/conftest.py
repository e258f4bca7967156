"""Run folders as ``prefiqs sweep`` writes them, made up."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from prefiqs_jax.results import ARROW_SCHEMA

SPARSITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LAYERS = {"conv1/kernel": 1_728, "layer1/0/conv1/kernel": 36_864, "fc/kernel": 524_288}


def _row(rng, image, identity, scale, sparsity):
    first_order = scale * sparsity**1.7
    drift = min(2.0, first_order * np.exp(rng.normal(0.1, 0.5) * sparsity**1.5))
    cosine = 1 - 0.9 * sparsity**2 * rng.random()
    residual = np.sqrt(first_order**2 + drift**2 - 2 * cosine * first_order * drift)
    return {
        "backbone": "demo",
        "mask": "global/magnitude",
        "image": image,
        "identity": identity,
        "sparsity": sparsity,
        "achieved_sparsity": sparsity,
        "first_order": first_order,
        "drift": drift,
        "cosine": cosine if sparsity else np.nan,
        "residual": residual,
        "quality": 1 - drift / 2,
    }


@pytest.fixture
def make_run(tmp_path):
    """Write a run folder: ``make_run(images, sparsities, people=, unfinished=)``."""

    def make(
        images=100, sparsities=SPARSITIES, *, people=0, unfinished=0, name="run", seed=0
    ):
        rng = np.random.default_rng(seed)
        run, folder = tmp_path / name, tmp_path / f"{name}_pictures"
        run.mkdir()
        folder.mkdir()
        rows = []
        for i in range(images):
            identity = f"person_{i % people}" if people else None
            file = f"{identity or 'someone_with_a_long_name'}_{i:04d}.png"
            pixels = rng.integers(0, 255, (28, 28, 3), np.uint8)
            Image.fromarray(pixels).save(folder / file)
            scale = rng.gamma(12) / 12
            if i < images - unfinished:
                rows += [_row(rng, file, identity, scale, s) for s in sparsities]
        table = pa.Table.from_pylist(rows, schema=ARROW_SCHEMA)
        half = len(rows) // 2
        pq.write_table(table.slice(0, half), run / "part-000000.parquet")
        pq.write_table(table.slice(half), run / "part-000001.parquet")
        manifest = {
            "settings": {
                "backbone": "demo",
                "mask": "global/magnitude",
                "sparsities": list(sparsities),
                "weights_sha256": "0123456789abcdef" * 4,
                "prunable": "weights of convolutions and dense layers",
                "seed": 0,
                "batch_size": 32,
                "precision": "highest",
            },
            "images": {
                "folder": str(folder),
                "count": images + 1,
                "identities": people or None,
                "identity_source": "images.csv" if people else None,
            },
            "weights": {"source": "embedded", "licence": "Apache-2.0"},
            "layers": [
                {
                    "name": layer,
                    "size": size,
                    "achieved_sparsity": [
                        float(s ** (2 - size / 524_288)) for s in sparsities
                    ],
                }
                for layer, size in LAYERS.items()
            ],
            "sessions": [
                {
                    "started": "2026-01-02T03:04:05+00:00",
                    "command": "prefiqs sweep --backbone demo --out run",
                    "versions": {"prefiqs-jax": "0.1.0", "jax": "0.8.0"},
                    "device": "cpu",
                }
            ],
            "skipped": [{"image": "bad<b>.png", "reason": "not an image"}],
        }
        (run / "run.json").write_text(json.dumps(manifest))
        return run

    return make
