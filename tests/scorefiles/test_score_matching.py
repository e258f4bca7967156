"""Rows of score files against the names of a benchmark's images."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.pairing import ENDINGS, EXTENSIONS
from prefiqs_jax.scorefiles import Scores, check_direction, match, read_scores


def scores_of(rows, direction=None):
    names, values = zip(*rows, strict=True)
    return Scores(
        source=Path("theirs.txt"),
        kind="lines",
        method=None,
        names=names,
        values=np.array(values, np.float64),
        direction=direction,
        column=None,
        columns=(),
    )


NAMES = ["ann/01.png", "ann/02.png", "bob/01.png"]


@pytest.mark.parametrize(
    "paths",
    [
        NAMES,
        ["ann/01.jpg", "ann/02.jpg", "bob/01.jpg"],
        ["ann/01", "ann/02", "bob/01"],
        ["/data/faces/ann/01.png", "/data/faces/ann/02.png", "/data/faces/bob/01.png"],
        ["./ann/01.png", "ann//02.png", "ann/../bob/01.png"],
        [r"C:\faces\ann\01.JPG", r"C:\faces\ann\02.JPG", r"C:\faces\bob\01.JPG"],
        ["x/ann/01.png.jpg", "x/ann/02.png.jpg", "x/bob/01.png.jpg"],
        ["/a/ann/01.png", "/b/c/ann/02.png", "bob/01.png"],
    ],
)
def test_paths_of_other_people(paths):
    rows = list(zip(paths, [1, 2, 3], strict=True))
    for order in ([0, 1, 2], [2, 0, 1]):
        matched = match(scores_of([rows[n] for n in order]), NAMES)
        assert matched.quality.tolist() == [1, 2, 3]
        assert matched.notes == ()
        back = match(scores_of(rows), [NAMES[n] for n in order])
        assert back.quality.tolist() == [1 + n for n in order]


def test_bare_file_names():
    rows = [("A_0001.jpg", 1), ("B_0001.jpg", 2)]
    names = ["A/A_0001.png", "B/B_0001.png"]
    assert match(scores_of(rows), names).quality.tolist() == [1, 2]


def test_other_folders_above_are_said():
    rows = [("lfw/images/1.jpg", 1), ("lfw/images/2.jpg", 2), ("lfw/images/3.jpg", 3)]
    names = ["aligned/1.png", "aligned/2.png"]
    matched = match(scores_of(rows), names)
    assert matched.quality.tolist() == [1, 2]
    assert matched.notes == (
        "theirs.txt: 1 of 3 rows belong to no image (first: lfw/images/3.jpg)",
        "theirs.txt: 2 of 2 images are in other folders there (first: aligned/1.png "
        "has the score of lfw/images/1.jpg)",
    )


def test_folders_that_tell_pictures_apart_are_not_passed_over():
    rows = [("ann/01.png", 1), ("carl/01.png", 2)]
    with pytest.raises(InputError, match=r"no score for 1 of 2 images \(bob/01"):
        match(scores_of(rows), ["ann/01.png", "bob/01.png"])


def test_the_longest_end_and_the_whole_path_go_first():
    rows = [("01.png", 9), ("x/ann/01.png", 1), ("x/bob/01.png", 2)]
    names = ["ann/01.png", "bob/01.png"]
    assert match(scores_of(rows), names).quality.tolist() == [1, 2]
    rows = [("old/ann/01.png", 9), ("ann/01.png", 1), ("old/bob/01.png", 2)]
    assert match(scores_of(rows), names).quality.tolist() == [1, 2]
    rows = [("ann/01.jpg", 9), ("ann/01.png", 1), ("bob/01.jpg", 2)]
    assert match(scores_of(rows), names).quality.tolist() == [1, 2]


def test_names_with_dots_and_degradations():
    names = ["p/03.png", "p/03.png~blur_0.4", "p/John_F._Kennedy_0001.jpg"]
    rows = [(f"/x/{name}", n) for n, name in enumerate(names)]
    assert match(scores_of(rows), names).quality.tolist() == [0, 1, 2]


def message_of(rows, names):
    with pytest.raises(InputError) as caught:
        match(scores_of(rows), names)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_missing_pictures_are_named_and_counted():
    names = [f"ann/{n:02d}.png" for n in range(10)]
    text = message_of([("x/ann/00.png", 1), ("x/ann/77.png", 1)], names)
    assert "no score for 9 of 10 images" in text
    assert all(name in text for name in names[1:])
    assert "first is x/ann/00.png" in text


def test_rows_that_disagree_are_named():
    text = message_of([("a.png", 1), ("a.png", 2), ("b.png", 1)], ["a.png", "b.png"])
    assert "several scores for 1 of 2 images" in text
    assert "a.png: 1 of a.png, 2 of a.png" in text
    text = message_of([("x/a.png", 1), ("y/a.png", 2)], ["a.png"])
    assert "a.png: 1 of x/a.png, 2 of y/a.png" in text
    text = message_of([("a.png", 0.5), ("a.png", np.nan)], ["a.png"])
    assert "0.5 of a.png, nan of a.png" in text


def test_rows_that_agree_are_fine():
    rows = [("a.png", 1), ("b.png", 2), ("a.png", 1), ("x/b.png", 2)]
    assert match(scores_of(rows), ["a.png", "b.png"]).quality.tolist() == [1, 2]
    assert match(scores_of(rows[:3]), ["a.png", "b.png"]).notes == ()


def test_rows_that_fit_several_pictures():
    names = ["ann/01.png", "bob/01.png", "bob/02.png"]
    text = message_of([("01.png", 1), ("02.png", 1)], names)
    assert "1 rows fit several images (01.png fits ann/01.png, bob/01.png)" in text


def test_scores_that_are_not_finite():
    rows = [("a", np.nan), ("b", 1), ("c", -np.inf), ("never asked for", np.nan)]
    text = message_of(rows, ["a.png", "b.png", "c.png"])
    assert "no finite score for 2 of 3 images (a.png: nan; c.png: -inf)" in text
    assert match(scores_of(rows), ["b.png"]).quality.tolist() == [1]


def test_all_problems_are_said_at_once():
    text = message_of([("a", 1), ("a", 2), ("b", np.inf)], ["a.png", "b.png", "c.png"])
    for part in ("no score for 1", "several scores for 1", "no finite score for 1"):
        assert part in text


def test_direction():
    rows = [("a", 1.0), ("b", 0.0)]
    quality = match(scores_of(rows), ["a", "b"], direction="lower").quality
    assert quality.tolist() == [-1, 0]
    assert not np.signbit(quality[1])
    assert match(scores_of(rows, "lower"), ["a", "b"]).quality.tolist() == [-1, 0]
    contrary = match(scores_of(rows, "lower"), ["a", "b"], direction="higher")
    assert contrary.quality.tolist() == [1, 0]
    assert "by its form, lower ones are" in contrary.notes[0]
    with pytest.raises(InputError, match="neither higher nor lower"):
        match(scores_of(rows), ["a", "b"], direction="up")


def test_endings_are_those_of_our_pictures_too():
    assert set(EXTENSIONS) <= ENDINGS


@pytest.mark.slow
def test_many_rows_are_matched_in_a_moment():
    rng = np.random.default_rng(0)
    count = 30_000
    names = [f"{n % 500}/{n}.png" for n in range(count)]
    order = rng.permutation(count)
    rows = [(f"/data/ijbc/{n % 500}/{n}.jpg", float(n)) for n in order.tolist()]
    found = match(scores_of(rows), names)
    np.testing.assert_array_equal(found.quality, np.arange(count))


def test_from_file_to_quality(tmp_path):
    path = tmp_path / "grafiqs.txt"
    path.write_text("/x/my faces/a.jpg 3.5\n/x/my faces/b.jpg 1.25\n")
    found = match(read_scores(path), ["b.png", "a.png"], direction="lower")
    assert found.quality.tolist() == [-1.25, -3.5]


def test_reversed_scores_are_suspected():
    rng = np.random.default_rng(0)
    severity = rng.random(200)
    good = -severity + 0.1 * rng.normal(size=200)
    assert check_direction(good, -severity, name="mine") is None
    text = check_direction(-good, -severity, name="mine", reference_name="severity")
    assert text is not None
    assert len(text.splitlines()) == 1
    correlation = spearmanr(good, severity)[0]
    assert f"is {correlation:.2f} over 200 images" in text
    assert "with severity" in text
    assert "--direction mine=lower" in text
    other = check_direction(-good, -severity, name="mine", direction="lower")
    assert other is not None
    assert "--direction mine=higher" in other


def test_chance_is_not_suspected():
    rng = np.random.default_rng(1)
    suspected = [
        check_direction(*rng.random((2, images)), name="mine") is not None
        for images in (2, 5, 30, 1000)
        for _ in range(100)
    ]
    # Three standard deviations: one in 741 of the larger ones.
    assert sum(suspected) <= 2
    assert check_direction([3, 2, 1], [1, 2, 3], name="mine") is None
    assert check_direction(np.ones(50), np.arange(50), name="mine") is None


def test_weak_but_sure_correlations_are_not_enough():
    rng = np.random.default_rng(2)
    one = rng.normal(size=20_000)
    other = rng.normal(size=20_000)
    assert check_direction(one, other - 0.05 * one, name="mine") is None
    assert check_direction(one, other - 0.3 * one, name="mine") is not None


def test_bad_references():
    with pytest.raises(InputError, match=r"mine has shape \(3,\)"):
        check_direction([1, 2, 3], [1, 2], name="mine")
    with pytest.raises(InputError, match="of image 1 is nan"):
        check_direction([1, 2], [1, np.nan], name="mine")
