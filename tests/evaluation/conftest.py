"""A toy network, people in folders, and an evaluation of them in seconds."""

import numpy as np
import pytest
from benchmarks.benchmark_writers import person_picture, save
from toy import toy_backbone

from prefiqs_jax.benchmarks import read_benchmark
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate

SIZE = 14
METHODS = ("norm", "random")


@pytest.fixture(scope="session")
def network():
    """Make the toy network, of another seed if asked for, for images of 14×14."""
    return lambda seed=0, name="toy", size=SIZE: toy_backbone(
        seed=seed, size=size, name=name
    )


@pytest.fixture
def people(tmp_path):
    """Write twelve people, four images each; return the folder."""
    rng = np.random.default_rng(3)
    for person in range(12):
        for shot in range(4):
            pixels = person_picture(person, shot, SIZE)
            # So much noise that networks err.
            noisy = pixels + rng.normal(0, 120, pixels.shape)
            path = tmp_path / "faces" / f"person_{person:02d}" / f"{shot}.png"
            save(path, np.clip(noisy, 0, 255).astype(np.uint8))
    return tmp_path / "faces"


@pytest.fixture
def run(network, people, tmp_path, monkeypatch):
    """Evaluate into a folder, without figures; keywords override."""

    def run(out="out", *, verifiers=None, benchmarks=None, sources=(), **options):
        if not options.pop("figures", False):
            draws = "prefiqs_jax.evaluation.page.draw_figures"
            monkeypatch.setattr(draws, lambda *_: [])
        methods = options.pop("methods", METHODS)
        sparsities = options.pop("sparsities", (0.2, 0.4))
        mask = options.pop("mask", "global/magnitude")
        options = {"fmr": (0.1,), "replicates": 40, "progress": False} | options
        return evaluate(
            verifiers or [Verifier(network())],
            benchmarks or [read_benchmark(people)],
            tmp_path / out,
            methods=methods,
            sources=sources,
            mask=mask,
            sparsities=sparsities,
            options=EvaluationOptions(batch_size=16, **options),
        )

    return run
