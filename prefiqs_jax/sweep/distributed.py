"""Several processes, on one machine or many, that share the batches of a run out.

JAX's own service finds out who takes part (on SLURM, Open MPI, Kubernetes and Cloud
TPU, or as the options say). The processes agree once, at the start, on the settings, on
what is done already and on the size of a batch; from then on none waits for another. So
a lost process takes only its own share with it, and the same command run again does
what is missing.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of the work is this process's.

    Attributes
    ----------
    index
        Of this process, from 0.
    count
        Of all processes.
    """

    index: int = 0
    count: int = 1

    def of(self, batches: list[int]) -> list[int]:
        """Choose this process's batches from what is to be done."""
        return batches[self.index :: self.count]


@dataclasses.dataclass(frozen=True)
class Agreed:
    """What all processes of a launch know after they met."""

    share: Share
    batch_size: int
    done: frozenset[int]
    """Batches that had their part when the processes met."""


def join(
    coordinator: str | None = None,
    process_count: int | None = None,
    process_index: int | None = None,
    *,
    timeout: int = 300,
) -> None:
    """Take part in a launch; before anything else asks JAX for a device.

    Parameters
    ----------
    coordinator
        ``HOST:PORT`` of process 0; None = found out from the cluster.
    process_count, process_index
        Of this launch; None = found out from the cluster.
    timeout
        Seconds to wait for the others.

    Raises
    ------
    InputError
        If no cluster is found and no coordinator given, or some but not all of the
        three are given, or one is out of range.
    """
    given = (coordinator, process_count, process_index)
    if any(value is not None for value in given):
        _check(coordinator, process_count, process_index)
    try:
        jax.distributed.initialize(
            coordinator, process_count, process_index, initialization_timeout=timeout
        )
    except ValueError as error:
        message = (
            "--distributed finds no cluster here (SLURM, Open MPI, Kubernetes, Cloud "
            f"TPU): {_line(error)}; give --coordinator HOST:PORT, --process-count and "
            "--process-index"
        )
        raise InputError(message) from error
    except (jax.errors.JaxRuntimeError, RuntimeError) as error:
        message = (
            f"the processes did not meet at {coordinator or 'the coordinator'}: "
            f"{_line(error)}"
        )
        raise InputError(message) from error


def agree(
    settings: Mapping[str, Any],
    *,
    batch_size: int,
    batch_bound: int,
    done: Collection[int],
    problem: str | None = None,
) -> Agreed:
    """Meet all processes once, take process 0's word, and part.

    Parameters
    ----------
    settings
        That decide the rows; must be the same everywhere.
    batch_size, done
        As process 0 has them; those of the others are not looked at.
    batch_bound
        Larger than the index of any batch, the same everywhere.
    problem
        Why this process cannot go on. If process 0 cannot, all stop.

    Returns
    -------
    Agreed
        The same in every process, but for the share.

    Raises
    ------
    InputError
        If the settings differ from those of process 0, or it failed.
    """
    share = Share(jax.process_index(), jax.process_count())
    flags = np.zeros(batch_bound, np.uint8)
    flags[sorted(done)] = 1
    head = np.array([batch_size, batch_bound, problem is not None], np.int32)
    text = json.dumps(settings, sort_keys=True).encode()
    digest = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)
    size, bound, stopped = _from_first(head)
    first_digest = _from_first(digest)
    same = bound == batch_bound and bool((first_digest == digest).all())
    all_same = multihost_utils.process_allgather(np.array([same]))
    if stopped or not np.asarray(all_same).all():
        jax.distributed.shutdown()
        message = problem or "process 0 stopped; see its message"
        if not stopped:
            message = (
                f"process {share.index} of {share.count}: the processes were started "
                "with different settings, networks or images; give all the same command"
            )
        raise InputError(message)
    found = np.flatnonzero(_from_first(flags))
    # From here on nothing is said: whoever is lost is lost alone.
    jax.distributed.shutdown()
    return Agreed(share, int(size), frozenset(found.tolist()))


def _from_first(values: NDArray) -> NDArray:
    return np.asarray(multihost_utils.broadcast_one_to_all(values))


def _check(
    coordinator: str | None, process_count: int | None, process_index: int | None
) -> None:
    if coordinator is None or process_count is None or process_index is None:
        message = (
            "give all of --coordinator HOST:PORT, --process-count and --process-index, "
            "or none of them where the cluster tells"
        )
        raise InputError(message)
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 1 << 16):
        message = f"--coordinator {coordinator!r} is no HOST:PORT such as 10.0.0.1:1234"
        raise InputError(message)
    if not 0 <= process_index < process_count:
        message = (
            f"--process-index {process_index} is outside 0 to {process_count - 1}, the "
            f"indices of --process-count {process_count}"
        )
        raise InputError(message)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
