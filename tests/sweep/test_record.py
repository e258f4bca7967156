"""What several processes say of one run, read together."""

import pytest

from prefiqs_jax import results
from prefiqs_jax.files import atomic
from prefiqs_jax.results.run_folder import open_run
from prefiqs_jax.sweep.distributed import Share
from prefiqs_jax.sweep.record import RunRecord

SETTINGS = {"mask": "global/magnitude", "batch_size": 2}


def a_manifest():
    empty = {"sessions": [], "skipped": [], "finished": None}
    return {"format": 2, "settings": SETTINGS, **empty}


def a_record(run, index, manifest=None, started="10:00"):
    manifest = manifest or a_manifest()
    return RunRecord(run, manifest, {"started": started}, Share(index, 2))


def a_part(run, index):
    (run / f"part-{index:06d}.parquet").touch()


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_each_process_has_its_file(run):
    records = [a_record(run, index) for index in (1, 0)]
    names = {path.name for path in run.iterdir()}
    assert names == {"run.json", "process-0001.json"}
    records[0].session["seconds"] = 7
    records[0].write()
    first, second = results.read_manifest(run)["sessions"]
    assert first == {"started": "10:00", "process_index": 0, "process_count": 2}
    assert second == first | {"process_index": 1, "seconds": 7}


def test_one_process_alone_has_one_file(run):
    RunRecord(run, a_manifest(), {"started": "10:00"}, Share())
    assert [path.name for path in run.iterdir()] == ["run.json"]
    assert results.read_manifest(run)["sessions"] == [{"started": "10:00"}]


def test_a_run_is_one_whoever_is_lost(run):
    a_record(run, 1).skip([("b.png", "is empty")])
    manifest = open_run(run, SETTINGS)
    assert manifest is not None
    assert manifest["settings"] == SETTINGS
    assert [entry["image"] for entry in manifest["skipped"]] == ["b.png"]


def test_a_skipped_picture_is_named_once(run):
    for index, name in enumerate(("a.png", "b.png")):
        record = a_record(run, index)
        record.skip([(name, "is empty")])
        record.skip([(name, "is empty")])
    known = results.read_manifest(run)
    assert [entry["image"] for entry in known["skipped"]] == ["a.png", "b.png"]
    # Launched again: each begins with what all have said.
    for index in (0, 1):
        again = a_record(run, index, open_run(run, SETTINGS), started="11:00")
        again.skip([("b.png", "is empty"), ("c.png", "is empty")])
    manifest = results.read_manifest(run)
    assert [entry["image"] for entry in manifest["skipped"]] == [
        "a.png",
        "b.png",
        "c.png",
    ]
    assert [(s["started"], s["process_index"]) for s in manifest["sessions"]] == [
        ("10:00", 0),
        ("10:00", 1),
        ("11:00", 0),
        ("11:00", 1),
    ]


@pytest.mark.parametrize("last", [0, 1])
def test_whoever_comes_last_says_that_it_is_finished(run, last):
    records = [a_record(run, 0), a_record(run, 1)]
    a_part(run, 0)
    assert records[1 - last].end(range(2))["finished"] is None
    a_part(run, 1)
    assert records[last].end(range(2))["finished"] is not None
    assert results.read_manifest(run)["finished"] is not None
    records[1 - last].write()  # knows of nothing, and takes nothing back
    assert results.read_manifest(run)["finished"] is not None


def test_what_another_process_is_writing_is_left(run):
    survivor = a_record(run, 1)
    (run / "rows").mkdir()
    names = "rows/.part-000001.parquet", ".a.json"
    killed = [run / f"{name}.99.partial" for name in names]
    for path in killed:
        path.write_bytes(b"half")
    with atomic(run / "rows" / "part-000001.parquet") as writing:
        writing.write_bytes(b"half")
        survivor.end(range(2))
        assert list(run.rglob(".*")) == [writing]
