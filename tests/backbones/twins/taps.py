"""What every layer gives: hooks on a PyTorch module, and the same for a Flax one."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from unittest.mock import patch

import jax
import torch
from backbones.twins.mobilefacenet import Layers
from flax import nnx
from numpy.typing import NDArray
from torch import Tensor

CONTAINERS = (
    torch.nn.Sequential,
    torch.nn.ModuleList,
    torch.nn.Dropout,
    torch.nn.Flatten,
    torch.nn.MaxPool2d,
)


def twin_taps(module: torch.nn.Module, images: Tensor) -> dict[str, NDArray]:
    """Run a twin and give the output of every module that computes, by its path.

    A residual chain of MobileFaceNet is reported without its shortcut, which the port
    adds one level up. ``""`` is the whole network.
    """
    taps: dict[str, NDArray] = {}
    with contextlib.ExitStack() as hooks:
        for path, part in module.named_modules():
            if isinstance(part, CONTAINERS):
                continue
            residual = isinstance(part, Layers) and part.residual
            watched = part.layers if residual else part
            assert isinstance(watched, torch.nn.Module)
            handle = watched.register_forward_hook(_keeper(taps, path))
            hooks.callback(handle.remove)
        with torch.no_grad():
            module(images)
    return taps


def _keeper(taps: dict[str, NDArray], path: str) -> Callable[..., None]:
    def keep(_module: torch.nn.Module, _inputs: object, output: Tensor) -> None:
        taps[path] = output.numpy()

    return keep


def port_taps(run: Callable[[], object]) -> dict[str, jax.Array]:
    """Call a port and give the output of every module that is called, by its path.

    Parameters
    ----------
    run
        Calls the network once: the first module called is the whole. May be traced.
    """
    taps: dict[str, jax.Array] = {}
    paths: dict[int, str] = {}

    def recorded(call: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        @functools.wraps(call)
        def wrapper(self: nnx.Module, *inputs: jax.Array) -> jax.Array:
            if not paths:
                for path, part in nnx.iter_modules(self):
                    paths[id(part)] = ".".join(map(str, path))
            output = call(self, *inputs)
            taps[paths[id(self)]] = output
            return output

        return wrapper

    with contextlib.ExitStack() as patches:
        for owner in set(_defining_call(nnx.Module)):
            call = vars(owner)["__call__"]
            patches.enter_context(patch.object(owner, "__call__", recorded(call)))
        run()
    return taps


def _defining_call(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        if "__call__" in vars(child):
            yield child
        yield from _defining_call(child)


def in_layout_of(twin: NDArray, port: jax.Array) -> NDArray:
    """Bring an output from channels first to channels last and the port's shape."""
    channels_last = twin.transpose(0, 2, 3, 1) if twin.ndim == 4 else twin
    return channels_last.reshape(port.shape)
