"""Evaluations with masks that need data, and of images in memory."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.benchmark_writers import person_picture

from prefiqs_jax import results
from prefiqs_jax.benchmarks import benchmark_of
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import sweep_arrays

pytestmark = pytest.mark.slow

SIZE = 14


def people(seed):
    """Draw six people, two images each."""
    rng = np.random.default_rng(seed)
    clean = [person_picture(i // 2, i % 2, SIZE) for i in range(12)]
    noisy = np.stack(clean) + rng.normal(0, 120, (12, SIZE, SIZE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


WHO = [f"person{i // 2}" for i in range(12)]


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    monkeypatch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])

    def run(out, benchmarks, **options):
        given = {"fmr": (0.1,), "replicates": 0, "progress": False, "batch_size": 12}
        return evaluate(
            [Verifier(network())],
            benchmarks,
            tmp_path / out,
            methods=["prefiqs"],
            mask=mask_named("output/wanda"),
            sparsities=[0.4],
            options=EvaluationOptions(**given | options),
        )

    return run


def measured(out, name):
    folder = out / "measured" / name / "toy"
    settings = results.read_manifest(folder)["settings"]
    parts = [
        pd.read_parquet(path) for path in sorted(folder.glob("rows/part-*.parquet"))
    ]
    return settings, pd.concat(parts)["prefiqs/0.4"].to_numpy()


def test_each_benchmark_calibrates_its_own_mask(run, network, tmp_path):
    one, other = people(0), people(1)
    both = [benchmark_of(one, WHO, "one"), benchmark_of(other, WHO, "other")]
    run("own", both)
    digests = set()
    for name, images in (("one", one), ("other", other)):
        settings, quality = measured(tmp_path / "own", name)
        wanted = sweep_arrays(network(), images, "output/wanda", [0.4])["quality"]
        np.testing.assert_allclose(quality, wanted, atol=1e-6)
        assert settings["calibration"]["source"] == "the scored images"
        assert settings["calibration"]["images"] == 12
        digests.add(settings["calibration"]["sha256"])
    assert len(digests) == 2
    run("own", both)  # goes on
    run("given", both, calibration=one)
    settings, quality = measured(tmp_path / "given", "other")
    wanted = sweep_arrays(network(), other, "output/wanda", [0.4], calibration=one)
    np.testing.assert_allclose(quality, wanted["quality"], atol=1e-6)
    assert settings["calibration"]["source"] == "given"
    with pytest.raises(InputError, match="other calibration images"):
        run("given", both, calibration=other)


def test_images_and_identities_that_do_not_fit():
    with pytest.raises(InputError, match="12 images and 3 identities: give one each"):
        benchmark_of(people(0), WHO[:3])
    with pytest.raises(InputError, match="shows one person only"):
        benchmark_of(people(0), ["ann"] * 12)
    found = benchmark_of(people(0), [None, *WHO[1:]], "mine")
    assert (found.name, len(found.images.names)) == ("mine", 11)
    assert found.notes[-1] == "left out: 1 image without identity"
