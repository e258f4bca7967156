"""Images as people give them on the command line, and names that only half fit."""

import numpy as np
import pytest
from cli.own_network import write_faces, write_network
from PIL import Image

from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import as_folder


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.jpg"):
        pixels = rng.integers(0, 255, (112, 112, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def scored(text):
    return [line.split(",")[0] for line in text.splitlines()[1:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["{faces}/a.png"], ["a.png"]),
        (["{faces}/c.jpg", "{faces}/a.png"], ["c.jpg", "a.png"]),
        (["{faces}/*.png"], ["a.png", "b.png"]),
        (["{faces}"], ["a.png", "b.png", "c.jpg"]),
        (["{faces}*"], ["a.png", "b.png", "c.jpg"]),
    ],
)
def test_scores_of_what_is_given(given, names, tmp_path, capsys):
    faces = tmp_path / "faces"
    write_faces(faces, ["a.png", "b.png", "c.jpg"])
    words = ["score", "--backbone", write_network(tmp_path), "--quiet", "--images"]
    words += [each.format(faces=faces) for each in given]
    assert main([*words, "--out", str(tmp_path / "s.csv")]) == 0
    assert scored((tmp_path / "s.csv").read_text()) == names
    capsys.readouterr()
    assert main([*words, "--out", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (tmp_path / "s.csv").read_text()
    assert captured.err.splitlines()[-1] == f"{len(names)} scores (higher = better)"
    assert not (tmp_path / "-").exists()


def test_a_pattern_that_fits_nothing(tmp_path):
    (tmp_path / "link.png").symlink_to("none")
    for pattern in ("*.jpg", "link.png"):
        with pytest.raises(InputError, match="there is no folder"):
            as_folder(tmp_path / pattern)
    (tmp_path / "x[1].png").write_bytes(b"")
    assert as_folder(tmp_path / "x[1].png").names == ("x[1].png",)


def test_several_images_are_aligned(faces, tmp_path):
    from prefiqs_jax.images.align.table import LANDMARK_COLUMNS

    points = "38,51,73,51,56,71,41,92,70,92"
    lines = [",".join(["file", *LANDMARK_COLUMNS])]
    lines += [f"{name},{points}" for name in ("a.png", "b.png")]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    images = [str(faces / "a.png"), str(faces / "b.png")]
    out = tmp_path / "out"
    words = ["--landmarks", str(tmp_path / "l.csv"), "--quiet"]
    assert main(["align", *images, str(out), *words]) == 0
    assert {path.name for path in out.glob("*.png")} == {"a.png", "b.png"}


def test_names_of_networks_that_half_fit(capsys):
    assert main(["backbones"]) == 0
    every = capsys.readouterr().out.splitlines()
    assert max(map(len, every)) <= 100
    assert main(["backbones", "AdaFace"]) == 0
    some = capsys.readouterr().out.splitlines()
    assert set(some) < set(every)
    names = {line.split()[0] for line in some if line[0] != " "}
    assert names == {line.split()[0] for line in every if line.startswith("adaface")}
    assert main(["backbones", "adaface_ir18"]) == 0
    assert "parameters" in capsys.readouterr().out
    assert main(["backbones", "nonesuch"]) == 2
    assert "unknown backbone 'nonesuch'" in capsys.readouterr().err
