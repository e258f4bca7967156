"""Installed packages add networks, qualities and mask scores by entry points."""

import sys

import numpy as np
import pytest
from toy import toy_backbone

from prefiqs_jax import load_backbone
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import mask_named, mask_names
from prefiqs_jax.quality import make_scorers, method_names, score_images
from prefiqs_jax.quality.methods import find_method

CODE = """
import numpy as np
from prefiqs_jax.masks import ScoreEntry
from prefiqs_jax.quality import Method
from prefiqs_jax.quality.scorer import scorer


def brightness(passes, draws):
    return scorer(["brightness"], lambda x, _: {"brightness": x.mean((1, 2, 3))})


METHOD = Method("brightness", "mean of the pixels", "0", "", brightness)
SCORE = ScoreEntry("inverse", "largest values go first", lambda _: inverse)


def inverse(name, weights):
    return -np.abs(weights)


def architecture():
    import dataclasses
    from prefiqs_jax.backbones import ARCHITECTURES

    return dataclasses.replace(ARCHITECTURES["demo"], name="labnet", description="ours")


NETWORK = architecture()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Lay a package with three entry points out as pip does."""
    (tmp_path / "lab_tools.py").write_text(CODE)
    info = tmp_path / "lab_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-tools\n")
    (info / "entry_points.txt").write_text(
        "[prefiqs_jax.qualities]\nbrightness = lab_tools:METHOD\n"
        "broken = lab_tools:NOTHING\nwrong = lab_tools:SCORE\n"
        "[prefiqs_jax.masks]\ninverse = lab_tools:SCORE\n"
        "[prefiqs_jax.backbones]\nlabnet = lab_tools:NETWORK\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("lab_tools", None)


def test_a_quality(installed):
    network = toy_backbone()
    assert "brightness" in method_names()
    made = make_scorers(network, ["brightness", "norm"], batch_size=2)
    rng = np.random.default_rng(0)
    images = network.preprocess(rng.integers(0, 256, (2, 8, 8, 3), np.uint8))
    images = np.asarray(images)
    found = score_images(made, ["a.png", "b.png"], images)
    assert found["brightness"].tolist() == images.mean((1, 2, 3)).tolist()


def test_a_mask_score(installed):
    assert "layerwise/inverse" in mask_names()
    mask = mask_named("layerwise/inverse")(
        {"w": np.array([[3.0, 1.0], [4.0, 1.0]])}, 0.5
    )
    assert mask["w"].tolist() == [[False, True], [False, True]]


def test_a_network(installed, capsys):
    with pytest.raises(InputError, match="demo, not labnet"):  # of the demo's weights
        load_backbone("labnet")
    assert main(["backbones"]) == 0
    assert "labnet" in capsys.readouterr().out
    assert main(["backbones", "labnet"]) == 0
    assert "ours" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"did you mean labnet.*--backbone onnx with"):
        load_backbone("labnett")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", r"broken of lab-tools \(lab_tools:NOTHING\) cannot be imported"),
        ("wrong", r"wrong of lab-tools .* is a ScoreEntry; .* must be a Method"),
        ("brightnes", "did you mean brightness"),
    ],
)
def test_bad_ones(installed, name, told):
    with pytest.raises(InputError, match=told):
        find_method(name)
