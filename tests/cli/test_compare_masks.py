"""``prefiqs compare-masks`` as a user types it."""

import signal
import subprocess
import sys

import pandas as pd
import pytest
from cli.own_network import write_faces, write_network

from prefiqs_jax.cli import main

# Is killed when it has written the part of this number, if any. Draws no figures.
CHILD = """
import io, os, signal, sys
from PIL import Image
import prefiqs_jax.plots.saving
from prefiqs_jax.cli import main
from prefiqs_jax.sweep import batches
png = io.BytesIO()
Image.new("RGB", (4, 3)).save(png, "png")
prefiqs_jax.plots.saving.render = lambda figure: (png.getvalue(), b"pdf")
write = batches.write_table
def killing(out, index, *rest):
    write(out, index, *rest)
    if index == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
batches.write_table = killing
sys.exit(main(sys.argv[2:]))
"""


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def words(tmp_path):
    """Give the words of a comparison on six images."""
    write_faces(tmp_path / "faces", [f"p{index % 3}/{index}.png" for index in range(6)])
    network = write_network(tmp_path)

    def build(masks, *more, out="out", sparsities="0.5"):
        given = ["compare-masks", "--backbone", network, "--masks", masks]
        given += ["--images", str(tmp_path / "faces"), "--out", str(tmp_path / out)]
        return [*given, "--sparsities", sparsities, "--quiet", *more]

    return build


@pytest.mark.slow
def test_from_the_command_line(words, tmp_path, capsys):
    given = words(
        "global/magnitude,2:4/wanda,filters/l1",
        *("--degraded", "1", "--reference", "filters/l1", "--batch-size", "6"),
        sparsities="0.3,0.5",
    )
    assert main(given) == 0
    page = tmp_path / "out/comparison/comparison.html"
    assert capsys.readouterr().out == f"{page}\n"
    masks = pd.read_csv(tmp_path / "out/comparison/tables/masks.csv")
    assert masks[["mask", "sparsity"]].values.tolist() == [
        ["global/magnitude", 0.3],
        ["global/magnitude", 0.5],
        ["2:4/wanda", 0.5],
        ["filters/l1", 0.3],
        ["filters/l1", 0.5],
    ]
    assert masks["images"].tolist() == [12] * 5
    differences = pd.read_csv(tmp_path / "out/comparison/tables/differences.csv")
    assert set(differences["reference"]) == {"filters/l1"}
    # A report of it would mix masks; it says where to look.
    assert main(["report", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "compares several masks" in line
    assert "prefiqs compare-masks" in line


@pytest.mark.slow
def test_killed_and_run_again(words, tmp_path):
    given = words("global/magnitude,layerwise/random", "--batch-size", "1")
    assert main(words(*given[4:5], "--batch-size", "1", out="whole")) == 0
    # Both are processes: with types checked, as here, a network is another one.
    command = [sys.executable, "-c", CHILD]
    killed = subprocess.run([*command, "1", *given], check=False)
    assert killed.returncode == -signal.SIGKILL
    parts = sorted(path.name for path in (tmp_path / "out/rows").iterdir())
    assert parts == ["part-000000.parquet", "part-000001.parquet"]
    assert not (tmp_path / "out/comparison").exists()
    subprocess.run([*command, "-1", *given], check=True)
    for path in (tmp_path / "whole/comparison/tables").iterdir():
        again = tmp_path / "out/comparison/tables" / path.name
        one, other = pd.read_csv(path), pd.read_csv(again)
        pd.testing.assert_frame_equal(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("masks", "more", "told"),
    [
        ("global/magnitude", (), "two masks or more, and here is 1: global/magnitude"),
        ("global/magnitude,global/no", (), "unknown mask 'global/no'"),
        ("erk/snip,erk/snip", (), "mask erk/snip is given twice"),
        ("erk/snip,2:4/l1", (), "2:4/l1 makes no sense"),
        ("erk/snip,erk/wanda@2", (), "sparsity 2.0 is outside [0, 1)"),
        ("erk/snip,erk/wanda", ("--reference", "no"), "reference no is none of the"),
        ("erk/magnitude,1:4/magnitude", (), "1:4 cannot reach sparsity 0.5"),
        ("erk/snip,erk/wanda", ("--prunable", "("), "is no regular expression"),
    ],
)
def test_bad_input(words, tmp_path, capsys, masks, more, told):
    assert main(words(masks, *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()
