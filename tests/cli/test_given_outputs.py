"""Commands are given odd outputs: nothing of the user's is replaced."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli.own_network import write_faces, write_network

from prefiqs_jax.cli import main

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "prefiqs_jax" / "assets" / "demo.safetensors"


@pytest.fixture(params=["score", "convert"])
def words(request, tmp_path_factory):
    """Give a command up to the file that it writes."""
    given = tmp_path_factory.mktemp("given")
    write_faces(given / "faces", ["a.png", "b.png"])
    score = f"score --backbone {write_network(given)} --images {given}/faces"
    words = {"score": f"{score} --quiet --out", "convert": f"convert {EMBEDDED}"}
    return words[request.param].split()


@pytest.fixture
def expected(words, tmp_path):
    """Give what the command writes into a plain new file."""
    path = tmp_path / "plain.safetensors"
    assert main([*words, str(path)]) == 0
    return path.read_bytes()


@pytest.mark.slow
def test_one_file(words, expected, tmp_path, capsys):
    folder = tmp_path / "given"
    folder.mkdir()
    out = folder / "out.safetensors"

    out.write_text("old")
    out.chmod(0o600)
    (folder / ".out.safetensors.host-1-0123abcd.partial").write_text("half")
    assert main([*words, str(out)]) == 0
    assert out.read_bytes() == expected
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [out]

    link = folder / "link.safetensors"
    link.symlink_to("out.safetensors")
    out.write_text("old")
    assert main([*words, str(link)]) == 0
    assert link.is_symlink()
    assert out.read_bytes() == expected
    out.unlink()
    assert main([*words, str(link)]) == 0  # it leads to nothing now
    assert link.is_symlink()
    assert out.read_bytes() == expected

    fifo = folder / "fifo.safetensors"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    assert main([*words, str(fifo)]) == 0
    reader.join()
    assert read == [expected]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)

    capsys.readouterr()
    below = folder / "folder.safetensors"
    below.mkdir()
    (below / "thesis.tex").write_text("mine")
    for path in (below, out / "x.safetensors", folder / "none" / "x.safetensors"):
        assert main([*words, str(path)]) == 2
        told = capsys.readouterr().err
        assert str(path) in told
        assert told.count("\n") == 1
    assert list(below.iterdir()) == [below / "thesis.tex"]
    assert out.read_bytes() == expected


@pytest.mark.slow
def test_a_device(words, tmp_path):
    device = tmp_path / "null.safetensors"
    try:
        os.mknod(device, stat.S_IFCHR | 0o640, os.makedev(1, 3))
        os.close(os.open(device, os.O_WRONLY))
    except PermissionError:
        pytest.skip("only root makes devices")
    before = device.lstat()
    assert main([*words, str(device)]) == 0
    assert device.lstat().st_ino == before.st_ino
    assert device.lstat().st_mode == before.st_mode
    assert list(tmp_path.iterdir()) == [device]


@pytest.mark.parametrize("kind", ["file", "fifo", "dangling link", "other files"])
def test_the_folder_of_a_demo(tmp_path, capsys, kind):
    out = tmp_path / "out"
    make = {
        "file": lambda: out.write_text("mine"),
        "fifo": lambda: os.mkfifo(out),
        "dangling link": lambda: out.symlink_to("none"),
        "other files": lambda: (out / "images").mkdir(parents=True),
    }
    make[kind]()
    before = out.lstat()
    assert main(["demo", "--people", "2", "--quiet", "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert str(out) in told
    assert told.count("\n") == 1
    after = out.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["out"]
    assert kind != "other files" or os.listdir(out) == ["images"]


@pytest.mark.slow
def test_the_result_of_a_benchmark(tmp_path):
    """Our own is replaced, and keeps its mode; another file of the name is not."""
    code = (
        "import sys; sys.path.insert(0, 'experiments/timings')\n"
        "from common import output_path, write\n"
        f"out = output_path('forward', {str(tmp_path)!r})\n"
        "write(out, {'a': 1}); write(out, {'a': 2}); print(out)"
    )

    def run():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    first = run()
    assert first.returncode == 0, first.stderr
    out = Path(first.stdout.strip())
    assert '"a": 2' in out.read_text()
    out.chmod(0o600)
    (tmp_path / f".{out.name}.host-1-0123abcd.partial").write_text("half")
    assert run().returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [out]
    out.write_text("{}")
    assert "is no result of a benchmark" in run().stderr
    assert out.read_text() == "{}"
