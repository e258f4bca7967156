"""``prefiqs align`` as a user types it."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image
from yunet_like import CELL, PLACES, write_detector

from prefiqs_jax.cli.align import add_align
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import decode, read_folder
from prefiqs_jax.images.align import LANDMARK_COLUMNS, align, read_landmarks

HEADER = ",".join(("file", "identity", *LANDMARK_COLUMNS))
NAMES = ("anna/1.jpg", "anna/2.png", "bert/1.jpg")


def run(*words):
    parser = argparse.ArgumentParser()
    add_align(parser.add_subparsers())
    options = parser.parse_args(["align", *map(str, words)])
    return options.run(options)


def refused(*words):
    with pytest.raises(InputError) as error:
        run(*words)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def source(tmp_path):
    """Give a folder of three images in which the detector finds a face each."""
    rng = np.random.default_rng(0)
    root = tmp_path / "source"
    for index, name in enumerate(NAMES):
        pixels = rng.integers(0, 100, (120, 100, 3), np.uint8)
        pixels[8 * index : 8 * index + 8, 48:56] = (255, 0, 0)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name, quality=100, subsampling=0)
    write_detector(tmp_path / "yunet.onnx")
    return root


def landmarks_of(index):
    return np.add(PLACES, (6, index)) * CELL


@pytest.fixture
def table(source, tmp_path):
    lines = [
        ",".join((name, f"p{index}", *map(str, landmarks_of(index).ravel().tolist())))
        for index, name in enumerate(NAMES)
    ]
    path = tmp_path / "landmarks.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def test_from_a_table(source, table, tmp_path, capsys):
    out = tmp_path / "out"
    run(source, out, "--landmarks", table, "--template", "narrow", "--quiet")
    told = capsys.readouterr()
    assert told.out == f"3 faces in {out} (narrow, 96×112)\n"
    assert told.err == ""
    faces = read_folder(out)
    assert faces.names == ("anna/1.png", "anna/2.png", "bert/1.png")
    assert faces.identities == ("p0", "p1", "p2")
    for index, (name, crop) in enumerate(zip(NAMES, faces.names, strict=True)):
        expected = align(
            decode(source / name).pixels, landmarks_of(index), template="narrow"
        )
        np.testing.assert_array_equal(decode(out / crop).pixels, expected)
    written = read_landmarks(out / "images.csv")
    np.testing.assert_array_equal(written.points, [landmarks_of(i) for i in range(3)])


def test_from_a_detector(source, tmp_path, capsys):
    out = tmp_path / "out"
    run(source, out, "--detector", tmp_path / "yunet.onnx", "--size", 128)
    told = capsys.readouterr()
    assert told.out == f"3 faces in {out} (arcface, 128×128)\n"
    assert "3/3" in told.err
    assert "image/s" in told.err
    faces = read_folder(out)
    assert faces.identities == ("anna", "anna", "bert")  # from the folders
    np.testing.assert_allclose(
        read_landmarks(out / "images.csv").points[1], landmarks_of(1), atol=1e-3
    )
    # The table makes the same faces again.
    again = tmp_path / "again"
    run(source, again, "--landmarks", out / "images.csv", "--size", 128, "--quiet")
    for name in faces.names:
        first, second = (decode(root / name).pixels for root in (out, again))
        np.testing.assert_array_equal(first, second)


def test_the_table_of_the_source_is_the_default(source, table, tmp_path):
    table.rename(source / "images.csv")
    run(source, tmp_path / "out", "--quiet")
    assert len(read_folder(tmp_path / "out").names) == 3


def test_it_goes_on_where_it_stopped(source, table, tmp_path):
    out = tmp_path / "out"
    run(source, out, "--landmarks", table, "--quiet")
    before = (out / "images.csv").read_bytes()
    (out / "bert/1.png").unlink()
    (out / "images.csv").unlink()
    kept = (out / "anna/1.png").stat().st_mtime_ns
    run(source, out, "--landmarks", table, "--quiet")
    assert (out / "anna/1.png").stat().st_mtime_ns == kept
    assert (out / "bert/1.png").exists()
    assert (out / "images.csv").read_bytes() == before
    assert not list(out.rglob("*.partial"))


def test_other_settings_are_refused(source, table, tmp_path):
    out = tmp_path / "out"
    given = (source, out, "--landmarks", table, "--quiet")
    run(*given)
    assert "other template (arcface, not narrow)" in refused(
        *given, "--template", "narrow"
    )
    assert "other height (112, not 224)" in refused(*given, "--size", 224)
    detector = tmp_path / "yunet.onnx"
    assert "other located_by (table, not" in refused(
        source, out, "--detector", detector, "--quiet"
    )
    table.write_text(table.read_text().replace("50.0", "50.5", 1))
    assert "other landmarks (" in refused(*given)
    Image.new("RGB", (112, 112)).save(out / "anna/1.png")
    assert "is no crop of prefiqs align" in refused(*given)


def test_a_crop_says_how_it_was_made(source, table, tmp_path):
    run(source, tmp_path / "out", "--landmarks", table, "--quiet")
    with Image.open(tmp_path / "out/anna/2.png") as picture:
        stamp = json.loads(picture.info["prefiqs-align"])
    assert (stamp["template"], stamp["located_by"]) == ("arcface", "table")
    np.testing.assert_array_equal(stamp["landmarks"], landmarks_of(1))


def test_pictures_without_landmarks_are_counted_or_left_out(
    source, table, tmp_path, capsys
):
    table.write_text("\n".join(table.read_text().splitlines()[:2]) + "\n")
    out = tmp_path / "out"
    given = (source, out, "--landmarks", table, "--quiet")
    told = refused(*given)
    assert told.startswith("2 images cannot be aligned: anna/2.png, bert/1.jpg.")
    assert not out.exists()
    run(*given, "--on-bad-image", "skip")
    told = capsys.readouterr()
    assert told.out.endswith("112×112), 2 images left out\n")
    assert told.err.splitlines() == [
        "left out anna/2.png: has no landmarks",
        "left out bert/1.jpg: has no landmarks",
    ]
    assert read_folder(out).names == ("anna/1.png",)


def test_bad_pictures(source, table, tmp_path, capsys):
    (source / "anna/1.jpg").write_bytes(b"no image")
    Image.new("RGB", (30, 20)).save(source / "bert/1.jpg")
    out = tmp_path / "out"
    given = (source, out, "--landmarks", table, "--quiet")
    assert refused(*given).startswith("anna/1.jpg is not an image")
    assert not (out / "images.csv").exists()
    run(*given, "--on-bad-image", "skip")
    err = capsys.readouterr().err
    assert "left out anna/1.jpg: is not an image" in err
    assert "left out bert/1.jpg: cannot be aligned: no landmark lies in" in err
    assert read_folder(out).names == ("anna/2.png",)


def test_no_face(source, tmp_path, capsys):
    Image.new("RGB", (50, 40)).save(source / "anna/1.jpg")
    given = (source, tmp_path / "out", "--detector", tmp_path / "yunet.onnx", "--quiet")
    assert "anna/1.jpg shows no face" in refused(*given)
    run(*given, "--on-bad-image", "skip")
    assert "left out anna/1.jpg: shows no face" in capsys.readouterr().err
    for name in NAMES:
        Image.new("RGB", (50, 40)).save(source / name)
    told = refused(source, tmp_path / "none", *given[2:], "--on-bad-image", "skip")
    assert told.startswith("none of the images in ")
    assert not (tmp_path / "none/images.csv").exists()


def test_what_cannot_be_done(source, table, tmp_path):
    out, detector = tmp_path / "out", tmp_path / "yunet.onnx"
    assert "gives no landmarks; give them with" in refused(source, out)
    assert "there is no folder" in refused(tmp_path / "gone", out)
    assert "there is no table" in refused(source, out, "--landmarks", "gone.csv")
    assert "there is no detector" in refused(source, out, "--detector", "gone.onnx")
    assert "not a YuNet" in refused(source, out, "--detector", table)
    inside = source / "faces"
    assert "outside it" in refused(source, inside, "--landmarks", table)
    assert "outside it" in refused(source, source, "--detector", detector)
    assert "no size 100" in refused(source, out, "--size", 100, "--landmarks", table)
    table.write_text("file,identity\na.png,A\n")
    assert "no column left_eye_x" in refused(source, out, "--landmarks", table)
    assert not out.exists()


def test_one_source_of_landmarks(source, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(source, tmp_path / "out", "--landmarks", "a", "--detector", "b")
    assert "not allowed with" in capsys.readouterr().err
