"""A whole evaluation: its numbers against the definitions, and its parts kept."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import blind_to_black

from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation import ScoreSource, Verifier
from prefiqs_jax.evaluation.measure import Measured
from prefiqs_jax.fiqa import Pairs, edc, pair_quality, pauc
from prefiqs_jax.images import load_batches
from prefiqs_jax.masks import mask_named

COLUMNS = ["pauc", "low", "high", "difference", "difference_low", "difference_high"]
ALL = ("prefiqs", "first-order", "norm", "random")
NAMES = ["prefiqs/0.2", "prefiqs/0.4", "first-order/0.2", "first-order/0.4", "norm"]


def areas(path):
    return pd.read_csv(path / "tables" / "areas.csv")


def pixels_of(folder):
    batches = load_batches(folder, height=14, width=14, batch_size=64)
    return np.concatenate([batch.pixels for batch in batches])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")
def test_areas_are_those_of_the_definitions(run, network, people, tmp_path):
    run(flip=True, methods=ALL)
    found = areas(tmp_path / "out").set_index("quality")
    assert list(found.index) == [*NAMES, "random"]

    backbone, folder = network(), read_benchmark(people).images
    images = backbone.preprocess(pixels_of(folder))
    raw = np.asarray(backbone.apply_fn(backbone.params, images), np.float64)
    mirrored = np.asarray(
        backbone.apply_fn(backbone.params, images[:, :, ::-1]), np.float64
    )
    halves = [e / np.linalg.norm(e, axis=1, keepdims=True) for e in (raw, mirrored)]
    cosine = np.mean([half @ half.T for half in halves], axis=0)
    first, second = np.triu_indices(len(images), 1)
    who = np.array(folder.identities)
    pairs = Pairs(first, second, cosine[first, second], who[first] == who[second])
    norm = np.linalg.norm(raw, axis=1)
    curve = edc(pairs.similarity, pairs.mated, pair_quality(norm, pairs), fmr=0.1)
    # Cosines that are closer than float32 tells may change places.
    assert abs(float(found["pauc"].to_dict()["norm"]) - pauc(curve)) < 1e-3
    assert found["is_reference"].tolist() == [True] + [False] * 5
    area, low, high, difference, least, most = (
        found[name].to_numpy(np.float64) for name in COLUMNS
    )
    assert (low < high).all()
    assert set(found["interval"]) == {"jackknife"}
    assert np.all(found["tells"])
    assert np.abs(difference - (area - area[0])).max() < 1e-15  # read from a CSV
    real = (least > 0) | (most < 0)
    assert found["differs"].tolist() == real.tolist()
    assert set(found["drawn"]) == {"identity"}


@pytest.mark.slow
def test_what_it_writes(run, tmp_path):
    lines, page = run(figures=True)
    text = page.read_text()
    assert any("least pAUC" in line for line in lines)
    for name in ("norm", "random"):
        assert f'<th scope="row">{name}</th>' in text
    table = pd.read_csv(tmp_path / "out" / "tables" / "paper_toy_fmr0.1.csv")
    expected = areas(tmp_path / "out")
    assert np.allclose(table["faces"], 1e3 * expected["pauc"], atol=5e-4)
    assert np.allclose(table["mean"], table["faces"])
    curves = pd.read_csv(tmp_path / "out" / "tables" / "curves.csv")
    assert curves.loc[curves["discard_fraction"] == 0, "mated_count"].tolist() == [
        12 * 6,
        12 * 6,
    ]
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    for stem in ("edc_faces_toy_toy_fmr0.1", "pauc_faces_toy_toy", "det_faces"):
        assert {f"{stem}.png", f"{stem}.pdf"} <= figures
        assert f'<figure id="{stem}">' in text


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(run, tmp_path, monkeypatch):
    run()
    folder = tmp_path / "out" / "measured" / "faces" / "toy"
    before = areas(tmp_path / "out")
    (folder / "rows/part-000001.parquet").unlink()
    taken = []

    def counted(*arguments, **options):
        for batch in load_batches(*arguments, **options):
            taken.append(batch.index)
            yield batch

    monkeypatch.setattr("prefiqs_jax.evaluation.measure.load_batches", counted)
    run()
    assert taken == [1]
    pd.testing.assert_frame_equal(areas(tmp_path / "out"), before)
    run(fmr=(0.2,), protocol="fiqat")  # another question to the same measurement
    assert taken == [1]
    assert set(areas(tmp_path / "out")["protocol"]) == {"fiqat"}
    assert len(json.loads((folder / "run.json").read_text())["sessions"]) == 2


def test_another_measurement_in_the_same_folder(run):
    run()
    with pytest.raises(InputError, match=r"was made with scores .* another --out"):
        run(methods=("norm",))


@pytest.mark.slow
def test_scorer_and_verifier_differ(run, network, tmp_path):
    other = network(seed=1, name="other")
    first, second = Verifier(network()), Verifier(other, scores=False)
    run("cross", verifiers=[first, second], methods=("norm",))
    found = areas(tmp_path / "cross")
    assert found[["verifier", "scorer"]].values.tolist() == [
        ["toy", "toy"],
        ["other", "toy"],
    ]
    run("alone", verifiers=[Verifier(other)], methods=("norm",))
    run("each", verifiers=[first, Verifier(other)], methods=("norm",))
    each = areas(tmp_path / "each")
    assert each[["verifier", "scorer"]].values.tolist() == [
        ["toy", "toy"],
        ["other", "toy"],
        ["other", "other"],
    ]
    same, crossed, alone = each["pauc"].tolist()
    assert [same, crossed] == found["pauc"].tolist()
    assert [alone] == areas(tmp_path / "alone")["pauc"].tolist()
    assert crossed != alone


def test_score_files(run, people, tmp_path, capsys):
    names = read_benchmark(people).images.names
    rng = np.random.default_rng(0)
    drift = rng.random(len(names))
    lines = [
        f"/elsewhere/{name} {value}" for name, value in zip(names, drift, strict=True)
    ]
    (tmp_path / "theirs.txt").write_text("\n".join(lines) + "\n")
    source = ScoreSource(tmp_path / "theirs.txt")
    lower = ScoreSource(tmp_path / "theirs.txt", name="turned", direction="lower")
    run(methods=(), sources=[source, lower])
    found = areas(tmp_path / "out").set_index("quality")
    assert list(found.index) == ["theirs", "turned"]
    assert len(set(found["pauc"])) == 2
    with pytest.raises(InputError, match="two qualities are called theirs"):
        run("twice", methods=(), sources=[source, source])
    (tmp_path / "few.txt").write_text("\n".join(lines[2:]) + "\n")
    with pytest.raises(InputError, match="2 of"):
        run("few", methods=(), sources=[ScoreSource(tmp_path / "few.txt")])
    assert not (tmp_path / "few").exists()


@pytest.mark.slow
def test_a_reversed_score_is_told(run, tmp_path, people, monkeypatch, capsys):
    """Qualities opposed to what makes comparisons match."""
    benchmark = with_degraded(read_benchmark(people), copies=1, seed=1)
    run(benchmarks=[benchmark], methods=("random",))
    assert "severity" in set(areas(tmp_path / "out")["quality"])
    names = benchmark.images.names
    severity = benchmark.severity
    assert severity is not None
    text = "\n".join(f"{n},{s}" for n, s in zip(names, severity, strict=True))
    (tmp_path / "bad.csv").write_text(f"image,quality\n{text}\n")

    similar = 1 - severity  # the more degraded, the less alike

    def as_degraded(task, out, **options):
        angle = np.arccos(similar)
        whose = np.array([hash(who) for who in task.images.identities])
        rows = np.zeros((len(names), 30), np.float32)
        rows[:, 0] = np.cos(angle)
        rows[np.arange(len(names)), 1 + whose % 29] = np.sin(angle)
        return Measured(names, rows, {})

    monkeypatch.setattr("prefiqs_jax.evaluation.run.measure", as_degraded)
    source = ScoreSource(tmp_path / "bad.csv")
    run("told", benchmarks=[benchmark], methods=(), sources=[source])
    assert "bad looks reversed: its rank correlation" in capsys.readouterr().err
    source = ScoreSource(tmp_path / "bad.csv", direction="lower")
    run("declared", benchmarks=[benchmark], methods=(), sources=[source])
    assert "looks reversed" not in capsys.readouterr().err


def test_skipped_pictures_leave_their_comparisons_out(run, people, tmp_path):
    (people / "person_03" / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"person_03/1\.png"):
        run("strict")
    lines, _ = run("skip", on_bad_image="skip")
    assert "1 of 48 images left out" in lines
    found = pd.read_csv(tmp_path / "skip" / "tables" / "verification.csv")
    assert found["mated_count"].tolist() == [12 * 6 - 3]


@pytest.fixture
def separated(people, monkeypatch):
    """Make every mated comparison match, but those of the first of some people."""

    def separated(failing):
        def measured(task, out, **options):
            who = [str(name) for name in task.images.identities]
            codes = np.unique(who, return_inverse=True)[1]
            noise = np.random.default_rng(0).normal(0, 0.02, (len(who), 64))
            rows = np.eye(64)[codes] + noise
            for place in range(failing):
                rows[4 * place] = np.eye(64)[20 + place]
            scores = {"random": np.random.default_rng(1).random(len(who))}
            return Measured(
                task.images.names,
                rows.astype(np.float32),
                scores | {"norm": -scores["random"]},
            )

        monkeypatch.setattr("prefiqs_jax.evaluation.run.measure", measured)

    return separated


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "words"),
    [
        (0, "none of 72 mated comparisons fails"),
        (1, "only 3 of 72 mated comparisons fail, of one person; it takes 10, of 3"),
        (3, "only 9 of 72"),
    ],
)
def test_too_few_errors_have_no_winner(run, separated, tmp_path, failing, words):
    separated(failing)
    lines, page = run(fmr=(0.01,), figures=True)
    (line,) = [line for line in lines if "verifies" in line]
    assert f"cannot tell at FMR 0.01: {words}" in line
    text = page.read_text()
    assert "least pAUC" not in text
    assert f"Cannot tell: {words}" in text
    assert "faces cannot tell these qualities apart" in text
    found = areas(tmp_path / "out")
    assert not np.any(found["tells"])
    assert not np.any(found["differs"])
    ends = found[["low", "high", "difference_low", "difference_high"]]
    assert np.isnan(ends.to_numpy(np.float64)).all()
    assert set(found["errors"]) == {3 * failing}
    assert set(found["units_with_errors"]) == {failing}
    tables = tmp_path / "out" / "tables"
    for name in ("curves", "verification"):
        assert not np.any(pd.read_csv(tables / f"{name}.csv")["tells"])
    paper = pd.read_csv(tables / "paper_toy_fmr0.01.csv")
    assert np.isnan(paper["faces"].to_numpy(np.float64)).all()
    assert "mean" not in paper


def test_enough_errors_have_one(run, separated, tmp_path):
    separated(4)
    lines, page = run(fmr=(0.01,))
    assert any(
        "least pAUC" in line and "qualities differ from" in line for line in lines
    )
    text = page.read_text()
    assert "Differs: the interval excludes 0" in text
    assert "leaving out one at a time, by identity (known" in text
    found = areas(tmp_path / "out")
    assert np.all(found["tells"])
    tables = tmp_path / "out" / "tables"
    for name in ("curves", "verification"):
        assert np.all(pd.read_csv(tables / f"{name}.csv")["tells"])
    assert np.isfinite(found["low"].to_numpy(np.float64)).all()


def test_few_people_are_told(run):
    lines, page = run()
    told = (
        "ntervals of FNMR and of differences of 12 people contain the truth less often "
        "than 95 %; take at least 20"
    )
    assert any(told in line for line in lines)
    assert "leaving out one at a time, by identity (known" in page.read_text()
    assert told in page.read_text()


def test_few_replicates_are_told(run):
    lines, page = run(replicates=3)
    text = page.read_text()
    assert "(2 degrees of freedom), leaving out one of 3 groups at a time" in text
    told = "ntervals rest on 3 groups of 12 people, so they are coarse"
    assert told in text
    assert any(told in line for line in lines)


def test_ties_are_told(run, people, tmp_path):
    names = read_benchmark(people).images.names
    text = "".join(f"{name} {place % 3}\n" for place, name in enumerate(names))
    (tmp_path / "levels.txt").write_text(text)
    lines, _ = run(methods=(), sources=[ScoreSource(tmp_path / "levels.txt")])
    assert any("tie in quality at a cut of 1 of 1 qualities" in line for line in lines)


def test_zero_fmr_is_told(run):
    lines, _ = run(fmr=(1e-4,), replicates=0)
    assert any("it is the ZeroFMR" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ()}, "no qualities are given"),
        ({"methods": ("prefix",)}, "did you mean prefiqs"),
        ({"fmr": ()}, "no false match rate"),
        ({"fmr": (0.1, 0.1)}, "given twice"),
        ({"fmr": (2.0,)}, "outside"),
        ({"max_discard": 0.99}, r"outside \(0, 0.95\]"),
        ({"max_discard": 0.0}, "outside"),
        ({"protocol": "iso"}, "unknown protocol"),
        ({"reference": "magface"}, "the reference magface is none of the qualities"),
    ],
)
def test_bad_settings(run, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(**options)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, np.nan])
def test_images_without_direction_leave_their_comparisons_out(
    run, network, people, tmp_path, capsys, value
):
    verifiers = [Verifier(blind_to_black(network(), value))]
    for name in ("person_00/1.png", "person_05/0.png"):
        Image.new("RGB", (14, 14)).save(people / name)
    with pytest.raises(InputError, match="--on-bad-image skip"):
        run("fail", verifiers=verifiers, methods=ALL)
    lines, _ = run("skip", verifiers=verifiers, methods=ALL, on_bad_image="skip")
    assert lines
    found = pd.read_csv(tmp_path / "skip" / "tables" / "verification.csv")
    assert found["mated_count"].unique().tolist() == [12 * 6 - 2 * 3]
    told = capsys.readouterr().err
    assert "left out person_00/1.png: has " in told
    assert "left out person_05/0.png: has " in told


@pytest.mark.slow
def test_qualities_of_nothing_but_rounding_are_said(run, network, capsys):
    mask = mask_named("global/magnitude")
    dense = network()
    params = jax.tree.map(
        lambda w, keep: np.where(keep, w, 0 * w), dense.params, mask(dense.params, 0.4)
    )
    pruned = dataclasses.replace(dense, params=params)
    run(verifiers=[Verifier(pruned)], methods=ALL, sparsities=(0.0, 0.6))
    told = capsys.readouterr().err
    assert "prefiqs/0, first-order/0: no embedding changes" in told
    assert "prefiqs/0.6" not in told


def test_a_mask_that_takes_only_zeros_is_refused(run, network):
    mask = mask_named("global/magnitude")
    dense = network()
    params = jax.tree.map(
        lambda w, keep: np.where(keep, w, 0 * w), dense.params, mask(dense.params, 0.4)
    )
    pruned = dataclasses.replace(dense, params=params)
    with pytest.raises(InputError, match="takes only weights that are zero already"):
        run(verifiers=[Verifier(pruned)], methods=ALL, sparsities=(0.2, 0.6))
