"""The plan of all runs: what is done, begun, to do or left out, and what is started."""

import importlib
import json
import subprocess
from pathlib import Path

import pytest

from prefiqs_jax.cli.main import main as prefiqs
from prefiqs_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "experiments"))
        yield importlib.import_module("make_runs")


@pytest.fixture
def inputs(tmp_path):
    """Make every input that a description names, empty."""
    for name in ("faces/lfw100", "faces/att", "weights"):
        (tmp_path / "inputs" / name).mkdir(parents=True)
    for weights in (
        "face_recognition_sface_2021dec_int8bq.onnx",
        "mobilefacenet_068.ckpt",
    ):
        (tmp_path / "inputs/weights" / weights).touch()
    (tmp_path / "inputs/faces/lfw100_source").mkdir()
    (tmp_path / "inputs/faces/lfw100/images.csv").touch()
    return tmp_path / "inputs"


@pytest.fixture
def described(run, tmp_path, monkeypatch):
    """Put one description in the place of all, and give the path of its runs."""
    (tmp_path / "plans").mkdir()
    monkeypatch.setattr(run, "DESCRIPTIONS", tmp_path / "plans")

    def describe(text):
        (tmp_path / "plans" / "toy.toml").write_text(text)
        return tmp_path / "runs"

    return describe


def words_of(each, start=3):
    """Give a run's options by name; a flag has none."""
    found, name = {}, None
    for word in each.command[start:]:
        if word.startswith("--"):
            name = word[2:]
            found[name] = []
        elif name:
            found[name].append(word)
    return found


def test_every_description_names_what_exists(run, inputs, tmp_path, capsys):
    plan = run.plan([], inputs, tmp_path / "runs")
    assert {"beyond_first_order", "edc", "paths", "mask_ablation"} <= set(plan)
    every = [each for _, runs in plan.values() for each in runs]
    outs = [each.out for each in every]
    assert len(set(outs)) == len(outs)
    for each in every:
        assert each.state() == "to do"
        assert "{" not in " ".join(each.command)
        is_prefiqs = each.command[1] == "-m"
        assert is_prefiqs or Path(each.command[1]).is_file()
        # Its own parser knows every option: what is missing then is another one.
        if is_prefiqs:
            with pytest.raises(SystemExit) as ended:
                prefiqs([*each.command[3:], "--help"])
            assert ended.value.code == 0
            told = capsys.readouterr().out
            assert all(f"--{name}" in told for name in words_of(each))


def test_one_run_for_each_combination(run, inputs, tmp_path):
    ((_, runs),) = run.plan(["beyond_first_order"], inputs, tmp_path).values()
    assert [each.out.name for each in runs] == [
        f"{network}{mask}"
        for network in ("sface", "mobilefacenet", "demo")
        for mask in ("", "_layerwise_magnitude", "_global_random")
    ]
    masks = [words_of(each)["mask"] for each in runs]
    assert (
        masks == [["global/magnitude"], ["layerwise/magnitude"], ["global/random"]] * 3
    )
    assert "weights" not in words_of(runs[-1])
    assert words_of(runs[0])["images"] == [str(inputs / "faces/lfw100")]


SCRIPT = """
about = "two files"
command = ["{script}", "{{inputs}}/faces/lfw100"]
out = "{{letter}}/made"
makes = "done.txt"
[options]
flag = true
names = ["x", "y"]
[[of.letter]]
name = "a"
[[of.letter]]
name = "b"
"""


def test_it_goes_on_where_it_stopped(run, described, inputs, tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys\n"
        "out = pathlib.Path(sys.argv[-1]); out.mkdir(exist_ok=True)\n"
        "(out / 'words.txt').write_text(' '.join(sys.argv[1:-1]))\n"
        "seen = out / 'seen'\n"
        "assert 'b' not in out.parts or seen.exists() or seen.touch()\n"
        "(out / 'done.txt').touch()\n"
    )
    out = described(SCRIPT.format(script=script))
    words = ["--inputs", str(inputs), "--out", str(out)]
    assert run.main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to do") == 2
    assert not out.exists()
    assert run.main(words) == 2  # b fails the first time
    told = capsys.readouterr()
    assert told.err == f"error: {out / 'b/made'} was not finished; see above\n"
    assert (out / "a/made/words.txt").read_text() == (
        f"{inputs / 'faces/lfw100'} --flag --names x --names y --out"
    )
    (out / "a/made/words.txt").unlink()
    assert run.main(words) == 0
    told = capsys.readouterr().out
    assert f"{out / 'a/made'}  done" in told
    assert f"{out / 'b/made'}  begun" in told
    assert not (out / "a/made/words.txt").exists()
    assert (out / "b/made/done.txt").exists()


def test_a_sweep_is_done_when_it_says_so(run, described, inputs, tmp_path, capsys):
    out = described('about = "one"\ncommand = ["prefiqs", "sweep"]\nout = "one"\n')
    ((_, (one,)),) = run.plan([], inputs, out).values()
    assert one.state() == "to do"
    one.out.mkdir(parents=True)
    record = one.out / "run.json"
    for finished, state in ((None, "begun"), ("2026-11-30", "done")):
        record.write_text(json.dumps({"settings": {}, "finished": finished}))
        assert one.state() == state
    record.write_text("{")
    assert run.main(["--inputs", str(inputs), "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {record}")


def test_an_input_that_is_not_there(run, described, tmp_path, capsys, monkeypatch):
    out = described(SCRIPT.format(script="nothing.py"))
    monkeypatch.setattr(subprocess, "run", None)  # nothing may be started
    assert run.main(["--inputs", str(tmp_path / "none"), "--out", str(out)]) == 0
    assert f"left out: no {tmp_path / 'none/faces/lfw100'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("about = ", "cannot be read"),
        ('about = "x"\nout = "y"\n', "lacks the key command"),
        ('about = "x"\ncomand = []\n', "unknown key comand; known are about"),
    ],
)
def test_a_description_that_is_wrong(run, described, inputs, text, told):
    described(text)
    with pytest.raises(InputError, match=told):
        run.plan([], inputs, inputs)


def test_a_description_that_is_not_there(run, capsys):
    assert run.main(["nope", "--dry-run"]) == 2
    assert "no description nope; known are alignment_study, " in capsys.readouterr().err
