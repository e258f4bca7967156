"""Outputs go beside a user's own files and replace none of them."""

import json
import os
import signal
import subprocess
import sys

import pytest

from prefiqs_jax import outputs
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import lock_folder
from prefiqs_jax.outputs import LEDGER, check_outputs, write_outputs

CONTENTS = {"page.html": "one", "tables/a.csv": "ä", "figures/b.png": b"\x89"}


def everything(folder):
    """Give the content of every file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_was_written_is_replaced(tmp_path):
    out = tmp_path / "new" / "out"
    write_outputs(out, CONTENTS)
    first = everything(out)
    assert first.pop(LEDGER)
    assert first == {
        "page.html": b"one",
        "tables/a.csv": "ä".encode(),
        "figures/b.png": b"\x89",
    }
    write_outputs(out, {**CONTENTS, "page.html": "two"})
    assert everything(out)["page.html"] == b"two"
    write_outputs(out, CONTENTS)
    assert (out / "page.html").read_text() == "one"
    assert len(everything(out)) == 4


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("ours_first", [True, False])
def test_the_users_own_files_are_not_replaced(tmp_path, name, ours_first):
    """Neither a stranger's file of the name nor one of ours that was changed."""
    if ours_first:
        write_outputs(tmp_path, CONTENTS)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("the user's own")
    (path.parent / "thesis.tex").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(InputError, match=f"{name} is not from prefiqs, or was changed"):
        write_outputs(tmp_path, {each: "two" for each in CONTENTS})
    assert everything(tmp_path) == before
    with pytest.raises(InputError, match="is not from prefiqs"):
        check_outputs(tmp_path, CONTENTS)
    path.unlink()  # the cure
    check_outputs(tmp_path, CONTENTS)
    write_outputs(tmp_path, CONTENTS)
    assert (path.parent / "thesis.tex").read_text() == "mine"


def test_what_is_no_file_is_refused_and_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    made = {
        "fifo": os.mkfifo,
        "folder": os.mkdir,
        "link": lambda path: os.symlink("mine.txt", path),
    }
    for name, make in made.items():
        make(tmp_path / name)
        before = os.lstat(tmp_path / name)
        with pytest.raises(InputError, match="is not from prefiqs"):
            write_outputs(tmp_path, {name: "new"})
        assert os.lstat(tmp_path / name) == before
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(InputError, match="is no folder"):
        write_outputs(tmp_path / "mine.txt", CONTENTS)
    with pytest.raises(InputError, match="is no folder"):
        write_outputs(tmp_path, {"mine.txt/a.csv": "new"})
    assert not (tmp_path / LEDGER).exists()


def test_links_and_modes_stay(tmp_path):
    out, there = tmp_path / "link", tmp_path / "there"
    there.mkdir()
    out.symlink_to(there)
    write_outputs(out, {"a.csv": "one"})
    (there / "a.csv").chmod(0o600)
    (there / "a.csv").rename(there / "elsewhere.csv")
    (there / "a.csv").symlink_to("elsewhere.csv")
    write_outputs(out, {"a.csv": "two"})
    assert out.is_symlink()
    assert (there / "a.csv").is_symlink()
    assert (there / "elsewhere.csv").read_text() == "two"
    assert os.stat(there / "elsewhere.csv").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kills", range(5))
def test_a_killed_call_makes_no_stranger_of_a_file(tmp_path, monkeypatch, kills):
    write_outputs(tmp_path, CONTENTS)
    replace = os.replace
    calls = []

    def killed(*names):
        if len(calls) == kills:
            raise KeyboardInterrupt
        calls.append(names)
        replace(*names)

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_outputs(tmp_path, {name: "two" for name in CONTENTS})
    monkeypatch.undo()
    write_outputs(tmp_path, {name: "three" for name in CONTENTS})
    found = everything(tmp_path)
    known = json.loads(found.pop(LEDGER))
    assert found == dict.fromkeys(CONTENTS, b"three")
    assert {len(digests) for digests in known.values()} == {1}


def test_leftovers_of_a_killed_process_go(tmp_path):
    code = (
        "import os, signal; from prefiqs_jax.outputs import write_outputs\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_outputs({str(tmp_path)!r}, {{'tables/a.csv': 'new'}})"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".*.partial"))) == 1
    assert (tmp_path / ".lock").exists()
    write_outputs(tmp_path, {"tables/a.csv": "new"})
    assert set(everything(tmp_path)) == {LEDGER, "tables/a.csv"}


def test_one_process_at_a_time(tmp_path):
    with lock_folder(tmp_path, "testing"):
        with pytest.raises(InputError, match="is in use"):
            write_outputs(tmp_path, CONTENTS)
        assert everything(tmp_path).keys() == {".lock"}
        write_outputs(tmp_path, CONTENTS, locked=True)
    assert len(everything(tmp_path)) == 4


@pytest.mark.parametrize("text", ["{", "3", "[1]", "\udc80"])
def test_a_damaged_ledger_is_refused(tmp_path, text):
    (tmp_path / outputs.LEDGER).write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match="is damaged"):
        write_outputs(tmp_path, CONTENTS)
    assert len(everything(tmp_path)) == 1


def test_what_is_not_written_again_goes_unless_it_was_changed(tmp_path):
    first = {"a.csv": "1", "tables/b.csv": "2", "c.csv": "3"}
    write_outputs(tmp_path, first)
    (tmp_path / "c.csv").write_text("my own")
    (tmp_path / "mine.csv").write_text("my own")
    write_outputs(tmp_path, {"a.csv": "4"})
    assert (tmp_path / "tables/b.csv").exists()  # of another call
    write_outputs(tmp_path, {"a.csv": "5"}, all_of_it=True)
    assert not (tmp_path / "tables/b.csv").exists()
    assert (tmp_path / "a.csv").read_text() == "5"
    for name in ("c.csv", "mine.csv"):
        assert (tmp_path / name).read_text() == "my own"
