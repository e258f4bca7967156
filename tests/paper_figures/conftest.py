"""Small real runs, made once a session.

The demo network on synthetic faces, and toy networks that err on noisy pictures.
"""

import drawn
import jax
import numpy as np
import pytest
from benchmarks.benchmark_writers import person_picture, save
from PIL import Image
from toy import toy_backbone

from prefiqs_jax.benchmarks import read_benchmark
from prefiqs_jax.cli import main
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.masks import mask_named

PEOPLE, EACH = 6, 2
SIZE = 14


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
def noisy(tmp_path_factory):
    """Write twelve people, four pictures each, so noisy that networks err."""
    root = tmp_path_factory.mktemp("noisy") / "noisy"
    rng = np.random.default_rng(3)
    for person in range(12):
        for shot in range(4):
            pixels = person_picture(person, shot, SIZE)
            pixels = np.clip(pixels + rng.normal(0, 120, pixels.shape), 0, 255)
            path = root / f"person_{person:02d}" / f"{shot}.png"
            save(path, pixels.astype(np.uint8))
    return root


@pytest.fixture(scope="session")
def runs(synthetic, noisy, tmp_path_factory):
    """Make a sweep, a comparison of masks, and evaluations with two masks."""
    root = tmp_path_factory.mktemp("runs")
    common = ["--backbone", "demo", "--images", str(synthetic), "--quiet"]
    common += ["--degraded", "1"]
    levels = ["--sparsities", "0.1,0.4,0.7"]
    assert main(["sweep", *common, *levels, "--out", str(root / "sweep")]) == 0
    masks = ["--masks", "global/magnitude,layerwise/random", "--sparsities", "0.3,0.6"]
    words = ["compare-masks", *common, *masks, "--out", str(root / "masks")]
    own, other = (
        Verifier(toy_backbone(seed=seed, size=SIZE, name=name))
        for seed, name in enumerate(("own", "other"))
    )
    with pytest.MonkeyPatch.context() as patch:
        # Their own figures are drawn by other tests.
        patch.setattr(drawn.RENDER, drawn.nothing)
        patch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])
        assert main(words) == 0
        for name, mask, verifiers, more in (
            ("edc", "global/magnitude", [own, other], ("norm", "random")),
            ("edc_random", "global/random", [own], ()),
        ):
            evaluate(
                verifiers,
                [read_benchmark(noisy)],
                root / name,
                methods=("prefiqs", "first-order", *more),
                mask=mask_named(mask),
                sparsities=(0.1, 0.4),
                options=EvaluationOptions(
                    fmr=(0.1, 0.01),
                    replicates=40,
                    verify_pruned=True,
                    batch_size=16,
                    progress=False,
                ),
            )
    return root
