"""`prefiqs bench` runs scripts and tabulates them; the README has their figures."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from prefiqs_jax import bench, cli
from prefiqs_jax.errors import InputError

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, pathlib, sys
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--out") + 1])
print("at work")
figure = {"what": "time over that", "value": 2.0 if "--quick" in words else 1.25}
(out / "NAME_cpu.json").write_text(json.dumps({"ratios": [figure | {"at_most": 1.5}]}))
"""


@pytest.fixture
def scripts(tmp_path):
    """Three small benchmarks in place of the repository's; the second fails."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in ("forward", "scaling"):
        (folder / f"{name}.py").write_text(SCRIPT.replace("NAME", name))
    (folder / "ranking.py").write_text("print('begun')\nraise SystemExit('no memory')")
    return folder


def test_figures_of_all_and_the_failure_of_one(scripts):
    lines = []
    found = bench.run_benchmarks(
        ["forward", "ranking", "scaling"], folder=scripts, say=lines.append
    )
    assert [outcome.name for outcome in found] == ["forward", "ranking", "scaling"]
    assert [outcome.failure for outcome in found] == [None, "no memory", None]
    assert found[0].ratios[0]["value"] == 1.25
    assert (scripts / "scaling_cpu.json").exists()
    assert "  at work" in lines
    assert any("[2/3] ranking failed: no memory" in line for line in lines)
    first, last, failed = bench.table(found)
    words = "forward time over that 1.25 goal: at most 1.5, met"
    assert " ".join(first.split()) == words
    assert last.startswith("scaling")
    assert " ".join(failed.split()) == "ranking failed no memory"


def test_a_try_leaves_no_measurement(scripts):
    (found,) = bench.run_benchmarks(
        ["forward"], quick=True, folder=scripts, say=lambda _: None
    )
    assert found.ratios[0]["value"] == 2.0
    assert "missed" in bench.table([found])[0]
    assert "goal" not in bench.table([found], goals=False)[0]
    assert not list(scripts.glob("*.json"))


def test_an_old_result_is_none(scripts, tmp_path):
    (scripts / "forward.py").write_text("print('did nothing')")
    out = tmp_path / "out"
    out.mkdir()
    (out / "forward_cpu.json").write_text('{"ratios": []}')
    (found,) = bench.run_benchmarks(
        ["forward"], out=out, folder=scripts, say=lambda _: None
    )
    assert found.failure is not None
    assert "wrote no" in found.failure


def test_the_command(scripts, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FOLDER", scripts)
    assert cli.main(["bench", "forward", "scaling"]) == 0
    assert "goal: at most 1.5, met" in capsys.readouterr().out
    assert cli.main(["bench", "ranking"]) == 1
    assert "no memory" in capsys.readouterr().out


def test_without_the_repository(scripts, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FOLDER", scripts / "elsewhere")
    assert cli.main(["bench"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not in the wheel" in line
    assert cli.main(["bench", "speed"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown benchmark 'speed'" in line
    assert "sweep_cost" in line
    with pytest.raises(InputError, match="unknown"):
        bench.run_benchmarks(["speed"])


def test_every_benchmark_is_a_script():
    for name in bench.BENCHMARKS:
        assert (bench.FOLDER / f"{name}.py").is_file(), name
    assert ROOT / "experiments" / "benchmarks" == bench.FOLDER


def test_the_tables_of_the_readme_are_those_of_the_json(monkeypatch):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    tables = importlib.import_module("readme_tables")
    text = (ROOT / "README.md").read_text()
    assert tables.updated(text) == text
    rows = json.loads((bench.FOLDER / "sweep_cost_cpu.json").read_text())["rows"]
    changed = [{**row, "ours": {**row["ours"], "cost_forwards": 99.9}} for row in rows]
    assert "99.9" in "".join(tables.sweep_table(changed))
    assert "99.9" not in text
    sys.modules.pop("readme_tables", None)
