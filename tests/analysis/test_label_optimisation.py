"""The study of optimised labels: what is held out, what is compared and written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prefiqs_jax.fiqa import edc, pair_quality, pauc
from prefiqs_jax.images import ImageFolder


@pytest.fixture(scope="module")
def script(script):
    return script("label_optimisation")


def simulated(script, people=30, each=6, seed=0):
    """Give faces some of which are spoilt, a score that knows it, and one that guesses.

    A spoilt face strays from its person's, and far: most false non-matches are its.
    """
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    spoilt = rng.random(len(who)) ** 2
    embeddings = rng.normal(size=(people, 24))[who]
    embeddings += 2 * spoilt[:, None] * rng.normal(size=embeddings.shape)
    names = tuple(f"{w:02d}/{n}.png" for n, w in enumerate(who))
    folder = ImageFolder(Path(), names, tuple(f"p{w}" for w in who), "folders", ())
    quality = {"knows": -spoilt, "guesses": rng.random(len(who))}
    return script.Faces(folder, embeddings, quality)


def test_halves(script):
    people = ["a"] * 7 + ["b"] * 4 + ["c"]
    half = script.split_halves(people, 0)
    assert [half[:7].sum(), half[7:11].sum(), half[11]] == [3, 2, 0]
    np.testing.assert_array_equal(half, script.split_halves(people, 0))
    others = [script.split_halves(people, seed).tolist() for seed in range(1, 5)]
    assert any(other != half.tolist() for other in others)


def test_only_comparisons_across_the_halves_are_tested(script):
    faces = simulated(script, people=4, each=3)
    half = script.split_halves(faces.folder.identities, 1)
    pairs = script.across(faces.embeddings, faces.folder.identities, half)
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    expected = {
        (a, b) for a in range(12) for b in range(a + 1, 12) if half[a] != half[b]
    }
    assert found == expected
    for a, b, similarity, mated in zip(*pairs, strict=True):
        x, y = faces.embeddings[a], faces.embeddings[b]
        cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
        assert similarity == pytest.approx(cosine)
        assert mated == (a // 3 == b // 3)


def test_held_out_labels_know_nothing_of_the_tested_comparisons(script):
    """Turn one half: only cosines across the halves, which are tested, change."""
    faces = simulated(script)
    half = script.split_halves(faces.folder.identities, 0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(24, 24)))[0]
    turned = faces.embeddings.copy()
    turned[half == 1] @= turn
    options = {"seed": 0, "draws": 3, "clusters": 20}
    before = script.optimised(faces, half, [0.1], options)
    after = script.optimised(faces._replace(embeddings=turned), half, [0.1], options)
    for score in faces.quality:
        held_out, seen = (score, script.HELD_OUT, 0.1), (score, script.SEEN, 0.1)
        np.testing.assert_array_equal(after[held_out], before[held_out])
        assert (after[held_out] != faces.quality[score]).any()
        assert (after[seen] != before[seen]).any()


def test_study(script):
    faces = simulated(script)
    table = script.study(faces, [0.001, 0.1], fmr=0.01, replicates=60, draws=3)
    keys = table.set_index(["score", "labels", "step"]).sort_index()
    assert len(keys) == 2 * (1 + 2 * 2)

    people = faces.folder.identities
    half = script.split_halves(people, 0)
    pairs = script.across(faces.embeddings, people, half)
    for score, quality in faces.quality.items():
        curve = edc(
            pairs.similarity,
            pairs.mated,
            pair_quality(quality, pairs),
            fmr=0.01,
            protocol="fiqat",
        )
        own = keys.loc[score, script.BASE, 0.0]
        assert own["fnmr"] == curve.fnmr[0] > 0
        assert own["pauc"] == pytest.approx(pauc(curve, max_discard=0.3), rel=1e-12)
        assert own["difference"] == own["low"] == own["high"] == 0
        assert not own["differs"]
        assert own["rank_correlation"] == 1
    assert np.all(keys["pauc_low"] <= keys["pauc_high"])
    bases = table[table["labels"] == script.BASE].set_index("score")["pauc"]
    expected = table["pauc"] - table["score"].map(bases)
    np.testing.assert_allclose(table["difference"], expected, rtol=0, atol=1e-15)
    excluded = (keys["low"] > 0) | (keys["high"] < 0)
    assert (keys["differs"] == excluded).all()

    # A guess gains much, and more on comparisons that it has seen.
    held_out = keys.loc["guesses", script.HELD_OUT, 0.1]
    seen = keys.loc["guesses", script.SEEN, 0.1]
    assert held_out["differs"]
    assert seen["difference"] < held_out["difference"] < 0
    assert held_out["rank_correlation"] < 1
    assert (table["mated"] == 30 * 9).all()
    assert (table["identities"] == 30).all()


def test_where_nothing_fails_nothing_can_help(script):
    faces = simulated(script)
    who = np.repeat(np.eye(30), 6, axis=0)
    table = script.study(faces._replace(embeddings=who), [0.1], replicates=5)
    assert (table["fnmr"] == 0).all()
    said = script.finding(table.assign(run="toy", mask="global/magnitude"))
    assert "better than the score itself in 0 of 2 cases and worse in 0;" in said


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for who in ("ann", "bob", "eve"):
        (tmp_path / "faces" / who).mkdir(parents=True)
        for shot in range(4):
            pixels = rng.integers(0, 256, (112, 112, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / who / f"{shot}.png")
    return tmp_path / "faces"


@pytest.mark.slow
def test_from_pictures_and_a_score_file(script, folder, tmp_path, capsys):
    names = [f"{who}/{shot}" for who in ("ann", "bob", "eve") for shot in range(4)]
    scores = tmp_path / "theirs.txt"
    scores.write_text("".join(f"/x/{n}.jpg {i}\n" for i, n in enumerate(names)))
    arguments = [
        "--images",
        str(folder),
        "--backbone",
        "demo",
        "--methods",
        "norm",
        "--quiet",
    ]
    arguments += ["--scores", f"theirs={scores}", "--direction", "theirs=lower"]
    arguments += ["--steps", "0.1", "--draws", "2", "--replicates", "20"]
    out = tmp_path / "out"
    assert script.main([*arguments, "--fmr", "0.1", "--out", str(out)]) == 0
    suffixes = {path.suffix for path in out.glob("[!.]*")}
    assert suffixes == {".csv", ".txt", ".png", ".pdf"}
    table = pd.read_csv(out / "label_optimisation.csv")
    assert list(table["score"].unique()) == ["norm", "theirs"]
    assert table["images"].tolist() == [12] * len(table)
    said = capsys.readouterr().out
    assert "| out (demo), global/magnitude | 12 of 3 people | " in said
    assert "| theirs | " in said
    # The folder that was made answers again, beside another.
    other = tmp_path / "other"
    table.assign(run="other").to_csv(_kept(other), index=False)
    assert script.main([str(out), str(other), "--out", str(tmp_path / "both")]) == 0
    both = pd.read_csv(tmp_path / "both/label_optimisation.csv")
    assert set(both["run"]) == {"out", "other"}
    pd.testing.assert_frame_equal(both.loc[both["run"] == "out"], table)


def _kept(folder):
    folder.mkdir()
    return folder / "label_optimisation.csv"


@pytest.fixture(scope="module")
def studied(script):
    faces = simulated(script)
    options = {"fmr": 0.01, "draws": 3}
    table = script.study(faces, [0.001, 0.1], **options)
    return script.in_front(table, "toy", "net", "global/magnitude")


def test_the_finding_is_made_of_the_lines(script, studied):
    """Each count and each span is of the lines, whatever these are."""
    changed = studied["labels"] != script.BASE
    for turned in (studied, studied.assign(low=-studied["high"], high=-studied["low"])):
        said = script.finding(turned)
        assert said.count(". ") == 1
        for kind, words in (
            (script.HELD_OUT, "score itself in {} of 4 cases"),
            (script.SEEN, "too, they seem better in {} and worse in {}, by"),
        ):
            own = turned[changed & (turned["labels"] == kind)]
            better, worse = sum(own["high"] < 0), sum(own["low"] > 0)
            assert better + worse > 0
            assert words.format(better, worse) in said
            low, high = (1e3 * end(own["difference"]) for end in (min, max))
            assert f"by {low:+.1f} to {high:+.1f}" in said
    named = studied.replace({"score": {"knows": "prefiqs/0.4"}})
    held_out = pick(named, "prefiqs/0.4", script.HELD_OUT)
    assert f"(of PreFIQs {sum(held_out['high'] < 0)} of 2)" in script.finding(named)


def pick(table, score, labels):
    return table[(table["score"] == score) & (table["labels"] == labels)]


def test_the_row_is_made_of_the_lines(script, studied):
    part = studied[studied["score"] == "guesses"]
    errors = round(part["fnmr"].iloc[0] * 30 * 9)
    assert script.front(part) == {
        "run": "toy (net), global/magnitude",
        "images": "180 of 30 people",
        "false non-matches": f"{errors} ({errors / 270:.0%}) at FMR 0.01",
        "discarded": "up to 30%",
    }
    cells = script.row(part)
    assert cells["score"] == "guesses"
    (base,) = pick(part, "guesses", script.BASE).to_dict("records")
    assert cells[script.BASE].startswith(f"{1e3 * base['pauc']:.1f} [")
    lines = pick(part, "guesses", script.HELD_OUT).sort_values("step")
    each = [
        "{:+.1f} [{:+.1f}, {:+.1f}]".format(
            *(1e3 * line[name] for name in ("difference", "low", "high"))
        )
        for line in lines.to_dict("records")
    ]
    assert cells[script.HELD_OUT] == " → ".join(each)
    assert cells[f"{script.HELD_OUT}: significant at"] == "better: 0.1"
    worse = script.row(part.assign(low=1.0, high=2.0))
    assert worse[f"{script.SEEN}: significant at"] == "worse: 0.001, 0.1"
    ranks = [f"{rank:.3f}" for rank in lines["rank_correlation"]]
    assert cells["Spearman"] == " → ".join(ranks)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--scores", "mine"], "'mine' is not of the form --scores NAME=FILE"),
        (["--direction", "a=lower"], "give higher or lower for a name of --scores"),
        (["--scores", "a=none.txt"], "none.txt: cannot be read"),
        (["--steps", "0.1,x"], "step 'x' is not a number"),
        (["--steps", "0.1,0"], "step 0 is not in (0, 1]"),
    ],
)
def test_bad_input(script, folder, tmp_path, capsys, arguments, part):
    words = [
        "--images",
        str(folder),
        "--backbone",
        "demo",
        "--out",
        str(tmp_path / "out"),
    ]
    assert script.main([*words, *arguments]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
