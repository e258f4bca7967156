"""How much memory a program takes, and how much there is."""

import re
from pathlib import Path
from typing import Any

import jax
import psutil

from prefiqs_jax.errors import InputError

UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def peak_bytes(compiled: Any) -> int:
    """Read the peak from a compiled program: arguments, results and temporaries."""
    analysis = compiled.memory_analysis()
    return int(
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether a device, or its compiler, ran out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error)


def default_memory_limit() -> int:
    """Find out how much memory a sweep may take, in bytes.

    On an accelerator 80 % of what its allocator may use; on a CPU half of what is
    available, within the container's limit.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    if jax.default_backend() != "cpu" and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"])
    available = psutil.virtual_memory().available
    limit_file = Path("/sys/fs/cgroup/memory.max")
    if limit_file.is_file():
        text = limit_file.read_text().strip()
        if text.isdigit():
            available = min(available, int(text) - psutil.Process().memory_info().rss)
    return max(1, available // 2)


def parse_bytes(text: str) -> int:
    """Read an amount of memory; InputError unless it is positive, in a known unit.

    >>> parse_bytes("8GB"), parse_bytes("1.5 GiB"), parse_bytes("4096")
    (8000000000, 1610612736, 4096)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if not found or found[2] not in UNITS or float(found[1]) == 0:
        message = f"memory limit {text!r} is not an amount such as 8GB or 500MiB"
        raise InputError(message)
    return int(float(found[1]) * UNITS[found[2]])
