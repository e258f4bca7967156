"""Benchmarks in their real layouts, from files to tables, and the command itself."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.benchmark_writers import (
    bin_pictures,
    person_picture,
    python2_pickle,
    save,
    write_adience,
    write_ijbc,
    write_lfw,
)

from prefiqs_jax.benchmarks import KINDS, read_benchmark, with_degraded
from prefiqs_jax.cli import main
from prefiqs_jax.evaluation import Verifier
from prefiqs_jax.evaluation.units import usable_units
from prefiqs_jax.execution.precision import PRECISIONS
from prefiqs_jax.fiqa import PROTOCOLS, Members, pool_templates, template_quality
from prefiqs_jax.quality import METHODS

SIZE = 14


def tables(path, name):
    return pd.read_csv(path / "tables" / f"{name}.csv")


def test_options_are_those_of_the_library(capsys):
    with pytest.raises(SystemExit):
        main(["edc", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"seen: {', '.join(KINDS)}" in told
    for names in (METHODS, PROTOCOLS, PRECISIONS):
        assert all(name in told for name in names)


@pytest.fixture
def big(network):
    """Make a toy network for images of 112×112."""
    return [Verifier(network(size=112))]


def test_templates(run, big, tmp_path):
    write_ijbc(tmp_path / "ijbc", people=6, probes=3)
    benchmark = read_benchmark(tmp_path / "ijbc")
    _, page = run(verifiers=big, benchmarks=[benchmark])
    found = tables(tmp_path / "out", "verification")
    assert found["mated_count"].tolist() == [6 * 3]
    assert found["non_mated_count"].tolist() == [6 * 5 * 3]
    assert "by identity (known from: mated comparisons)" in page.read_text()

    units = usable_units(benchmark, benchmark.images.names)
    templates = benchmark.templates
    assert templates is not None
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(benchmark.images.names), 5)).astype(np.float32)
    pairs = units.pairs(embeddings)
    members = Members(templates.image, templates.template, templates.medium)
    pooled = pool_templates(embeddings, members)
    assert benchmark.first is not None
    assert benchmark.second is not None
    cosine = (pooled[benchmark.first] * pooled[benchmark.second]).sum(axis=1)
    assert np.abs(pairs.similarity - cosine).max() < 1e-6
    quality = rng.random(len(embeddings))
    assert (units.quality(quality, "min") == template_quality(quality, members)).all()

    # Without one image its template has the others, or is gone with its comparisons.
    gone = [name for name in benchmark.images.names if name != "1.jpg"]
    fewer = usable_units(benchmark, gone)
    assert len(fewer.kept) == len(units.kept)
    lone = templates.image[np.bincount(templates.template)[templates.template] == 1][0]
    name = benchmark.images.names[lone]
    fewer = usable_units(benchmark, [n for n in benchmark.images.names if n != name])
    assert len(fewer.kept) == len(units.kept) - 1
    assert fewer.first is not None
    assert len(fewer.first) < len(benchmark.first)
    assert any("comparisons left out" in note for note in fewer.notes)


def test_adience(run, network, tmp_path):
    write_adience(tmp_path / "adience", people=6, shots=4, size=SIZE)
    run(benchmarks=[read_benchmark(tmp_path / "adience")])
    found = tables(tmp_path / "out", "verification")
    assert found["mated_count"].tolist() == [6 * 6]
    assert found["non_mated_count"].tolist() == [24 * 23 // 2 - 36]
    assert set(tables(tmp_path / "out", "areas")["drawn"]) == {"identity"}


def test_unknown_identities_are_told(run, tmp_path):
    pictures, labels = bin_pictures(comparisons=24, size=SIZE)
    (tmp_path / "mine.bin").write_bytes(python2_pickle(pictures, labels))
    _, page = run(benchmarks=[read_benchmark(tmp_path / "mine.bin")])
    assert set(tables(tmp_path / "out", "areas")["drawn"]) <= {"image", "comparison"}
    assert "as identities are not known" in page.read_text()


def test_several_benchmarks_have_a_mean(run, people, tmp_path):
    write_lfw(tmp_path / "lfw", size=SIZE)
    lfw, faces = read_benchmark(tmp_path / "lfw"), read_benchmark(people)
    run(benchmarks=[lfw, faces])
    table = tables(tmp_path / "out", "paper_toy_fmr0.1")
    assert list(table) == ["scorer", "quality", lfw.name, faces.name, "mean"]
    rows = tables(tmp_path / "out", "areas")
    silent = sorted(set(rows.loc[~rows["tells"], "benchmark"]))
    assert np.isnan(table[silent].to_numpy(np.float64)).all()
    both = table[[name for name in (lfw.name, faces.name) if name not in silent]]
    assert np.abs(table["mean"] - both.mean(axis=1)).max() < 1.1e-3


def test_a_picture_is_not_compared_with_its_copies(run, people, tmp_path):
    benchmark = with_degraded(read_benchmark(people), copies=2)
    run(benchmarks=[benchmark], protocol="fiqat")
    found = tables(tmp_path / "out", "verification")
    # Twelve people, four photographs each, in three versions.
    mated = 12 * (12 * 11 // 2 - 4 * 3)
    assert found["mated_count"].tolist() == [mated] == [benchmark.mated_count]
    assert found["non_mated_count"].tolist() == [benchmark.non_mated_count]


@pytest.fixture
def faces(tmp_path):
    for person in range(6):
        for shot in range(3):
            path = tmp_path / "faces" / f"person_{person}" / f"{shot}.png"
            save(path, person_picture(person, shot))
    return tmp_path / "faces"


def edc(faces, tmp_path, *words):
    common = ["--fmr", "0.1", "--replicates", "20", "--quiet", "--methods", "norm"]
    out = ["--out", str(tmp_path / "out")]
    benchmark = ["--benchmark", str(faces)]
    return main(["edc", "--backbone", "demo", *benchmark, *common, *out, *words])


@pytest.mark.slow
def test_the_command(faces, tmp_path, capsys):
    names = read_benchmark(faces).images.names
    text = "\n".join(f"{name},{place}" for place, name in enumerate(names))
    mine = tmp_path / "mine.csv"
    mine.write_text(f"image,score\n{text}\nx.png,1\n")
    assert edc(faces, tmp_path, "--scores", str(mine)) == 0
    told, warned = capsys.readouterr()
    assert f"More: {tmp_path / 'out' / 'report.html'}" in told
    taken = f"{mine}: scores from column score (named so), images from column image"
    rest = f"{mine}: 1 of 19 rows belong to no image (first: x.png)"
    assert warned.splitlines() == [taken, rest]  # even if asked to be quiet
    assert list(tables(tmp_path / "out", "areas")["quality"]) == ["norm", "mine"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "nowhere.csv"], "there is no score file nowhere.csv"),
        (["--direction", "lower"], "say of which scores"),
        (["--direction", "mine=lower"], "no --scores has this name"),
        (["--fmr", "often"], "is not a number"),
        (["--methods", "crfiqa"], "crfiqa"),
        (["--degraded", "99"], "99 copies"),
        (["--verifier", "arcface_vit_t=nowhere.pt"], "nowhere.pt"),
        (["--kind", "lfv"], "did you mean lfw"),
        (["--benchmark", "nowhere"], "there is no nowhere"),
        (["--verify-pruned", "--sparsities", ""], "sparsity '' is not a number"),
        (["--verify-pruned", "--sparsities", "0"], "no sparsity above 0 is given"),
        (["--verify-pruned", "--mask", "2:4/magnitude"], "2:4"),
    ],
)
def test_bad_words(faces, tmp_path, capsys, words, message):
    assert edc(faces, tmp_path, *words) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]
    assert not (tmp_path / "out").exists()
