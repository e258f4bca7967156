import errno
import hashlib
import os
from pathlib import Path

import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder


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
    ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "PGM", "Jpg"],
)
def test_known_extensions(tmp_path, extension):
    touch(tmp_path, f"a.{extension}")
    assert read_folder(tmp_path).names == (f"a.{extension}",)


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
