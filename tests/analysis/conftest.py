"""The scripts of analysis/, a simulated run, and one of a toy network."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from simulated_run import simulate
from toy import toy_backbone

from prefiqs_jax.benchmarks import degraded_folder
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, sweep

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def script():
    """Import a script of analysis/ by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "analysis"))
        yield importlib.import_module


@pytest.fixture(scope="session")
def simulated(script):
    return simulate(script("from_runs").Measured)


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """Sweep a toy network over noise and degraded copies, with all measurements."""
    folder = tmp_path_factory.mktemp("theory")
    rng = np.random.default_rng(5)
    for index in range(8):
        path = folder / "faces" / f"person{index % 4}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    images, _, _ = degraded_folder(read_folder(folder / "faces"), seed=0)
    extras = ["taylor3", "kinks", "layers", "controls"]
    options = SweepOptions(batch_size=8, progress=False, extras=extras)
    mask = mask_named("global/magnitude")
    return sweep(
        toy_backbone(), images, mask, [0.2, 0.5], folder / "toy", options=options
    )


@pytest.fixture(scope="session")
def toy_faces(script):
    """A toy network and images of noise, 12 of four people."""
    rng = np.random.default_rng(3)
    backbone = toy_backbone()
    pixels = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    return script("from_images").Faces(
        backbone,
        tuple(f"{place}.png" for place in range(12)),
        tuple(f"p{place % 4}" for place in range(12)),
        pixels,
        backbone.preprocess(pixels),
    )
