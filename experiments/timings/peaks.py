"""Peak rates of devices, to say which fraction of one a sweep reaches.

Of a CPU it is measured: what the faster of two libraries reaches in one large product.
Dense rates (no structured sparsity) of NVIDIA's data sheets: H200 and H100 (SXM, PCIe),
A100. At ``highest`` the float32 units work, at ``high`` the tensor cores in TF32, at
``fast`` in bfloat16.
"""

import time
from collections.abc import Callable
from typing import Any

_SIDE, _TRIES = 4096, 6
_HOPPER = {"highest": 67e12, "high": 494.5e12, "fast": 989.5e12}
_AMPERE = {"highest": 19.5e12, "high": 156e12, "fast": 312e12}
PEAKS: dict[str, dict[str, float]] = {
    "NVIDIA H200": _HOPPER,
    "NVIDIA H100 80GB HBM3": _HOPPER,
    "NVIDIA H100 PCIe": {"highest": 51e12, "high": 378e12, "fast": 756.5e12},
    "NVIDIA A100-SXM4-40GB": _AMPERE,
    "NVIDIA A100-SXM4-80GB": _AMPERE,
    "NVIDIA A100 80GB PCIe": _AMPERE,
}
"""Device kind, as JAX names it, to FLOP/s by precision."""


def sweep_flops(forward: int, sparsities: int) -> int:
    """Count one image's operations in a sweep: 3 S + 1 forward passes."""
    return (3 * sparsities + 1) * forward


def peak_fraction(flops_per_s: float, kind: str, precision: str) -> dict[str, float]:
    """Relate a rate to the device's peak; empty where the peak is not known."""
    peak = PEAKS.get(kind, {}).get(precision)
    return {} if peak is None else _related(flops_per_s, peak)


def measured_peak_fraction(flops_per_s: float) -> dict[str, float]:
    """Relate a rate to that of the CPU's fastest large product, measured now."""
    return _related(flops_per_s, max(_jax_rate(), _torch_rate()))


def _related(flops_per_s: float, peak: float) -> dict[str, float]:
    return {"peak_flops_per_s": peak, "peak_fraction": flops_per_s / peak}


def _jax_rate() -> float:
    import jax
    import jax.numpy as jnp

    square = jnp.ones((_SIDE, _SIDE), jnp.float32)
    product = jax.jit(lambda one, other: one @ other)
    return _rate(lambda: product(square, square).block_until_ready())


def _torch_rate() -> float:
    import torch

    square = torch.ones((_SIDE, _SIDE))
    return _rate(lambda: square @ square)


def _rate(product: Callable[[], Any]) -> float:
    """Time a product of two squares, the first of which only warms up."""
    found = []
    for _ in range(1 + _TRIES):
        start = time.perf_counter()
        product()
        found.append(time.perf_counter() - start)
    return 2 * _SIDE**3 / min(found[1:])
