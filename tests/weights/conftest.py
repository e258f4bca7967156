"""A state dict with the names of an iResNet, small enough to write by hand."""

import numpy as np
import pytest


def names() -> list[str]:
    norm = ["weight", "bias", "running_mean", "running_var"]
    block = [f"bn{i}.{n}" for i in (1, 2, 3) for n in norm]
    block += ["conv1.weight", "prelu.weight", "conv2.weight"]
    block += ["downsample.0.weight", *(f"downsample.1.{n}" for n in norm)]
    tail = [f"bn2.{n}" for n in norm] + ["fc.weight", "fc.bias"]
    return [
        "conv1.weight",
        *(f"bn1.{n}" for n in norm),
        "bn1.num_batches_tracked",
        "prelu.weight",
        *(f"layer1.0.{n}" for n in block),
        *tail,
        *(f"features.{n}" for n in norm),
        "features.num_batches_tracked",
    ]


@pytest.fixture
def iresnet() -> dict[str, np.ndarray]:
    """Give float32 arrays that differ from each other, under iResNet's names."""
    state = {}
    for index, name in enumerate(names()):
        shape = (2, 3, 3, 3) if "conv" in name else (2,)
        state[name] = np.full(shape, index, np.float32)
        if name.endswith("tracked"):
            state[name] = np.array(index, np.int64)
    return state
