"""`prefiqs bench` runs scripts and tabulates them; the site has their figures."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from prefiqs_jax.cli import bench, main
from prefiqs_jax.errors import InputError

ROOT = Path(__file__).parents[2]
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
    assert main(["bench", "forward", "scaling"]) == 0
    assert "goal: at most 1.5, met" in capsys.readouterr().out
    assert main(["bench", "ranking"]) == 1
    assert "no memory" in capsys.readouterr().out


def test_without_the_repository(scripts, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FOLDER", scripts / "elsewhere")
    assert main(["bench"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not in the wheel" in line
    assert main(["bench", "speed"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown benchmark 'speed'" in line
    assert "sweep_cost" in line
    with pytest.raises(InputError, match="unknown"):
        bench.run_benchmarks(["speed"])


def test_every_benchmark_is_a_script():
    for name in bench.BENCHMARKS:
        assert (bench.FOLDER / f"{name}.py").is_file(), name
    assert ROOT / "experiments" / "timings" == bench.FOLDER


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    yield importlib.import_module("readme_tables")
    sys.modules.pop("readme_tables", None)


def kept(file):
    return json.loads((bench.FOLDER / file).read_text())


def test_the_tables_of_the_pages_are_those_of_the_json(tables):
    texts = [page.read_text() for page in tables.PAGES]
    assert [tables.updated(text) for text in texts] == texts
    (text, *_) = texts
    marked = tables.MARKED.findall("".join(texts))
    assert set(tables.MADE) == {kind for _, kind, _, _ in marked}
    result = kept("sweep_cost_cpu.json")
    cost = result["rows"][0]["ours"]["cost_forwards"]
    cost |= {"median": 99.9, "low": 99.8, "high": 99.95}
    assert "99.9 [99.8, 100.0]" in "".join(tables.sweep_table(result))
    assert "99.9" not in text


def test_bold_is_below_the_floor_with_its_whole_range(tables):
    result = kept("sweep_cost_cpu.json")
    row = result["rows"][0]
    for low, median, high, bold in (
        (28.0, 29.0, 30.9, True),
        (28.0, 29.0, 31.0, False),
        (28.0, 31.0, 31.2, False),
        (31.1, 32.0, 33.0, False),
    ):
        row["ours"]["cost_forwards"] |= {"median": median, "low": low, "high": high}
        text = f"{median} [{low}, {high}]"
        line = tables.sweep_table({"rows": [row]})[2]
        assert f"| {text} |" in line or bold
        assert (f"**{text}**" in line) == bold


def test_every_number_of_a_sweep_is_of_all_its_turns(tables):
    for row in kept("sweep_cost_cpu.json")["rows"]:
        ours = row["ours"]
        for found in (ours["cost_forwards"], ours["dense_s"], ours["sweep_s"]):
            assert len(found["all"]) == row["repeats"]
            low, median, high = (found[key] for key in ("low", "median", "high"))
            assert low == min(found["all"]) <= median <= high == max(found["all"])
        # One dense time: the cost is the sweep over it, turn by turn.
        for cost, sweep, dense in zip(
            *(ours[key]["all"] for key in ("cost_forwards", "sweep_s", "dense_s")),
            strict=True,
        ):
            assert cost == pytest.approx(sweep / dense)


def test_how_long_devices_wait_is_said_of_each(tables):
    result = kept("pipeline_cpu.json")
    for row in result["simulated_devices"]:
        if row["assumed_images_per_s"] == 10_000:
            row["waiting"] = 0.31 if row["folder"] == "png" else 0.42
        else:
            row["waiting"] = 0.002
    said = " ".join(tables.loading(result))
    assert "took 1,000 a second would wait for 0.2 % of the time" in said
    assert "took 10,000 a second would wait for 31 to 42 % of the time" in said


def test_calls_are_timed_in_turn(monkeypatch):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    common = importlib.import_module("common")
    order = []
    calls = {name: lambda name=name: order.append(name) for name in ("dense", "sweep")}
    times = common.in_turn(calls, 5, warm_up=False)
    assert order == ["dense", "sweep"] * 5
    assert all(len(found.elapsed) == 5 for found in times.values())
    found = common.spread([3.0, 1.0, 2.0, 9.0])
    assert found == {
        "median": 2.5,
        "low": 1.0,
        "high": 9.0,
        "all": [3.0, 1.0, 2.0, 9.0],
    }
    assert common.ranged(found) == "2.5 [1.0, 9.0]"
    assert common.ranged(common.spread([1.25]), 2) == "1.25"


def test_fewer_than_five_turns_are_refused(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    sweep_cost = importlib.import_module("sweep_cost")
    monkeypatch.setattr(sys, "argv", ["sweep_cost.py", "--repeats", "4"])
    with pytest.raises(SystemExit):
        sweep_cost.read_options()
    assert "--repeats 4: 5 are the least" in capsys.readouterr().err
