"""``--weights hub``: from a hub on this machine to a network, by Python and command."""

import functools
import hashlib
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from loopback_hub import COMMIT, serving

from prefiqs_jax.backbones import load, load_backbone, official
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.backbones.zoo import ARCHITECTURES
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import encode_png
from prefiqs_jax.weights import store
from prefiqs_jax.weights.hub import HubFile, fetch


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve weights of the small network as its official ones, trained on BGR."""
    found = ARCHITECTURES["demo"]
    rng = np.random.default_rng(0)
    entries = found.entries(found.blueprint.shapes)
    state = {
        key: np.abs(rng.normal(0.1, 0.05, entry.shape)).astype(np.float32)
        for key, entry in entries.items()
    }
    path = tmp_path / "model.safetensors"
    store.save(path, {f"model.net.{key}": a for key, a in state.items()}, {})
    foreign = path.read_bytes().replace(b"prefiqs-jax 1", b"another_one 1")
    digest = hashlib.sha256(foreign).hexdigest()
    place = HubFile("lab/net", path.name, "main", digest, "MIT", channels="BGR")
    monkeypatch.setitem(official.OFFICIAL, "demo", place)
    with serving(place, foreign) as server:
        there = functools.partial(
            fetch, endpoint=server.address, cache=tmp_path / "cache"
        )
        monkeypatch.setattr(load, "fetch", there)
        yield server


def test_the_official_file_is_fetched_once(hub):
    backbone = load_backbone("demo", "hub")
    record = provenance_record(backbone)
    assert record["hub"] == "lab/net/model.safetensors at main"
    assert record["sha256"] == hashlib.sha256(hub.content).hexdigest()
    json.dumps(record)
    # This copy takes another order of channels than the authors' checkpoints.
    assert backbone.preprocessing.channels == "BGR"
    assert jax.tree.leaves(backbone.params)
    load_backbone("demo", "hub")
    assert [command for command, _ in hub.requests] == ["HEAD", "GET", "HEAD"]


def test_any_file_of_the_hub_by_its_address(hub, tmp_path, capsys):
    address = "hf://lab/net/model.safetensors@main"
    backbone = load_backbone(None, address)
    assert backbone.name == "demo"
    assert backbone.provenance.hub == f"lab/net/model.safetensors at {COMMIT}"
    # The address says nothing of channels.
    assert backbone.preprocessing.channels == "RGB"
    own = tmp_path / "own.safetensors"
    assert main(["convert", address, str(own)]) == 0
    assert "prefix model.net." in capsys.readouterr().err
    assert load_backbone(None, own).provenance.source_file == "model.safetensors"
    network = tmp_path / "mine.py"
    network.write_text(
        "from prefiqs_jax import load_backbone\n"
        "def build(weights): return load_backbone('demo', weights)\n"
    )
    mine = load_backbone(f"{network}:build", address)
    assert jax.tree.structure(mine.params) == jax.tree.structure(backbone.params)


@pytest.mark.slow
def test_the_hub_and_the_cache_are_those_of_the_environment(hub, tmp_path):
    """As a user behind a mirror sets them, before anything is imported."""
    program = (
        "from prefiqs_jax import load_backbone\n"
        "from prefiqs_jax.backbones import official\n"
        "from prefiqs_jax.weights.hub import HubFile\n"
        f"official.OFFICIAL['demo'] = {hub.place!r}\n"
        "print(load_backbone('demo', 'hub').provenance.sha256)\n"
    )
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == hub.place.sha256
    assert list((tmp_path / "home").rglob("model.safetensors"))


def test_pixels_have_the_last_word(hub):
    assert load_backbone("demo", "hub", pixels="RGB,0,1").preprocessing.std == 1


@pytest.mark.slow
def test_command(hub, tmp_path, capsys):
    faces = tmp_path / "faces"
    faces.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (112, 112, 3), np.uint8)
    (faces / "a.png").write_bytes(encode_png(pixels))
    words = ["score", "--backbone", "demo", "--weights", "hub", "--quiet"]
    words += ["--images", str(faces), "--out", str(tmp_path / "scores.csv")]
    assert main(words) == 0
    assert "a.png" in (tmp_path / "scores.csv").read_text()
    assert main(["backbones", "demo"]) == 0
    printed = capsys.readouterr().out
    assert "lab/net/model.safetensors at main" in printed
    assert "BGR, unlike other checkpoints" in printed


def test_another_file_than_the_official_one(hub, tmp_path, capsys):
    hub.content = hub.content[:-1] + b"!"
    words = ["score", "--backbone", "demo", "--weights", "hub", "--images", "."]
    assert main([*words, "--out", str(tmp_path / "scores.csv")]) == 2
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("arcface_iresnet18", "OneDrive"),
        ("adaface_ir152", "none published"),
        ("onnx", "the hub has: arcface_iresnet50, "),
        (None, "an unnamed backbone"),
        ("arcface_iresnet17", "did you mean"),
    ],
)
def test_what_the_hub_has_not(name, words):
    with pytest.raises(InputError, match=words) as error:
        load_backbone(name, "hub")
    assert len(str(error.value).splitlines()) == 1
