"""Two real processes of four devices each, which meet on this machine and part."""

import json
import shutil
import signal
import socket
import time

import numpy as np
import pytest
from sweep.forking import Parent

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.sweep.distributed import Share, join
from prefiqs_jax.sweep.planner import default_batch_size

FOUR_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def parent():
    """Import once what every process needs."""
    found = Parent()
    yield found
    found.end()


@pytest.fixture
def launch(parent, pictures, tmp_path):
    """Start two processes of one run; a dictionary changes what one of them is told."""
    running = []

    def start(*changes, **options):
        address = f"127.0.0.1:{free_port()}"
        options = {"distributed": True, "batch_size": 2} | options
        for index, change in enumerate(changes):
            asked = {
                "images": str(pictures),
                "runs": [[str(tmp_path / "run"), options]],
                "cluster": [address, len(changes), index],
            } | change
            environment = FOUR_DEVICES | asked.pop("environment", {})
            told = tmp_path / f"told-{len(running)}"
            running.append(parent.start(asked, environment, told))
        return running[-len(changes) :]

    yield start
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.wait()


def outcome(process):
    """Wait for the end; give the exit status and the lines of the package."""
    status, told = process.wait()
    lines = [line for line in told.splitlines() if line.startswith("prefiqs: ")]
    assert "Traceback" not in told
    return status, lines


def assert_same(ours, theirs):
    assert ours.image.tolist() == theirs.image.tolist()
    assert ours.sparsity.tolist() == theirs.sparsity.tolist()
    for column in ("first_order", "drift", "residual", "cosine", "quality"):
        assert np.abs(ours[column] - theirs[column]).max() <= 1e-6


@pytest.mark.slow
def test_two_processes_give_the_rows_of_one(launch, run_sweep, pictures, tmp_path):
    (pictures / "person0" / "000bad.png").write_bytes(b"no image")
    (pictures / "person2" / "bad.png").write_bytes(b"no image")
    both = launch({}, {}, on_bad_image="skip")
    assert [outcome(process) for process in both] == [(0, []), (0, [])]
    run = tmp_path / "run"
    assert_same(results.read(run), results.read(run_sweep("one", on_bad_image="skip")))
    manifest = results.read_manifest(run)
    assert manifest["finished"] is not None
    assert manifest["settings"]["batch_size"] == 2
    sessions = manifest["sessions"]
    assert [session["process_index"] for session in sessions] == [0, 1]
    assert all(session["device"].startswith("4 × ") for session in sessions)
    skipped = [entry["image"] for entry in manifest["skipped"]]
    assert sorted(skipped) == ["person0/000bad.png", "person2/bad.png"]
    # Batch 0 was the one's, and the last batch, 6, as well; batch 1 the other's.
    own = json.loads((run / "process-0001.json").read_text())
    assert [session["process_index"] for session in own["sessions"]] == [1]

    written = {path.name: path.stat().st_mtime_ns for path in run.glob("rows/part-*")}
    assert len(written) == 7
    again = launch({}, {}, on_bad_image="skip")
    assert [outcome(process) for process in again] == [(0, []), (0, [])]
    for name, when in written.items():
        assert (run / "rows" / name).stat().st_mtime_ns == when


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["SLURM", "Open MPI"])
def test_the_launcher_tells_who_takes_part(launch, finished, tmp_path, launcher):
    port = str(free_port())

    def told(index):
        if launcher == "SLURM":
            words = {"JOB_ID": "7", "STEP_NODELIST": "localhost", "NTASKS": "2"}
            words |= {"PROCID": str(index), "LOCALID": str(index)}
            words = {f"SLURM_{key}": value for key, value in words.items()}
        else:
            words = {"SIZE": "2", "RANK": str(index), "LOCAL_RANK": str(index)}
            words = {f"OMPI_COMM_WORLD_{key}": value for key, value in words.items()}
            words["OMPI_MCA_orte_hnp_uri"] = "4096.0;tcp://127.0.0.1:1"
        return {
            "cluster": [None, None, None],
            "environment": words | {"JAX_COORDINATOR_PORT": port},
        }

    both = launch(told(0), told(1), batch_size=None)
    assert [outcome(process) for process in both] == [(0, []), (0, [])]
    run = tmp_path / "run"
    assert_same(results.read(run), results.read(finished))
    manifest = results.read_manifest(run)
    assert [session["process_index"] for session in manifest["sessions"]] == [0, 1]
    assert manifest["settings"]["batch_size"] == 6  # of 11, for each its part


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_is_repaired_by_the_same_command(
    launch, finished, tmp_path, lost
):
    run = tmp_path / "run"
    slow: list[dict] = [{}, {}]
    slow[lost] = {"delay": 0.5}
    both = launch(*slow, batch_size=1)
    own = {f"part-{index:06d}.parquet" for index in range(lost, 11, 2)}
    deadline = time.monotonic() + 120
    while not {path.name for path in run.glob("rows/part-*")} & own:
        assert time.monotonic() < deadline
        assert both[lost].poll() is None
        time.sleep(0.02)
    both[lost].send_signal(signal.SIGKILL)
    both[lost].wait()
    assert outcome(both[1 - lost]) == (0, [])
    there = {path.name for path in run.glob("rows/part-*")}
    others = {f"part-{index:06d}.parquet" for index in range(1 - lost, 11, 2)}
    assert others < there
    assert not own <= there
    assert results.read_manifest(run)["finished"] is None
    if lost == 0:  # as if it had not come to write it
        (run / "run.json").unlink()

    again = launch({}, {}, batch_size=1)
    assert [outcome(process) for process in again] == [(0, []), (0, [])]
    assert_same(results.read(run), results.read(finished))
    manifest = results.read_manifest(run)
    assert manifest["finished"] is not None
    assert len(manifest["sessions"]) == (3 if lost == 0 else 4)


@pytest.mark.slow
def test_all_stop_where_one_must(launch, pictures, tmp_path):
    bad = pictures / "person1" / "bad.png"
    bad.write_bytes(b"no image")
    first, second = map(outcome, launch({}, {}))
    assert first[0] == second[0] == 2
    assert len(first[1]) == len(second[1]) == 1
    assert "person1/bad.png" in first[1][0]
    assert second[1] == ["prefiqs: process 0 had to stop; see its message"]
    assert not (tmp_path / "run").exists()

    bad.unlink()
    odd = {"runs": [[str(tmp_path / "run"), {"distributed": True, "devices": 5}]]}
    first, second = map(outcome, launch({}, odd))
    assert first == (2, ["prefiqs: process 1 had to stop; see its message"])
    assert second == (2, ["prefiqs: 5 devices asked for; this process has 4"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_with_different_settings(launch, tmp_path):
    first, second = map(outcome, launch({}, {"sparsities": [0.1, 0.3]}))
    assert first == second
    assert first[0] == 2
    (line,) = first[1]
    assert "process 1 was started with other settings" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_with_images_of_different_content(launch, pictures, tmp_path):
    """As where each has a copy of the data set of its own."""
    other = tmp_path / "copy" / "faces"
    shutil.copytree(pictures, other)
    shutil.copy(other / "person0" / "000.png", other / "person1" / "001.png")
    first, second = map(outcome, launch({}, {"images": str(other)}))
    assert first == second
    assert first[0] == 2
    (line,) = first[1]
    assert "process 1 was started with other settings, weights or images" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((None, 2, 0), "give all of --coordinator"),
        (("host:1", 2, None), "give all of --coordinator"),
        (("host", 2, 0), "'host' is no HOST:PORT"),
        ((":1234", 2, 0), "':1234' is no HOST:PORT"),
        (("host:99999", 2, 0), "'host:99999' is no HOST:PORT"),
        (("host:1234", 2, 2), "--process-index 2 is outside 0 to 1"),
    ],
)
def test_cluster_options_that_cannot_be_used(given, told):
    with pytest.raises(InputError, match=told):
        join(*given)


def test_a_port_in_use():
    with (
        socket.create_server(("", 0)) as server,
        pytest.raises(InputError, match=r"port \d+ of --coordinator .*in use"),
    ):
        join(f"127.0.0.1:{server.getsockname()[1]}", 2, 0)


def test_every_batch_has_one_owner():
    batches = list(range(11))
    shares = [Share(index, 4).of(batches) for index in range(4)]
    assert sorted(batch for share in shares for batch in share) == batches
    assert {len(share) for share in shares} == {2, 3}


@pytest.mark.parametrize("images", [8, 11, 64, 1000, 10_000])
def test_every_process_gets_batches(images):
    alone = default_batch_size(images, 4)
    for processes in (1, 2, 8):
        size = default_batch_size(images, 4, processes)
        assert 1 <= size <= alone
        batches = -(-images // size)
        assert batches >= processes or batches > images // 2
        assert size <= 128  # 32 for each of four devices
