"""Peak rates of accelerators, to say which fraction of one a sweep reaches.

Dense rates (no structured sparsity) of NVIDIA's data sheets: H200 and H100 (SXM, PCIe),
A100. At ``highest`` the float32 units work, at ``high`` the tensor cores in TF32, at
``fast`` in bfloat16.
"""

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
    return {} if peak is None else {"peak_fraction": flops_per_s / peak}
