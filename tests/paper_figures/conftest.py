"""Small real runs: the demo network on synthetic faces, made once a session."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.cli import main
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.masks import mask_named

PEOPLE, EACH = 10, 3


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Write synthetic faces, a folder per person."""
    root = tmp_path_factory.mktemp("synthetic") / "faces"
    people = jax.random.split(jax.random.key(1), PEOPLE)
    captures = jax.random.split(jax.random.key(2), PEOPLE * EACH)
    pixels = np.asarray(faces(people[np.arange(PEOPLE).repeat(EACH)], captures))
    for index, picture in enumerate(pixels):
        path = root / f"person_{index // EACH}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


@pytest.fixture(scope="session")
def runs(synthetic, tmp_path_factory):
    """Make a sweep, a comparison of masks, and evaluations with two masks."""
    root = tmp_path_factory.mktemp("runs")
    common = ["--backbone", "demo", "--images", str(synthetic), "--quiet"]
    common += ["--degraded", "1"]
    levels = ["--sparsities", "0.1,0.4,0.7"]
    assert main(["sweep", *common, *levels, "--out", str(root / "sweep")]) == 0
    masks = ["--masks", "global/magnitude,layerwise/random", "--sparsities", "0.3,0.6"]
    words = ["compare-masks", *common, *masks, "--out", str(root / "masks")]
    assert main(words) == 0
    demo = load_backbone("demo")
    noise = np.random.default_rng(0)
    params = jax.tree.map(
        lambda w: w * (1 + 0.05 * noise.standard_normal(w.shape).astype(w.dtype)),
        demo.params,
    )
    other = dataclasses.replace(demo, name="other", params=params)
    benchmark = with_degraded(read_benchmark(synthetic), copies=1, seed=0)
    both, methods = [Verifier(demo), Verifier(other)], ("prefiqs", "first-order")
    for name, mask, verifiers, more in (
        ("edc", "global/magnitude", both, ("norm", "random")),
        ("edc_random", "global/random", both[:1], ()),
    ):
        evaluate(
            verifiers,
            [benchmark],
            root / name,
            methods=(*methods, *more),
            mask=mask_named(mask),
            sparsities=(0.1, 0.4),
            options=EvaluationOptions(fmr=(0.1, 0.01), replicates=40, progress=False),
        )
    return root
