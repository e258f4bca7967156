"""``prefiqs align`` into a folder of an earlier call: what changed is made again."""

import argparse
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from yunet_like import CELL, PLACES, write_detector

from prefiqs_jax.cli.align import add_align
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import lock_folder
from prefiqs_jax.images.align import LANDMARK_COLUMNS, earlier

NAMES = ("anna/1.png", "anna/2.png", "bert/1.png")


def run(*words):
    parser = argparse.ArgumentParser()
    add_align(parser.add_subparsers())
    options = parser.parse_args(["align", *map(str, words), "--quiet"])
    return options.run(options)


def refused(*words):
    with pytest.raises(InputError) as error:
        run(*words)
    assert "\n" not in str(error.value)
    return str(error.value)


def paint(path, seed, row=0):
    """Save an image in which the detector finds a face."""
    pixels = np.random.default_rng(seed).integers(0, 100, (120, 100, 3), np.uint8)
    pixels[8 * row : 8 * row + 8, 48:56] = (255, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=0)


def write_table(path, rows=(0, 1, 2)):
    lines = [",".join(("file", *LANDMARK_COLUMNS))]
    for row in rows:
        points = np.add(PLACES, (6, row)) * CELL
        lines.append(",".join((NAMES[row], *map(str, points.ravel().tolist()))))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(params=["table", "detector"])
def way(request):
    return request.param


@pytest.fixture
def given(tmp_path, way):
    """Give the words of a call: source, destination, where landmarks are from."""
    for row, name in enumerate(NAMES):
        paint(tmp_path / "source" / name, seed=row, row=row)
    write_table(tmp_path / "table.csv")
    write_detector(tmp_path / "yunet.onnx")
    words = {
        "table": ("--landmarks", tmp_path / "table.csv"),
        "detector": ("--detector", tmp_path / "yunet.onnx"),
    }
    return (tmp_path / "source", tmp_path / "out", *words[way])


def everything(folder):
    """Give the content of every file but the record of times, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("align.json", ".prefiqs.json")
    }


def fresh(given, tmp_path):
    """Align everything again, in a new folder."""
    run(given[0], tmp_path / "fresh", *given[2:])
    found = everything(tmp_path / "fresh")
    shutil.rmtree(tmp_path / "fresh")
    return found


def changes(before, after):
    return {name for name in after if before.get(name) != after[name]}


@pytest.mark.parametrize("keeps_times", [False, True])
def test_a_changed_picture_is_aligned_again(given, tmp_path, capsys, keeps_times):
    run(*given)
    before = everything(given[1])
    picture = given[0] / NAMES[1]
    old = picture.stat()
    paint(picture, seed=9, row=1)
    assert picture.stat().st_size == old.st_size
    if keeps_times:  # the time of the change cannot be set back
        os.utime(picture, ns=(old.st_atime_ns, old.st_mtime_ns))
    capsys.readouterr()
    run(*given)
    assert capsys.readouterr().out.endswith(", 1 made again: their images changed\n")
    after = everything(given[1])
    assert changes(before, after) == {NAMES[1]}
    assert after == fresh(given, tmp_path)
    capsys.readouterr()
    run(*given)
    assert "again" not in capsys.readouterr().out


def test_a_picture_that_was_only_touched_is_not(given, capsys):
    run(*given)
    times = {name: (given[1] / name).stat().st_mtime_ns for name in NAMES}
    for name in NAMES:
        content = (given[0] / name).read_bytes()
        (given[0] / name).unlink()
        (given[0] / name).write_bytes(content)
    run(*given)
    assert "again" not in capsys.readouterr().out
    assert times == {name: (given[1] / name).stat().st_mtime_ns for name in NAMES}


def test_files_of_known_times_are_not_read_again(given, monkeypatch):
    run(*given)
    monkeypatch.setattr(earlier, "_COARSEST_CLOCK_NS", 0)
    run(*given)  # they are old enough now, and remembered

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(earlier, "_digests", refuse)
    run(*given)
    (given[0] / NAMES[0]).touch()
    with pytest.raises(AssertionError):
        run(*given)


def test_pictures_that_are_too_new_are_read_again(given):
    run(*given)
    times = json.loads((given[1] / "align.json").read_text())["times"]
    assert set(times) == set(NAMES)
    assert [picture for picture, _ in times.values()] == [None] * 3


def test_a_picture_that_cannot_be_aligned_any_more(given, tmp_path, capsys):
    run(*given)
    (given[0] / NAMES[1]).write_bytes(b"no image")
    assert "is not an image" in refused(*given)
    assert not (given[1] / "images.csv").exists()  # nothing tells of a finished folder
    run(*given, "--on-bad-image", "skip")
    assert "1 images left out" in capsys.readouterr().out
    assert not (given[1] / NAMES[1]).exists()
    after = everything(given[1])
    run(given[0], tmp_path / "fresh", *given[2:], "--on-bad-image", "skip")
    assert after == everything(tmp_path / "fresh")


def test_other_pictures_under_the_same_names_are_refused(given, tmp_path):
    run(*given)
    before = everything(given[1])
    shutil.move(given[0], tmp_path / "moved")
    run(tmp_path / "moved", *given[1:])  # the same ones elsewhere are fine
    assert everything(given[1]) == before
    shutil.copytree(tmp_path / "moved", given[0])
    paint(given[0] / NAMES[2], seed=9, row=2)
    told = refused(*given)
    assert f"holds crops from {tmp_path / 'moved'}, of which {NAMES[2]} is" in told
    assert everything(given[1]) == before


@pytest.mark.parametrize("gone", ["picture", "all"])
def test_crops_of_other_pictures_are_refused(given, tmp_path, gone):
    run(*given)
    before = everything(given[1])
    source = given[0]
    if gone == "picture":
        (source / NAMES[2]).unlink()
    else:
        source = tmp_path / "other"
        paint(source / "carl/1.png", seed=5)
        text = (tmp_path / "table.csv").read_text().replace(NAMES[0], "carl/1.png")
        (tmp_path / "table.csv").write_text(text)
    told = refused(source, *given[1:])
    assert "is the crop of an image that is not, or no longer, aligned" in told
    assert everything(given[1]) == before


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_a_row_that_went_leaves_no_crop_behind(given, tmp_path):
    run(*given)
    write_table(tmp_path / "table.csv", rows=(0, 1))
    assert "no longer, aligned" in refused(*given, "--on-bad-image", "skip")


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_other_landmarks_are_refused_unless_the_picture_changed_too(given, tmp_path):
    run(*given)
    text = (tmp_path / "table.csv").read_text()
    assert text.count("50.0") > 0
    lines = text.splitlines()
    first, *rest = lines[2].split(",")
    lines[2] = ",".join((first, "44.5", *rest[1:]))
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    before = everything(given[1])
    assert f"{NAMES[1]} was made with other landmarks (" in refused(*given)
    assert everything(given[1]) == before
    paint(given[0] / NAMES[1], seed=9, row=1)
    run(*given)
    assert everything(given[1]) == fresh(given, tmp_path)


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused_even_where_no_crop_is(given, tmp_path, finished):
    if finished:
        run(*given)
        for name in NAMES:
            (given[1] / name).unlink()
    else:
        (given[0] / NAMES[0]).write_bytes(b"no image")
        refused(*given)
        paint(given[0] / NAMES[0], seed=0)
    shutil.rmtree(given[1] / "bert", ignore_errors=True)
    told = refused(*given, "--template", "narrow")
    assert f"{given[1]} was made with other template (arcface, not narrow)" in told
    assert "other height (112, not 224)" in refused(*given, "--size", 224)
    other = tmp_path / "other.onnx"
    write_detector(other)
    with open(other, "ab") as file:
        file.write(b"\x72\x00")  # an empty name of the model's domain
    assert "other located_by (" in refused(*given[:2], "--detector", other)
    run(*given)
    assert everything(given[1]) == fresh(given, tmp_path)


def keep_the_stamp(path):
    """Change a crop as an editor does that keeps what it does not know."""
    with Image.open(path) as picture:
        text = PngImagePlugin.PngInfo()
        text.add_text("prefiqs-align", picture.info["prefiqs-align"])
        changed = picture.point(lambda value: 255 - value)
    changed.save(path, pnginfo=text)


def be_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def be_a_link(path):
    path.rename(path.with_name("mine.txt"))
    Image.new("RGB", (112, 112)).save(path.with_name("mine.png"))
    path.symlink_to("mine.png")


CHANGES = {
    "edited": (keep_the_stamp, "was changed since"),
    "replaced": (lambda path: Image.new("RGB", (112, 112)).save(path), "is no crop of"),
    "cut off": (lambda path: os.truncate(path, 9000), "was changed since"),
    "text": (lambda path: path.write_text("mine"), "is no crop of"),
    "pipe": (be_a_pipe, "is no crop of"),
    "link": (be_a_link, "is no crop of"),
}


@pytest.mark.parametrize("way", ["table"], indirect=True)
@pytest.mark.parametrize("picture_too", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_user_did_to_a_crop_is_not_lost(given, change, picture_too):
    run(*given)
    crop = given[1] / NAMES[1]
    act, told = CHANGES[change]
    act(crop)
    before, inode = everything(given[1]), crop.lstat().st_ino
    if picture_too:
        paint(given[0] / NAMES[1], seed=9, row=1)
    assert told in refused(*given)
    assert everything(given[1]) == before
    assert crop.lstat().st_ino == inode


@pytest.mark.parametrize("way", ["table"], indirect=True)
@pytest.mark.parametrize("file", ["images.csv", "align.json"])
def test_a_table_that_the_user_changed_is_not_lost(given, file):
    run(*given)
    with open(given[1] / file, "a") as text:
        text.write(" ")
    before = everything(given[1])
    assert f"{file} is not from prefiqs, or was changed since" in refused(*given)
    assert everything(given[1]) == before


@pytest.mark.parametrize("way", ["table"], indirect=True)
@pytest.mark.parametrize("file", ["images.csv", "thesis.tex", "anna/1.png", ".bashrc"])
def test_a_folder_of_the_user_is_refused(given, file):
    mine = given[1] / file
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert "is not empty and holds no faces of prefiqs align" in refused(*given)
    assert everything(given[1]) == {file: b"mine"}


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_files_of_the_user_beside_ours_stay(given, tmp_path):
    run(*given)
    (given[1] / "thesis.tex").write_text("mine")
    Image.new("RGB", (112, 112)).save(given[1] / "anna/mine.png")
    paint(given[0] / NAMES[1], seed=9, row=1)
    run(*given)
    found = everything(given[1])
    assert found.pop("thesis.tex") == b"mine"
    del found["anna/mine.png"]
    assert found == fresh(given, tmp_path)


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_destinations_that_are_no_folders(given, tmp_path):
    source, out, *rest = given
    out.write_text("mine")
    assert "is no folder" in refused(source, out, *rest)
    assert out.read_text() == "mine"
    out.unlink()
    os.mkfifo(out)
    assert "is no folder" in refused(source, out, *rest)
    assert out.is_fifo()
    out.unlink()
    (tmp_path / "there").mkdir()
    out.symlink_to("there")
    run(source, out, *rest)
    assert out.is_symlink()
    assert (tmp_path / "there" / NAMES[0]).exists()


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_two_at_once(given):
    given[1].mkdir()
    with lock_folder(given[1], "aligning"):
        assert "is in use by process" in refused(*given)
    run(*given)


@pytest.mark.parametrize("way", ["table"], indirect=True)
def test_after_a_kill_before_the_first_crop(given, tmp_path, monkeypatch):
    for kills in range(4):
        replace, calls, lock = os.replace, [], threading.Lock()

        def killed(*names, kills=kills, replace=replace, calls=calls, lock=lock):
            with lock:
                if len(calls) == kills:
                    raise KeyboardInterrupt
                calls.append(names)
                replace(*names)

        monkeypatch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run(*given)
        monkeypatch.undo()
        names = [path.name for path in given[1].iterdir()]
        assert kills == 0 or names
        if kills % 2:
            run(*given)
            assert everything(given[1]) == fresh(given, tmp_path)
            shutil.rmtree(given[1])


def test_after_a_kill_in_the_middle(given, tmp_path, monkeypatch):
    """Crops are there, and nothing tells of them but their own stamps."""
    replace, lock = os.replace, threading.Lock()

    def killed(old, new):
        with lock:  # crops are written by several threads
            if Path(new).suffix == ".png" and len(list(given[1].rglob("*.png"))) == 2:
                raise KeyboardInterrupt
            replace(old, new)

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run(*given)
    monkeypatch.undo()
    (made, _) = sorted(given[1].rglob("*.png"))
    (made.parent / f".{made.name}.host-1-0123abcd.partial").write_text("half")
    (given[1] / ".lock").write_text("process 1")
    name = made.relative_to(given[1]).as_posix()
    paint(given[0] / name, seed=9, row=NAMES.index(name))
    run(*given)
    assert everything(given[1]) == fresh(given, tmp_path)
