import errno
import hashlib
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import decode, read_folder
from prefiqs_jax.images.pairing import JPEG


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")
    return root


def write_table(root, text, encoding="utf-8"):
    (root / "images.csv").write_bytes(text.encode(encoding))


def one_line(excinfo):
    message = str(excinfo.value)
    assert len(message.splitlines()) == 1
    return message


def test_names_are_sorted_strings_and_only_pictures(tmp_path):
    touch(tmp_path, "b/10.png", "b/2.PNG", "a.jpeg", "Z.tif", "read.me", "x.npz")
    touch(tmp_path, ".hidden.png", "._a.jpeg", ".git/x.png", "b/._2.png")
    folder = read_folder(str(tmp_path))
    assert folder.names == ("Z.tif", "a.jpeg", "b/10.png", "b/2.PNG")
    assert folder.root == tmp_path
    assert folder.identities == (None,) * 4
    assert folder.identity_source is None
    assert folder.identity_count == 0
    digest = hashlib.sha256(b"Z.tif\na.jpeg\nb/10.png\nb/2.PNG").hexdigest()
    assert folder.names_sha256 == digest


@pytest.mark.parametrize(
    "extension",
    [
        *("png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "PGM"),
        *("Jpg", "jfif", "jpe", "JPE", "jif", "jfi", "pjpeg", "pjp"),
        *("dib", "pbm", "pnm"),
    ],
)
def test_known_extensions(tmp_path, extension):
    touch(tmp_path, f"a.{extension}")
    assert read_folder(tmp_path).names == (f"a.{extension}",)
    assert read_folder(tmp_path).notes == ()


@pytest.mark.parametrize("extension", [*JPEG, ".dib", ".pbm", ".pnm"])
def test_every_known_extension_is_decoded(tmp_path, extension):
    grey = Image.fromarray(np.eye(8, dtype=np.uint8) * 255)
    form = "JPEG" if extension in JPEG else "BMP" if extension == ".dib" else "PPM"
    grey.save(tmp_path / f"a{extension}", form)
    assert decode(tmp_path / f"a{extension}").pixels.shape == (8, 8, 3)


def test_files_of_other_types_are_counted_by_type(tmp_path):
    touch(tmp_path, "a.png", "b.gif", "c/d.HEIC", "e.heic", "f.avif", "g.jp2", "h")
    touch(tmp_path, "images.csv", ".hidden.gif")
    write_table(tmp_path, "file,identity\na.png,ann\n")
    note = read_folder(tmp_path).notes[0]
    assert note.startswith(f"left out of {tmp_path}, as no images by their names: 2 ")
    for each in ("2 .heic", "1 .gif", "1 .avif", "1 .jp2", "1 without an extension"):
        assert each in note
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"has no images \(2 \.heic, "):
        read_folder(tmp_path)


def test_odd_extensions_stay_on_one_line(tmp_path):
    touch(tmp_path, "a.png", "b.\x1b[31m", *(f"c.{n}" for n in range(40)))
    (note,) = read_folder(tmp_path).notes
    assert note.isprintable()
    assert note.endswith("and 29 other types")


def test_missing_folder(tmp_path):
    with pytest.raises(InputError) as excinfo:
        read_folder(tmp_path / "absent")
    assert str(tmp_path / "absent") in one_line(excinfo)


def test_file_instead_of_folder(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(InputError, match="is a file; give the folder"):
        read_folder(tmp_path / "a.png")


@pytest.mark.parametrize("names", [(), ("a.gif", "b.txt"), ("._a.png",)])
def test_folder_without_pictures_names_the_extensions(tmp_path, names):
    touch(tmp_path, *names)
    with pytest.raises(InputError) as excinfo:
        read_folder(tmp_path)
    assert ".png" in one_line(excinfo)
    assert ".pgm" in one_line(excinfo)


def test_names_that_break_lines_are_refused(tmp_path):
    touch(tmp_path, "a\nb.png")
    with pytest.raises(InputError, match="rename it") as excinfo:
        read_folder(tmp_path)
    one_line(excinfo)


def test_names_that_are_not_utf_8_are_refused(tmp_path):
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.png", "wb"):
            pass
    except OSError:
        pytest.skip("this file system only takes UTF-8 names")
    with pytest.raises(InputError, match="rename it"):
        read_folder(tmp_path)


def test_links_to_files_and_folders_are_followed_once(tmp_path):
    root = touch(tmp_path / "root", "real/a.png")
    touch(tmp_path / "elsewhere", "c.png")
    (root / "b.png").symlink_to(root / "real/a.png")
    (root / "again").symlink_to(root / "real")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    assert read_folder(root).names == ("b.png", "linked/c.png", "real/a.png")


def test_link_loops_end(tmp_path):
    root = touch(tmp_path / "root", "one/a.png", "two/b.png")
    touch(tmp_path, "outside.png")
    (root / "one/loop").symlink_to(root / "two")
    (root / "two/loop").symlink_to(root / "one")
    (root / "one/self").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    folder = read_folder(root)
    assert folder.names == ("one/a.png", "two/b.png")
    assert any("up links to a folder above it" in note for note in folder.notes)


def test_unreadable_folder(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked/b.png")
    scan = os.scandir

    def refuse(path):  # permissions do not stop root, so the call is stood in for
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="locked: Permission denied"):
        read_folder(tmp_path)


def test_identities_from_folders(tmp_path):
    folder = read_folder(touch(tmp_path, "anna/1.png", "anna/2.png", "ben/1.png"))
    assert folder.identities == ("anna", "anna", "ben")
    assert folder.identity_source == "folders"
    assert folder.identity_count == 2
    assert folder.notes == ()


@pytest.mark.parametrize(
    "names", [("a/1.png", "a/2.png"), ("a/1.png", "b/1.png", "c.png")]
)
def test_no_identities_from_one_folder_or_loose_pictures(tmp_path, names):
    folder = read_folder(touch(tmp_path, *names))
    assert set(folder.identities) == {None}
    assert folder.identity_source is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_identities_from_table(tmp_path, encoding):
    touch(tmp_path, "a.png", "b.png", "s/c.png", "d.png", "e.png")
    text = (
        "left_eye_x,file,identity\r\n1,a.png,Zoë\r\n2,b.png,\r\n\r\n"
        '3,s\\c.png,"Doe, J."\r\n4,./d.png,Zoë\r\n5,gone.png,X\r\n6,gone2.png,X\r\n'
    )
    write_table(tmp_path, text, encoding)
    folder = read_folder(tmp_path)
    assert folder.names == ("a.png", "b.png", "d.png", "e.png", "s/c.png")
    assert folder.identities == ("Zoë", None, "Zoë", None, "Doe, J.")
    assert folder.identity_source == "images.csv"
    assert folder.identity_count == 2
    assert folder.notes == (
        "images.csv lists 2 absent images (first: gone.png)",
        "images.csv does not list 1 of the images (first: e.png)",
    )


def test_table_comes_before_folders(tmp_path):
    touch(tmp_path, "x/1.png", "y/1.png")
    write_table(tmp_path, "file,identity\nx/1.png,anna\ny/1.png,anna\n")
    assert read_folder(tmp_path).identities == ("anna", "anna")


def test_table_without_identity_column(tmp_path):
    touch(tmp_path, "x/1.png", "y/1.png")
    write_table(tmp_path, "file,age\nx/1.png,3\n")
    folder = read_folder(tmp_path)
    assert folder.identities == (None, None)
    assert folder.identity_source is None
    assert folder.notes == ("images.csv has no column named identity",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"name,identity\na.png,x\n", "no column named file .columns: name, identity."),
        (b"file;identity\na.png;x\n", "with commas between"),
        (b"", "columns: none"),
        (b"file,identity\na.png,x\na.png,y\n", "lists a.png twice, as x and as y"),
        (b"file,identity\na.png,\xe9\n", "is not UTF-8"),
        (b"file,identity\n" + b"x" * 200_000 + b",y\n", "is no valid CSV"),
    ],
)
def test_bad_tables(tmp_path, text, reason):
    touch(tmp_path, "a.png")
    (tmp_path / "images.csv").write_bytes(text)
    with pytest.raises(InputError, match=reason) as excinfo:
        read_folder(tmp_path)
    assert "images.csv" in one_line(excinfo)


def test_repeated_row_and_short_row_are_fine(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write_table(tmp_path, "file,identity\na.png,x\na.png,x\nb.png\n")
    assert read_folder(tmp_path).identities == ("x", None)


def test_real_faces(shared):
    folder = read_folder(shared("faces/lfw100"))
    assert len(folder.names) == 100
    assert folder.identity_count == 10
    assert folder.identity_source == "images.csv"
    assert folder.notes == ()
    assert folder.identities[0] == "Ariel_Sharon"


@pytest.mark.parametrize("word", ["nan", "None", "N/A", "-", "unknown", "NULL"])
def test_a_word_for_nothing_is_no_person(tmp_path, word):
    touch(tmp_path, "a.png", "b.png", "c.png")
    write_table(tmp_path, f"file,identity\na.png,{word}\nb.png,{word}\nc.png,ann\n")
    folder = read_folder(tmp_path)
    assert folder.identities == (None, None, "ann")
    assert f"images.csv: the identity {word!r} of 2 images counts as unknown" in (
        folder.notes
    )


def test_numbers_as_people_written_in_two_ways_are_a_doubt(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png")
    write_table(tmp_path, "file,identity\na.png,65\nb.png,65.0\nc.png,66\n")
    folder = read_folder(tmp_path)
    assert folder.identities == ("65", "65.0", "66")
    assert folder.notes == (
        "images.csv: 65 and 65.0 count as two people; if they are one, write one of "
        "them",
    )


def test_two_columns_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "a.png")
    write_table(tmp_path, "file,identity,identity\na.png,ann,bob\n")
    with pytest.raises(InputError, match="two columns named identity"):
        read_folder(tmp_path)


def test_a_table_that_is_a_link_to_nowhere_is_told(tmp_path):
    touch(tmp_path, "ann/a.png", "bob/a.png")
    (tmp_path / "images.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(InputError, match=r"cannot read .*images\.csv"):
        read_folder(tmp_path)


ZOE = "Zo\u00eb"


@pytest.mark.parametrize(
    "written",
    [
        "ZOE/1.png",
        "/data/faces/ZOE/1.png",
        "C:\\faces\\ZOE\\1.png",
        "../faces/ZOE/1.png",
        "ZOE/1.jpg",
        "./ZOE/1",
    ],
)
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_paths_of_the_table_match_as_those_of_scores(
    tmp_path, written, on_disk, in_table
):
    folder = unicodedata.normalize(on_disk, ZOE)
    touch(tmp_path, f"{folder}/1.png", "bob/1.png", "bob/2.png")
    line = unicodedata.normalize(in_table, written.replace("ZOE", ZOE))
    write_table(tmp_path, f"file,identity\n{line},zoe\nbob/1.png,bob\nbob/2.png,bob\n")
    found = read_folder(tmp_path)
    who = dict(zip(found.names, found.identities, strict=True))
    assert who == {f"{folder}/1.png": "zoe", "bob/1.png": "bob", "bob/2.png": "bob"}
    assert found.notes == ()


def test_a_row_that_may_be_of_several_images_is_refused(tmp_path):
    touch(tmp_path, "ann/1.png", "bob/1.png", "bob/2.png")
    write_table(tmp_path, "file,identity\n1.png,ann\nbob/2.png,bob\n")
    with pytest.raises(
        InputError, match="keep one of them, or write whole paths"
    ) as excinfo:
        read_folder(tmp_path)
    assert "ann/1.png" in one_line(excinfo)


def test_a_row_of_another_image_is_nobody_elses(tmp_path):
    touch(tmp_path, "ann/1.jpg", "ann/1.png")
    write_table(tmp_path, "file,identity\nann/1.jpg,ann\n")
    assert read_folder(tmp_path).identities == ("ann", None)


def test_excels_line_tells_the_delimiter(tmp_path):
    touch(tmp_path, "a.png")
    write_table(tmp_path, "sep=;\r\nfile;identity\r\na.png;ann\r\n")
    assert read_folder(tmp_path).identities == ("ann",)
