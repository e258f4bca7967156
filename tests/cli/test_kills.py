"""Killed at random moments, a command is run again: the same files, nothing left."""

import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.images.align import LANDMARK_COLUMNS

pytestmark = pytest.mark.slow
KILLS = 5
# Kills itself just before or after the nth time that it renames, locks or syncs.
CHILD = """
import fcntl, os, signal, sys
left = int(sys.argv[1])
def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
def counted(act):
    def counting(*words, **options):
        count()
        found = act(*words, **options)
        count()
        return found
    return counting
if left:
    os.replace, os.fsync = counted(os.replace), counted(os.fsync)
    fcntl.flock = counted(fcntl.flock)
import prefiqs_jax.plots.saving  # of which drawing takes most of the time
from PIL import Image
import io
png = io.BytesIO()
Image.new("RGB", (40, 30)).save(png, "png")
prefiqs_jax.plots.saving.render = lambda figure: (png.getvalue(), b"pdf" * 1000)
from prefiqs_jax.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run(words, kill_at=0):
    command = [sys.executable, "-c", CHILD, str(kill_at), *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def content(folder, without):
    """Give what every file holds, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in without
    }


@pytest.fixture
def align(tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join(("file", *LANDMARK_COLUMNS))]
    points = np.array([[90, 110], [160, 110], [125, 150], [100, 185], [150, 185]])
    for index in range(12):
        name = f"p{index % 3}/{index}.png"
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (250, 250, 3), np.uint8)
        Image.fromarray(pixels).save(path, compress_level=0)
        its = points + rng.normal(0, 3, (5, 2))
        rows.append(",".join((name, *map(str, its.ravel()))))
    (tmp_path / "source/images.csv").write_text("\n".join(rows) + "\n")
    return lambda out: ["align", tmp_path / "source", out, "--quiet"]


@pytest.fixture
def report(tmp_path):
    """Give a report of a run of two images, in a folder of its own."""
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        pixels = rng.integers(0, 255, (112, 112, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "faces" / name)
    made = tmp_path / "made"
    words = f"sweep --backbone demo --images {tmp_path / 'faces'} --sparsities 0.4"
    assert run([*words.split(), "--quiet", "--out", made]).returncode == 0

    def words_for(out):
        if not out.exists():
            shutil.copytree(made, out)
        return ["report", out, "--quiet"]

    return words_for


# Files that tell of times.
TIMES = {"align": ("align.json", ".prefiqs.json"), "report": ()}
# How often a command renames, locks and syncs, before and after.
EVENTS = {"align": 100, "report": 130}


@pytest.mark.parametrize("command", EVENTS)
def test_the_same_files_after_kills(command, tmp_path, request):
    words = request.getfixturevalue(command)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(words(whole)).returncode == 0
    rng = random.Random(0)
    kills = 0
    for _ in range(10 * KILLS):
        found = run(words(killed), rng.randint(1, EVENTS[command]))
        assert found.returncode in (0, -signal.SIGKILL), found.stderr
        kills += found.returncode != 0
        if kills == KILLS:
            break
    assert kills == KILLS
    assert run(words(killed)).returncode == 0
    names = [path.name for path in killed.rglob("*")]
    assert not [n for n in names if n.endswith(".partial") or n == ".lock"]
    expected = content(whole, TIMES[command])
    assert len(expected) > 10
    assert content(killed, TIMES[command]) == expected
