"""Chromium without a window, and pages of a run, a comparison and an evaluation."""

import shutil
from pathlib import Path

import drawn
import numpy as np
import pytest
from benchmarks.benchmark_writers import person_picture, save
from toy import toy_backbone

from prefiqs_jax.benchmarks import degraded_folder, read_benchmark
from prefiqs_jax.comparison import compare
from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named, masks_listed
from prefiqs_jax.report import write_report
from prefiqs_jax.sweep import SweepOptions, sweep

SIZE = 14
NAMES = ("run", "comparison", "evaluation")
EXTRAS = ("taylor2", "layers", "validity", "path", "expected", "metric", "pixels")
OPTIONS = SweepOptions(batch_size=16, progress=False, tune="never")


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Write a page of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn.RENDER, drawn.png_alone)
        return _write(tmp_path_factory.mktemp("pages"))


def _write(tmp: Path) -> dict[str, Path]:
    rng = np.random.default_rng(3)
    for person in range(9):
        for shot in range(2):
            noise = rng.normal(0, 120, (SIZE, SIZE, 3))
            pixels = np.clip(person_picture(person, shot, SIZE) + noise, 0, 255)
            path = tmp / "faces" / f"person_with_a_long_name_{person}" / f"{shot}.png"
            save(path, pixels.astype(np.uint8))
    backbone = toy_backbone(size=SIZE)
    folder = degraded_folder(read_folder(tmp / "faces"), 1, seed=0)[0]
    mask = mask_named("global/magnitude")
    options = {name: getattr(OPTIONS, name) for name in ("batch_size", "progress")}
    run = sweep(
        backbone,
        folder,
        mask,
        [0.2, 0.4, 0.7],
        tmp / "run",
        options=SweepOptions(**options, tune="never", extras=EXTRAS),
    )
    masks = masks_listed("global/magnitude,layerwise/magnitude,2:4/magnitude")
    out = tmp / "compared"
    compared = compare(backbone, folder, masks, [0.2, 0.5], out, options=OPTIONS)
    evaluated = evaluate(
        [Verifier(backbone)],
        [read_benchmark(tmp / "faces")],
        tmp / "evaluated",
        methods=("prefiqs", "norm", "random"),
        mask=mask,
        sparsities=(0.2, 0.4),
        options=EvaluationOptions(fmr=(0.1,), replicates=20, **options),
    )
    found = (write_report(run), compared, evaluated.page)
    return dict(zip(NAMES, found, strict=True))


@pytest.fixture(scope="session")
def chromium():
    """Start Debian's Chromium; skip, by name, where it or Playwright is absent."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="extra browser is absent")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=NAMES)
def opened(request, chromium, pages):
    """Open a page of each kind, without a network; give it and what went wrong."""
    context = chromium.new_context(offline=True)
    tab, wrong = context.new_page(), []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda each: wrong.append(each.url))
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(pages[request.param].as_uri())
    yield tab
    context.close()
    own = pages[request.param].as_uri()
    assert [each for each in wrong if not each.startswith(("data:", own))] == []
