"""The command as a user types it: what it prints, its exit status, what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from prefiqs_jax.cli import main

SFACE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, (112, 112, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def refuse(faces, tmp_path, capsys):
    """Run a sweep that must fail; give its one line."""

    def run(*words, command="sweep", **options):
        options = {
            "backbone": "arcface_iresnet18",
            "weights": tmp_path / "missing.pth",
            "images": faces,
            "out": tmp_path / "out",
        } | options
        arguments = [command, *words]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        capsys.readouterr()
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("prefiqs: ")
        assert not (tmp_path / "out").exists()
        return line

    return run


def test_unknown_names(refuse):
    line = refuse(backbone="arcface_iresnet17")
    assert "unknown backbone 'arcface_iresnet17'" in line
    assert "arcface_iresnet18" in line
    assert "sface" in line
    line = refuse(mask="global/magic")
    assert "unknown mask 'global/magic'" in line
    assert "layerwise" in line
    assert "contribution" in line


@pytest.mark.parametrize("sparsities", ["1", "-0.1", "0.1,,0.2", "nan", "a", "0.1,2"])
def test_sparsities(refuse, sparsities):
    assert "in [0, 1)" in refuse(sparsities=sparsities)


def test_amounts_and_patterns(refuse):
    assert "'much'" in refuse(memory_limit="much")
    assert "'('" in refuse(prunable="(")


def test_images(refuse, tmp_path):
    assert "nowhere" in refuse(images=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in refuse(images=tmp_path / "empty")


def test_weights(refuse, tmp_path):
    assert "missing.pth" in refuse()
    (tmp_path / "w.bin").write_bytes(b"x")
    assert ".safetensors" in refuse(weights=tmp_path / "w.bin")
    for name in ("w.onnx", "w.safetensors", "w.pth"):
        (tmp_path / name).write_bytes(b"not weights at all")
        line = refuse(weights=tmp_path / name)
        assert name in line
    arguments = ["sweep", "--weights", str(tmp_path / "w.safetensors")]
    assert main([*arguments, "--images", str(tmp_path / "faces"), "--out", "o"]) == 2


def test_a_pickle_that_would_run_code(refuse, tmp_path):
    torch = pytest.importorskip("torch")

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/exploded",)

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pth")
    line = refuse(weights=tmp_path / "bomb.pth")
    assert "bomb.pth" in line
    assert "system" in line
    assert not (tmp_path / "exploded").exists()


def test_weights_of_another_architecture(refuse, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"conv1.weight": np.zeros((64, 3, 5, 5), "f4")}, path)
    line = refuse(weights=path)
    assert "does not fit arcface_iresnet18" in line
    assert "missing" in line
    assert "bn1.weight" in line
    assert "conv1.weight: (64, 3, 5, 5) instead of (64, 3, 3, 3)" in line
    save_file({"conv1.weight": np.zeros((2, 2), "f4")}, path)
    line = refuse(weights=path, backbone="sface")
    assert "batchnorm_beta" in line
    assert "unexpected (conv1.weight)" in line


@pytest.mark.weights
def test_says_which_architecture_fits(refuse, shared):
    line = refuse(weights=shared(SFACE))
    assert "does not fit arcface_iresnet18" in line
    assert line.endswith("it fits sface")


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as error:
        main([])
    assert error.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_lists(capsys):
    assert main(["backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    for depth in (18, 34, 50, 100, 200):
        assert f"arcface_iresnet{depth}" in names
    assert {"magface_iresnet100", "sface"} <= set(names)
    assert any("BGR, (x - 0) / 255" in line for line in lines)
    assert main(["masks"]) == 0
    listed = capsys.readouterr().out
    assert "layerwise" in listed
    assert "wanda" in listed


def test_backbones_names_the_network_of_any_graph(capsys):
    assert main(["backbones", "onnx"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["name", "onnx"]


def test_report_of_no_run(capsys, tmp_path):
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err


def fresh(*words, **environment):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    ).stdout


@pytest.mark.slow
def test_imports_nothing_heavy():
    heavy = ("flax", "matplotlib", "pandas", "torch", "onnx", "pyarrow")
    heavy += ("optax", "cv2")
    code = (
        "import sys, prefiqs_jax.cli; print('jax' in sys.modules);"
        "import prefiqs_jax; prefiqs_jax.masks; prefiqs_jax.sensitivity;"
        f"print([m for m in {heavy!r} if m in sys.modules]);"
        "import prefiqs_jax.backbones, prefiqs_jax.images.align;"
        "print('cv2' in sys.modules)"
    )
    assert fresh("-c", code).split() == ["False", "[]", "False"]


def test_help():
    text = fresh("-m", "prefiqs_jax.cli", "--help")
    for command in ("sweep", "report", "score", "convert", "backbones", "masks"):
        assert command in text


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_main_path_on_a_real_network(shared, tmp_path, capsys):
    """Convert, sweep without naming the backbone, report, score; half-grey images."""
    source = shared(SFACE)
    faces = tmp_path / "faces"
    faces.mkdir()
    names = ["Tony_Blair_0002", "Tony_Blair_0003", "Colin_Powell_0001"]
    for name in names:
        picture = Image.open(shared(f"faces/lfw100/{name}.png"))
        person = faces / name.rpartition("_")[0]
        person.mkdir(exist_ok=True)
        picture.convert("L" if name == names[0] else "RGB").save(person / f"{name}.png")
    converted = str(tmp_path / "sface.safetensors")
    assert main(["convert", str(source), converted, "--backbone", "sface"]) == 0
    common = ["--weights", converted, "--images", str(faces)]
    run = str(tmp_path / "run")
    sweep = ["sweep", *common, "--sparsities", "0.1,0.4", "--out", run]
    capsys.readouterr()
    assert main(sweep) == 0
    captured = capsys.readouterr()
    assert captured.err.count("grey to RGB") == 1
    assert main(["report", run, "--quiet"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "report.html"
    scores = tmp_path / "scores.csv"
    assert main(["score", *common, "--out", str(scores), "--quiet"]) == 0
    from prefiqs_jax import results

    rows = results.read(run)
    drift = rows[rows.sparsity == 0.4].drift.tolist()
    lines = scores.read_text().splitlines()[1:]
    scored = [float(line.split(",")[2]) for line in lines]
    assert np.abs(np.subtract(scored, drift)).max() < 2e-6
    assert set(rows.identity) == {"Tony_Blair", "Colin_Powell"}
    provenance = results.read_manifest(run)["weights"]
    assert provenance["source_file"] == source.name
    assert provenance["source_sha256"].startswith("fb143eea")
    assert main([*sweep, "--backbone", "arcface_iresnet18"]) == 2
    assert "holds sface, not arcface_iresnet18" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--people", "1"], "give 2 to 1000"),
        (["--severities", "0.5,1.2"], "severity 1.2 is outside [0, 1]"),
        (["--severities", "-0.1"], "severity -0.1 is outside [0, 1]"),
        (["--severities", "nan"], "severity nan is outside [0, 1]"),
        (["--severities", "bad"], "severity 'bad' is not a number in [0, 1]"),
    ],
)
def test_demo_says_what_is_allowed(words, told, tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not out.exists()


def test_demo_leaves_a_folder_of_another_kind_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not empty and holds no demo" in line
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
