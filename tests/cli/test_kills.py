"""Killed at random moments, a command is run again: the same files, nothing left."""

import json
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from toy import toy_backbone

from prefiqs_jax.images import read_folder
from prefiqs_jax.images.align import LANDMARK_COLUMNS
from prefiqs_jax.sweep import SweepOptions, sweep

pytestmark = pytest.mark.slow
KILLS = 5
# Runs each command of a line in a process of its own, forked from this one, so that all
# is imported once. It kills itself just before or after the nth time that it renames,
# locks or syncs.
CHILD = """
import fcntl, io, json, os, signal, sys
from PIL import Image
import prefiqs_jax.images.align, prefiqs_jax.report, prefiqs_jax.statistics
import prefiqs_jax.plots.saving  # of which drawing takes most of the time
from prefiqs_jax.cli import main

png = io.BytesIO()
Image.new("RGB", (40, 30)).save(png, "png")
prefiqs_jax.plots.saving.render = lambda figure: (png.getvalue(), b"pdf" * 1000)
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
for line in sys.stdin:
    left, words = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        if left:
            os.replace, os.fsync = counted(os.replace), counted(os.fsync)
            fcntl.flock = counted(fcntl.flock)
        sys.exit(main(words))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def run(tmp_path):
    """Run a command, killed at a moment or not, and give its exit status."""
    with (
        open(tmp_path / "told", "w") as told,
        subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as child,
    ):
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None

        def run(words, kill_at=0):
            print(json.dumps([kill_at, [*map(str, words)]]), file=stdin, flush=True)
            status = int(stdout.readline())
            assert status in (0, -signal.SIGKILL), (tmp_path / "told").read_text()
            return status

        yield run


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
    """Give a report of a run of three images, in a folder of its own."""
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        pixels = rng.integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "faces" / name)
    made = tmp_path / "made"
    faces, options = read_folder(tmp_path / "faces"), SweepOptions(progress=False)
    sweep(toy_backbone(), faces, "global/magnitude", [0.4], made, options=options)

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
def test_the_same_files_after_kills(command, run, tmp_path, request):
    words = request.getfixturevalue(command)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(words(whole)) == 0
    rng = random.Random(0)
    kills = 0
    for _ in range(10 * KILLS):
        kills += run(words(killed), rng.randint(1, EVENTS[command])) != 0
        if kills == KILLS:
            break
    assert kills == KILLS
    assert run(words(killed)) == 0
    names = [path.name for path in killed.rglob("*")]
    assert not [n for n in names if n.endswith(".partial") or n == ".lock"]
    expected = content(whole, TIMES[command])
    assert len(expected) > 10
    assert content(killed, TIMES[command]) == expected
