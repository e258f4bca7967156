"""The scripts of analysis/, a simulated run, and one of a toy network."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from simulated_run import simulate
from toy import toy_backbone

from prefiqs_jax.benchmarks import degraded_folder, read_benchmark, with_degraded
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
from prefiqs_jax.fiqa import all_pairs
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
    return simulate(script("measured").Measured)


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


@pytest.fixture(scope="session")
def toy_evaluation(tmp_path_factory):
    """Evaluate two toy networks, each with its own scores, on noisy faces of six."""
    folder = tmp_path_factory.mktemp("evaluated")
    rng = np.random.default_rng(3)
    for person, pixels in enumerate(rng.integers(0, 256, (6, 8, 8, 3))):
        for shot in range(4):
            path = folder / "faces" / f"{person:02d}" / f"{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = np.clip(pixels + rng.normal(0, 90, pixels.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])
        evaluate(
            [Verifier(toy_backbone(seed=seed, name=f"toy{seed}")) for seed in (0, 1)],
            [with_degraded(read_benchmark(folder / "faces"))],
            folder / "toys",
            methods=("prefiqs", "first-order", "norm", "random"),
            mask=mask_named("global/magnitude"),
            sparsities=(0.2, 0.4),
            options=EvaluationOptions(fmr=(0.1, 0.2), batch_size=16, progress=False),
        )
    return folder / "toys"


@pytest.fixture(scope="session")
def verified(script):
    """Make up embeddings of ten people, four images each, one bad; give the noise."""
    ours = script("from_evaluations")
    rng = np.random.default_rng(2)
    people = np.repeat([f"p{person}" for person in range(10)], 4)
    noise = rng.uniform(0.2, 0.7, len(people)) + np.tile([1.5, 0.0, 0.0, 0.0], 10)
    embeddings = np.repeat(rng.normal(size=(10, 8)), 4, axis=0)
    embeddings += noise[:, None] * rng.normal(size=embeddings.shape)
    names = [f"{who}/{place}.png" for place, who in enumerate(people)]
    rows = {"image": names, "copy_of": names, "identity": people, "backbone": "mine"}
    rows = pd.DataFrame(rows | {"sparsity": 0.0, "below_rounding": False})
    run = script("measured").Measured("made/up", "global/magnitude", rows, {}, {}, 0.0)
    setting = ours.Setting(0.05, "crfiqa", 0.6, 24, 0.4)
    pairs = all_pairs(embeddings, people)
    return ours.Verified(run, pairs, {}, setting), noise, embeddings
