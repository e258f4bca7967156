"""Independent pieces of NumPy work on several cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> list[Result]:
    """Call a function with each item; NumPy lets go of the interpreter meanwhile.

    What it does must not depend on the order; the results have the order of the items.
    By default there are as many threads as cores to use.

    >>> in_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    count = usable_cores() if threads is None else threads
    if count == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, items))


def usable_cores() -> int:
    """Count the cores that this process may use."""
    # Not on every system; ``os.process_cpu_count`` is, but only from Python 3.13 on.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
