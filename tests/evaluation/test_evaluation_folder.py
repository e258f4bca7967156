"""The folder of an evaluation: whose it is, and what in it is measured again."""

import dataclasses
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation import (
    EvaluationOptions,
    ScoreSource,
    Verifier,
    evaluate,
)
from prefiqs_jax.evaluation.measure import read_measured
from prefiqs_jax.files import lock_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.make import make_scorers
from prefiqs_jax.sensitivity import norms
from prefiqs_jax.sweep import SweepOptions, sweep
from prefiqs_jax.trees import prunable_matching

WORDS = "was made with"


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def run_mask(network, people, tmp_path, monkeypatch):
    """Evaluate PreFIQs with a mask object."""
    monkeypatch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])

    def run(mask, **options):
        return evaluate(
            [Verifier(network())],
            [read_benchmark(people)],
            tmp_path / "out",
            methods=("prefiqs",),
            mask=mask,
            options=EvaluationOptions(
                fmr=(0.1,), replicates=0, progress=False, **options
            ),
        )

    return run


@pytest.mark.parametrize("name", ["report.html", "thesis.tex", "tables"])
def test_a_folder_of_the_users_is_left_alone(run, tmp_path, name):
    folder = tmp_path / "mine"
    folder.mkdir()
    if name == "tables":
        (folder / name).mkdir()
        (folder / name / "areas.csv").write_text("my own")
    else:
        (folder / name).write_text("my own")
    before = files(folder)
    with pytest.raises(InputError, match="not empty and holds no evaluation"):
        run("mine")
    assert files(folder) == before


def test_nothing_is_left_of_an_evaluation_that_could_not_begin(run, people, tmp_path):
    next(people.rglob("*.png")).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"\.png is not an image"):
        run("new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_what_is_not_written_again_goes_and_the_users_files_stay(run, tmp_path):
    out = tmp_path / "out"
    run(fmr=(0.1, 0.2))
    (out / "tables" / "mine.csv").write_text("my own")
    (out / "notes.txt").write_text("my own")
    assert (out / "tables" / "paper_toy_fmr0.2.csv").exists()
    run(fmr=(0.1,))
    assert not (out / "tables" / "paper_toy_fmr0.2.csv").exists()
    assert (out / "tables" / "paper_toy_fmr0.1.csv").exists()
    assert (out / "tables" / "mine.csv").read_text() == "my own"
    assert (out / "notes.txt").read_text() == "my own"


@pytest.mark.slow
def test_what_was_measured_is_read_without_the_network(run, people, network, tmp_path):
    run(benchmarks=[with_degraded(read_benchmark(people))])
    folder = tmp_path / "out" / "measured" / "faces"
    found = read_measured(folder / "toy")
    assert list(found.scores) == ["norm", "random"]
    assert found.embeddings.shape == (96, 6)
    np.testing.assert_allclose(norms(found.embeddings), 1, rtol=1e-6)
    # An earlier version wrote no identities; then the same call adds them.
    kept = folder / "images.csv"
    text = kept.read_text()
    kept.unlink()
    parts = sorted((folder / "toy").rglob("*.parquet"))
    times = [part.stat().st_mtime_ns for part in parts]
    run(benchmarks=[with_degraded(read_benchmark(people))])
    assert kept.read_text() == text
    assert [part.stat().st_mtime_ns for part in parts] == times
    table = pd.read_csv(kept)
    assert len(table) == 48  # no degraded copy
    assert (table["identity"] == table["file"].str.partition("/")[0]).all()


def test_what_is_no_measurement(run, network, people, tmp_path):
    mask = mask_named("global/magnitude")
    options = SweepOptions(progress=False)
    made = sweep(network(), people, mask, [0.4], tmp_path / "run", options=options)
    with pytest.raises(InputError, match="run holds no embeddings"):
        read_measured(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report.html", "evaluation.json"])
def test_what_the_user_changed_is_not_lost(run, tmp_path, name):
    run()
    (tmp_path / "out" / name).write_text("my own notes")
    with pytest.raises(InputError, match=f"{name} is not from prefiqs, or was changed"):
        run()
    assert (tmp_path / "out" / name).read_text() == "my own notes"


def test_one_process_at_a_time(run, tmp_path):
    run()
    with (
        lock_folder(tmp_path / "out", "prefiqs edc"),
        pytest.raises(InputError, match=r"is in use by .* prefiqs edc since"),
    ):
        run()


def test_another_prunable_set_or_seed_is_refused(run_mask):
    run_mask(mask_named("global/random", prunable=prunable_matching("fc/")))
    conv = mask_named("global/random", prunable=prunable_matching("conv1/"))
    with pytest.raises(InputError, match=f"{WORDS} prunable fc/, not conv1/"):
        run_mask(conv)
    fc = prunable_matching("fc/")
    with pytest.raises(InputError, match=f"{WORDS} seed 0, not 1"):
        run_mask(mask_named("global/random", seed=1, prunable=fc))


def test_another_function_of_the_same_name_is_refused(run_mask):
    def mine(name, weights):
        return np.abs(weights)

    def other(name, weights):
        return -np.abs(weights)

    other.__name__ = "mine"
    from prefiqs_jax.masks import globally

    run_mask(globally(mine))
    with pytest.raises(InputError, match=f"{WORDS} other masks"):
        run_mask(globally(other))


def test_other_weights_are_refused(run, network):
    run()
    toy = network()
    scaled = jax.tree.map(lambda leaf: leaf * 0.5, toy.params)
    changed = dataclasses.replace(toy, params=scaled)
    with pytest.raises(InputError, match=f"{WORDS} other weights"):
        run(verifiers=[Verifier(changed)])


def test_images_replaced_under_their_names_are_refused(run, people):
    run()
    path = people / "person_03" / "2.png"
    Image.fromarray(np.zeros((14, 14, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match=r"other content of person_03/2\.png"):
        run()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copied", "truncated", "foreign"])
def test_a_bad_part_is_measured_again(run, network, tmp_path, capsys, how):
    run()
    areas = tmp_path / "out" / "tables" / "areas.csv"
    before = pd.read_csv(areas)
    part = tmp_path / "out/measured/faces/toy/rows/part-000002.parquet"
    if how == "copied":
        shutil.copy(part.with_name("part-000000.parquet"), part)
    elif how == "truncated":
        part.write_bytes(part.read_bytes()[:-20])
    else:
        run("other", verifiers=[Verifier(network(seed=1))])
        other = tmp_path / "other/measured/faces/toy/rows"
        shutil.copy(other / part.name, part)
    run()
    assert "it is made again" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_csv(areas), before)


@pytest.mark.slow
def test_what_scorers_draw_is_their_identity():
    demo = load_backbone("demo")

    def identity(**options):
        methods = ["serfiq", "faceqan", "random"]
        made = make_scorers(demo, methods, batch_size=2, **options)
        return [scorer.identity for scorer in made]

    one = identity(draws=Draws(seed=1))
    assert one == identity(seed=1)
    for other in (Draws(2), Draws(1, serfiq_passes=7), Draws(1, faceqan_steps=2)):
        assert identity(draws=other) != one


def test_a_sweep_of_other_content_is_no_quality_of_these(
    run, network, people, tmp_path
):
    swept = sweep(
        network(),
        read_benchmark(people).images,
        mask_named("global/magnitude"),
        [0.4],
        tmp_path / "swept",
        options=SweepOptions(progress=False),
    )
    run(methods=(), sources=[ScoreSource(swept)])
    Image.fromarray(np.zeros((14, 14, 3), np.uint8)).save(people / "person_03/2.png")
    with pytest.raises(
        InputError, match=r"made with other content of person_03/2\.png"
    ):
        run("other", methods=(), sources=[ScoreSource(swept)])
