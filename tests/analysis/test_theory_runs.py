"""The script that makes the runs: what it asks of prefiqs and python, replaced."""

import os
import subprocess
from pathlib import Path

from prefiqs_jax.cli.main import main

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "theory_runs.sh"
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
while [ $# -gt 0 ]; do [ "$1" != --out ] || mkdir -p "$2"; shift; done
"""


def commands(tmp_path, *words, **environment):
    """Run the script; give each command that it would have run, as words."""
    for name in ("prefiqs", "python"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "log"
    log.write_text("")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPT, *words],
        env={**os.environ, "PATH": path, "LOG": str(log), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, [line.split() for line in log.read_text().splitlines()]


def value(words, option):
    return words[words.index(option) + 1]


def test_commands(tmp_path):
    runs = tmp_path / "runs"
    done, found = commands(tmp_path, "sface.onnx", "lfw", "att", str(runs))
    assert done.returncode == 0, done.stderr
    sweeps = [words for words in found if words[0] == "prefiqs"]
    assert len({value(words, "--out") for words in sweeps}) == len(sweeps) == 9
    masks = {"global/magnitude", "layerwise/magnitude", "global/random"}
    assert {value(words, "--mask") for words in sweeps} == masks
    for words in sweeps:
        assert value(words, "--with") == "taylor3,kinks,layers,controls"
        name = Path(value(words, "--out")).name
        assert value(words, "--images") == ("att" if "att" in name else "lfw")
        assert ("--degraded" in words) == ("att" not in name)
    asked = [words for words in found if words[0] == "python"]
    names = [Path(words[1]).stem for words in asked]
    of_runs = ["first_order_limits", "kinks", "layers", "controls"]
    assert names[:10] == of_runs + ["paths"] * 3 + ["metric"] * 3
    assert names[10:] == ["expected_drift"]
    for words in asked:
        assert Path(words[1]).exists()
        assert "--findings" not in words
    for words in asked[:4]:
        assert set(words[2:11]) == {value(each, "--out") for each in sweeps}
    for *computed, drawn in (asked[4:7], asked[7:10]):
        outs = [value(words, "--out") for words in computed]
        assert drawn[2:4] == outs
        assert [value(words, "--backbone") for words in computed] == ["sface", "demo"]
        assert ["--weights" in words for words in computed] == [True, False]


def test_faces_that_were_measured_are_not_again(tmp_path):
    kept = tmp_path / "runs" / "metric" / "demo"
    kept.mkdir(parents=True)
    (kept / "metric_images.csv").write_text("kept")
    words = ("sface.onnx", "lfw", "att", str(tmp_path / "runs"))
    _, found = commands(tmp_path, *words)
    computed = [value(w, "--out") for w in found if "--each" in w]
    assert str(kept) not in computed
    assert len(computed) == 3


def test_the_page_is_renewed_on_request(tmp_path):
    words = ("sface.onnx", "lfw", "att", str(tmp_path / "runs"))
    _, found = commands(tmp_path, *words, FINDINGS="page.md")
    asked = [words for words in found if words[0] == "python"]
    asked = [words for words in asked if "--each" not in words]
    assert len(asked) == 7
    assert all(value(words, "--findings") == "page.md" for words in asked)


def test_usage(tmp_path):
    done, found = commands(tmp_path, "sface.onnx", "lfw")
    assert done.returncode != 0
    assert "usage: experiments/theory_runs.sh WEIGHTS.onnx" in done.stderr
    assert not found


def test_prefiqs_knows_these_words(tmp_path, capsys):
    """What is refused is the folder that is not there, not an option."""
    _, found = commands(tmp_path, "sface.onnx", "no-lfw", "no-att", str(tmp_path))
    words = next(words for words in found if "demo" in words)
    assert main(words[1:]) == 2
    assert "no-lfw" in capsys.readouterr().err
