"""Provenance of a run: versions, device, command."""

import datetime
import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from typing import Any

import jax

from prefiqs_jax.version import __version__

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pyarrow", "pillow")


def session_record(
    command: list[str] | None, precision: str, devices: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Describe this process for run.json; all its devices by default."""
    devices = devices or jax.local_devices()
    return {
        "started": now(),
        "command": command,
        "device": f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform})",
        "precision": f"float32, matrix products {precision}",
        "versions": {
            "prefiqs-jax": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "platform": f"{platform.system()} {platform.machine()}, {sys.platform}",
    }


def now() -> str:
    """Return the time, UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
