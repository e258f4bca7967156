"""Open the benchmarks that a command names, each under a name of its own."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Literal

from prefiqs_jax.benchmarks import Benchmark, read_benchmark, with_degraded
from prefiqs_jax.errors import InputError


def open_benchmarks(
    named: Sequence[tuple[str | None, str | os.PathLike[str]]],
    *,
    kind: str | None = None,
    images: str | os.PathLike[str] | None = None,
    identity_level: int | None = None,
    degraded: int = 0,
    seed: int = 0,
    on_bad_image: Literal["fail", "skip"] = "fail",
) -> list[Benchmark]:
    """Read benchmarks given by name (None = its own) and path, as ``read_benchmark``.

    ``degraded`` copies of every image are added. Raises InputError if one cannot be
    read, or two have one name.
    """
    found: dict[str, Benchmark] = {}
    for name, path in named:
        benchmark = read_benchmark(
            path, kind, images, identity_level, on_bad_image=on_bad_image
        )
        if name:
            benchmark = dataclasses.replace(benchmark, name=name)
        if degraded:
            benchmark = with_degraded(benchmark, copies=degraded, seed=seed)
        if benchmark.name in found:
            message = (
                f"two benchmarks are called {benchmark.name}; name one: --benchmark "
                "NAME=PATH"
            )
            raise InputError(message)
        found[benchmark.name] = benchmark
    return list(found.values())


def as_folder(name: str) -> str:
    """Turn a name into one for a folder, without signs that a path gives a meaning.

    >>> as_folder("prefiqs/0.4 (mine)")
    'prefiqs_0.4_mine_'
    """
    return re.sub(r"[^\w.=+-]+", "_", name)
