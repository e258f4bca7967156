"""Strides, dilations and padding of what slides over an image."""

from typing import NamedTuple

import jax

from prefiqs_jax.backbones.onnx_graph.call import Call


class Window(NamedTuple):
    """How a kernel slides over the spatial axes: numbers, and pads (before, after)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """Pixels from the first to behind the last that the kernel touches."""
        pairs = zip(self.kernel, self.dilations, strict=True)
        return tuple((size - 1) * step + 1 for size, step in pairs)


def window(call: Call, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
    """Read how a kernel slides over an image of some size.

    InputError if the attributes contradict each other, or the kernel has nowhere to
    stand.
    """
    rank = len(sizes)
    strides = tuple(call.attribute("strides") or (1,) * rank)
    dilations = tuple(call.attribute("dilations") or (1,) * rank)
    fits = {len(strides), len(dilations), len(kernel)} == {rank}
    fits = fits and min((*strides, *dilations, *kernel, 1)) == 1
    call.require(fits, "has a window that does not fit")
    found = Window(kernel, strides, dilations, ())
    pads = _pads(call, sizes, found)
    for size, extent, (before, after) in zip(sizes, found.extents, pads, strict=True):
        # A pad as large as the image is no network's, but would take its memory.
        small = max(before, after) <= max(size, extent)
        call.require(small, "pads more than its image")
        fits = before + size + after >= extent
        call.require(fits, "has a kernel larger than its image")
    return found._replace(pads=pads)


def with_ceil(call: Call, sizes: tuple[int, ...], found: Window) -> Window:
    """Pad at the end for the last, incomplete window of ``ceil_mode``."""
    if not call.attribute("ceil_mode"):
        return found
    pads = []
    for size, extent, stride, (before, after) in zip(
        sizes, found.extents, found.strides, found.pads, strict=True
    ):
        count = -(-(before + size + after - extent) // stride) + 1
        # The last window must start inside the image or the padding before it.
        if (count - 1) * stride >= size + before:
            count -= 1
        pads.append((before, (count - 1) * stride + extent - size - before))
    return found._replace(pads=tuple(pads))


def _pads(
    call: Call, sizes: tuple[int, ...], found: Window
) -> tuple[tuple[int, int], ...]:
    rank = len(sizes)
    match call.attribute("auto_pad"):
        case "NOTSET" | "":
            numbers = tuple(call.attribute("pads") or (0,) * (2 * rank))
            fits = len(numbers) == 2 * rank and min(numbers) >= 0
            call.require(fits, "has pads that do not fit")
            return tuple(zip(numbers[:rank], numbers[rank:], strict=True))
        case "VALID":
            return ((0, 0),) * rank
        case "SAME_UPPER" | "SAME_LOWER" as mode:
            same = mode.removesuffix("_UPPER")
            extents, strides = found.extents, found.strides
            return tuple(jax.lax.padtype_to_pads(sizes, extents, strides, same))
        case other:
            why = f"has the auto_pad {other}; export it again"
            raise call.node.refusal(why)
