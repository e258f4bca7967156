"""OpenCV is there, is not, or is half there."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry.opencv import opencv


@pytest.mark.parametrize("found", [None, types.ModuleType("cv2")])
def test_one_line_without_it(found, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "cv2", found)
    with pytest.raises(InputError, match="opencv-python-headless"):
        opencv()
    Image.fromarray(np.zeros((112, 112, 3), np.uint8)).save(tmp_path / "a.png")
    words = f"score --backbone demo --images {tmp_path} --out {tmp_path}/s.csv --quiet"
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "images need OpenCV" in line
