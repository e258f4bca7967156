"""Precision, devices and processes as a user types them."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from cli.own_network import write_faces, write_network

from prefiqs_jax import results
from prefiqs_jax.cli import main

PREFIQS = [sys.executable, "-m", "prefiqs_jax.cli"]


@pytest.fixture
def words(tmp_path):
    """Give the words of a sweep of four images by a network that is soon compiled."""
    write_faces(tmp_path / "faces", [f"{index}.png" for index in range(4)])
    network = write_network(tmp_path)

    def build(out, *more):
        given = {
            "backbone": network,
            "images": tmp_path / "faces",
            "out": tmp_path / out,
        }
        flat = [str(w) for name, value in given.items() for w in (f"--{name}", value)]
        return ["sweep", *flat, "--sparsities", "0.4", "--quiet", *map(str, more)]

    return build


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--coordinator", "a:1"], "give --distributed with them"),
        (["--process-count", "2"], "give --distributed with them"),
        (["--process-index", "0"], "give --distributed with them"),
        (["--distributed", "--process-index", "0"], "give all of --coordinator"),
        (["--devices", "99"], "99 devices asked for; this process has "),
        (["--weights", "gone.pth", "--distributed"], "gone.pth does not exist"),
    ],
)
def test_options_that_cannot_be_used(words, tmp_path, capsys, more, told):
    assert main(words("run", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--devices", "--batch-size", "--process-count"])
def test_nothing_is_not_enough(words, capsys, option):
    with pytest.raises(SystemExit):
        main(words("run", option, "0"))
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_no_cluster(words, tmp_path):
    told = subprocess.run(
        [*PREFIQS, *words("run", "--distributed")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 2
    (line,) = told.stderr.splitlines()
    assert "finds no cluster here" in line
    assert "give --coordinator HOST:PORT" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["--sparsities", "0.4"],
        ["--mask", "output/wanda", "--sparsities", "0.4", "--precision", "high"],
        ["--delta", "int4"],
    ],
    ids=["magnitude", "calibrated", "change"],
)
def test_two_processes(words, tmp_path, more):
    def words_of(out, *others):
        given = words(out)
        at = given.index("--sparsities")
        return [*given[:at], *given[at + 2 :], *more, *map(str, others)]

    assert main(words_of("alone")) == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    several = ["--distributed", "--coordinator", f"127.0.0.1:{port}"]
    both = [
        subprocess.Popen(
            [
                *PREFIQS,
                *words_of("run", *several, "--process-count", 2),
                *("--process-index", str(index), "--devices", "2"),
            ],
            env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    for process in both:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    rows, alone = (results.read(tmp_path / name) for name in ("run", "alone"))
    assert rows.image.tolist() == alone.image.tolist()
    for column in ("first_order", "drift"):
        assert np.abs(rows[column] - alone[column]).max() <= 1e-6
    manifest = results.read_manifest(tmp_path / "run")
    assert manifest["settings"]["batch_size"] == 2  # two images for each
    assert [session["device"][:3] for session in manifest["sessions"]] == ["2 ×"] * 2
    same = [
        results.read_manifest(tmp_path / name)["settings"] for name in ("run", "alone")
    ]
    assert same[0]["masks_sha256"] == same[1]["masks_sha256"]
    assert same[0].get("calibration") == same[1].get("calibration")


@pytest.mark.slow
def test_precision_of_scores(words, tmp_path, capsys):
    drifts = {}
    for precision in ("highest", "fast"):
        given = words(f"{precision}.csv", "--precision", precision)
        given = ["score", *given[1 : given.index("--sparsities")], "--quiet"]
        assert main([*given, "--precision", precision]) == 0
        table = np.loadtxt(
            tmp_path / f"{precision}.csv", delimiter=",", skiprows=1, usecols=2
        )
        drifts[precision] = table
    off = np.abs(drifts["fast"] / drifts["highest"] - 1)
    assert 1e-6 < off.max() < 0.2
