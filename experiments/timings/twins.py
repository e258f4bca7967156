"""The networks in PyTorch, with the same weights: the twins that the tests compare."""

import importlib
import sys
from typing import Any

import numpy as np
from common import HERE, Network, on_gpu
from numpy.typing import NDArray

from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.networks.sface import FINAL_SIZE, SEPARABLE
from prefiqs_jax.weights.mapping import Entry

TESTS = HERE.parents[1] / "tests"
LAYOUTS = ("contiguous", "channels_last")


def torch_module(name: str) -> Any:
    """Build the PyTorch twin of a network, in evaluation mode."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    twins = importlib.import_module("backbones.twins.zoo")
    if name in twins.FULL_SIZE:
        return twins.full_size(name).eval()
    if name == "sface":
        from sface_twin import SFace

        return SFace().eval()
    message = (
        f"no PyTorch twin of {name}; there are {', '.join([*twins.FULL_SIZE, 'sface'])}"
    )
    raise SystemExit(message)


def torch_twin(network: Network) -> Any:
    """Give the twin the weights of a network, and place it where JAX computes."""
    import torch

    shapes = network.architecture.blueprint.shapes
    entries = network.architecture.entries(shapes)
    if network.name == "sface":  # its twin is named as ours, not as the ONNX file
        flattened = {
            "params/pre_fc1/kernel": (SEPARABLE[-1][0], FINAL_SIZE, FINAL_SIZE)
        }
        entries = pytorch_entries(shapes, flattened)
    module = torch_module(network.name)
    state = torch_state(network.tensors, entries)
    missing, unexpected = module.load_state_dict(
        {key: torch.from_numpy(value) for key, value in state.items()}, strict=False
    )
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        message = f"{network.name}: PyTorch lacks {missing}, does not know {unexpected}"
        raise SystemExit(message)
    return module.requires_grad_(False).to("cuda" if on_gpu() else "cpu")


def torch_images(images: NDArray) -> Any:
    """Give PyTorch a batch (n, h, w, 3) as (n, 3, h, w), where JAX computes."""
    import torch

    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).to("cuda" if on_gpu() else "cpu")


def memory_format(layout: str) -> Any:
    """Find PyTorch's name for one of :data:`LAYOUTS`."""
    import torch

    formats = {
        "contiguous": torch.contiguous_format,
        "channels_last": torch.channels_last,
    }
    return formats[layout]


def full_float32() -> None:
    """Turn TF32 off in PyTorch, as it is in what it is compared with."""
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def torch_state(
    tensors: dict[str, NDArray], entries: dict[str, Entry]
) -> dict[str, NDArray]:
    """Name and lay out our tensors as PyTorch has them: the conversion, undone.

    A conversion moves elements and changes none, so that of the positions 0, 1, 2, …
    tells where each element goes.
    """
    state = {}
    for key, entry in entries.items():
        ours = tensors[entry.target]
        shape = entry.shape
        places = np.arange(ours.size, dtype=np.float64).reshape(shape)
        moved = places if entry.transform is None else entry.transform(places)
        theirs = np.empty(ours.size, ours.dtype)
        theirs[np.asarray(moved, np.int64).reshape(-1)] = ours.reshape(-1)
        state[key] = theirs.reshape(shape)
    return state


def forward_flops(network: Network) -> int:
    """Count the operations of one image in convolutions and matrix products.

    By the shapes alone, with PyTorch's counter on a network without storage: two for
    a multiplication and an addition.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    height, width, channels = network.image_shape
    module = torch_module(network.name).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, channels, height, width, device="meta"))
    return counter.get_total_flops()
