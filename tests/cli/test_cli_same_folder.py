"""A second command into the same folder: what it may say otherwise, and what not.

Every option of ``prefiqs sweep`` and ``prefiqs edc`` is in one of these lists, so that
a new one cannot be forgotten. A refused command leaves the folder as it was.
"""

import argparse
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prefiqs_jax import results
from prefiqs_jax.backbones.load import convert_weights, load_backbone
from prefiqs_jax.cli import main
from prefiqs_jax.cli.main import parser
from prefiqs_jax.weights import store

SWEEP = {"--backbone": "demo", "--sparsities": "0.2,0.4", "--batch-size": "2"}
# Option, another value, and what the refusal names; None = the run goes on.
SWEEP_CHANGES = {
    "--backbone": ("other network", "was made with backbone demo, not"),
    "--weights": ("{scaled}", "other weights: weights_sha256"),
    "--dense": ("", "leave --dense out"),
    "--pixels": ("BGR,127.5,127.5", "was made with pixels"),
    "--images": ("{moved}", "other images: images_sha256"),
    "--identity-level": ("0", "identities_sha256"),
    "--degraded": ("1", "image_count 8, not 16"),
    "--mask": ("layerwise/magnitude", "mask global/magnitude, not layerwise/magnitude"),
    "--prunable": ("layer1", "prunable weights with two or more axes, not layer1"),
    # Of a mask that needs no data; of others: tests/cli/test_cli_own.py.
    "--calibration": ("{moved}", None),
    "--earlier": ("{scaled}", None),
    # Without sparsities: tests/cli/test_cli_own.py.
    "--delta": (
        "int8",
        "--delta is another change than a mask, so --sparsities has no",
    ),
    "--seed": ("7", "seed 0, not 7"),
    "--sparsities": ("0.2,0.3", "sparsities [0.2, 0.4], not [0.2, 0.3]"),
    "--batch-size": ("3", "batch_size 2, not 3"),
    "--precision": ("fast", "precision highest, not fast"),
    "--on-bad-image": ("skip", None),
    "--memory-limit": ("3GB", None),
    "--devices": ("1", None),
    "--tune": ("never", None),
    "--quiet": ("", None),
    "--with": ("taylor2", "other measurements on request: with null, not"),
}
# Who takes part decides nothing that is measured: tests/sweep/test_distributed.py.
SWEEP_ELSEWHERE = {
    "--help",
    "--out",
    "--distributed",
    "--coordinator",
    "--process-count",
    "--process-index",
}

EDC = {
    "--backbone": "demo",
    "--benchmark": "{faces}",
    "--methods": "norm,prefiqs,random",
    "--sparsities": "0.4",
    "--fmr": "0.1",
    "--replicates": "10",
    "--batch-size": "8",
}
EDC_CHANGES = {
    "--backbone": ("other network", "made with backbone demo"),
    "--weights": ("{scaled}", "other weights: weights_sha256"),
    "--dense": ("", "leave --dense out"),
    "--pixels": ("BGR,127.5,127.5", "was made with pixels"),
    "--benchmark": ("{moved_as_faces}", "other images: images_sha256"),
    "--identity-level": ("0", "does not say who is in its images"),
    "--degraded": ("1", "image_count 8, not 16"),
    "--methods": ("norm,random", "was made with scores"),
    "--mask": ("layerwise/magnitude", "mask global/magnitude, not layerwise/magnitude"),
    "--prunable": ("layer1", "prunable weights with two or more axes, not layer1"),
    "--calibration": ("{moved}", None),  # of a mask that needs no data
    "--earlier": ("{scaled}", None),
    "--seed": ("7", 'random {"seed": 0}, not {"seed": 7}'),
    "--sparsities": ("0.3", "was made with scores"),
    "--flip": ("", "was made with embeddings|was made with flip"),
    "--precision": ("high", "precision highest, not high"),
    "--batch-size": ("4", "batch_size 8, not 4"),
    # What is asked of the same measurement is answered anew.
    "--fmr": ("0.2", None),
    "--protocol": ("fiqat", None),
    "--max-discard": ("0.2", None),
    "--reference": ("random", None),
    "--replicates": ("0", None),
    "--template-quality": ("mean", None),
    "--scores": ("theirs={scores}", None),
    "--verifier": ("sface={none}", "none.onnx"),
    "--verify-pruned": ("", None),  # into a folder of its own
    "--on-bad-image": ("skip", None),
    "--kind": ("folder", None),
    "--quiet": ("", None),
}
EDC_ELSEWHERE = {
    "--help",
    "--out",
    "--images",  # of a benchmark that is a list of pairs
    "--direction",  # of --scores
    "--column",
    "--each-scores",  # with --verifier
}


def options_of(command):
    every = parser()
    (commands,) = (
        action
        for action in every._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    found = commands.choices[command]._actions
    return {name for action in found for name in action.option_strings} - {"-h"}


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("sweep", {*SWEEP_CHANGES} | SWEEP_ELSEWHERE),
        ("edc", {*EDC_CHANGES} | EDC_ELSEWHERE),
    ],
)
def test_every_option_is_listed(command, known):
    assert options_of(command) == known


def write_faces(folder, seed=0):
    rng = np.random.default_rng(seed)
    for person in range(4):
        look = rng.integers(0, 256, (112, 112, 3))
        for shot in range(2):
            noisy = np.clip(look + rng.normal(0, 30, look.shape), 0, 255)
            path = folder / f"person{person}" / f"{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Give the files that the words name, and a finished run and evaluation."""
    root = tmp_path_factory.mktemp("same_folder")
    write_faces(root / "faces")
    shutil.copytree(root / "faces", root / "moved" / "faces")
    os.rename(root / "moved/faces/person0/0.png", root / "moved/faces/person0/9.png")
    demo = load_backbone("demo")
    convert_weights_of_demo(demo, root / "scaled.safetensors")
    names = sorted(p.relative_to(root).as_posix() for p in root.glob("faces/*/*.png"))
    lines = [f"{name} {0.1 * place}" for place, name in enumerate(names)]
    (root / "scores.txt").write_text("\n".join(lines) + "\n")
    found = {
        "faces": root / "faces",
        "moved": root / "moved" / "faces",
        "moved_as_faces": root / "moved" / "faces",
        "scaled": root / "scaled.safetensors",
        "scores": root / "scores.txt",
        "none": root / "none.onnx",
        "run": root / "run",
        "out": root / "out",
    }
    assert main(words("sweep", found, "run", {})) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])
        assert main(words("edc", found, "out", {})) == 0
    return found


def convert_weights_of_demo(demo, path):
    """Write the demo's weights, one of them scaled, as another file."""
    import importlib.resources

    asset = importlib.resources.files("prefiqs_jax") / "assets" / "demo.safetensors"
    with importlib.resources.as_file(asset) as source:
        convert_weights(source, path, "demo")
    from safetensors import safe_open
    from safetensors.numpy import load_file

    tensors = load_file(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    name = next(name for name in sorted(tensors) if name.endswith("kernel"))
    tensors[name] = tensors[name] * np.float32(1.5)
    store.save(path, tensors, metadata)
    assert load_backbone("demo", path).name == demo.name


def words(command, places, out, change):
    given = {**(SWEEP if command == "sweep" else EDC), **change}
    if command == "sweep":
        given = {"--images": "{faces}", **given}
    flat = [command, "--out", str(places[out])]
    for option, value in given.items():
        flat += [option, value.format(**places)] if value else [option]
    return [*flat, *(["--quiet"] if "--quiet" not in given else [])]


def state(folder):
    return sorted(
        (path.relative_to(folder).as_posix(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    )


def cases(changes):
    # Another network needs weights of its own: tests/sweep/test_run_identity.py.
    return [
        pytest.param(option, value, told, id=option)
        for option, (value, told) in changes.items()
        if option != "--backbone"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("option", "value", "told"), cases(SWEEP_CHANGES))
def test_sweep_again(places, capsys, option, value, told):
    before, rows = state(places["run"]), results.read(places["run"])
    capsys.readouterr()
    status = main(words("sweep", places, "run", {option: value}))
    error = capsys.readouterr().err.strip()
    assert state(places["run"]) == before
    if told is None:
        assert status == 0
        pd.testing.assert_frame_equal(results.read(places["run"]), rows)
    else:
        assert status == 2
        (line,) = error.splitlines()
        assert told in line


@pytest.mark.slow
@pytest.mark.parametrize(("option", "value", "told"), cases(EDC_CHANGES))
def test_edc_again(places, tmp_path, capsys, monkeypatch, option, value, told):
    monkeypatch.setattr("prefiqs_jax.evaluation.page.draw_figures", lambda *_: [])
    # A copy, with the times of all files, so that each case starts from the same.
    places = places | {"out": shutil.copytree(places["out"], tmp_path / "out")}
    measured = places["out"] / "measured"
    before, everything = state(measured), state(places["out"])
    capsys.readouterr()
    status = main(words("edc", places, "out", {option: value}))
    error = capsys.readouterr().err.strip()
    assert state(measured) == before
    if told is None:
        assert status == 0
    else:
        assert status == 2
        assert state(places["out"]) == everything
        (line,) = error.splitlines()
        assert any(each in line for each in told.split("|"))
