"""What the tests of several commands share."""

import io

import pytest
from PIL import Image


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the rendering of figures out: most of the time, and tested elsewhere."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 3)).save(stream, "png")
    drawn = stream.getvalue(), b"pdf"
    monkeypatch.setattr("prefiqs_jax.plots.saving.render", lambda _: drawn)
