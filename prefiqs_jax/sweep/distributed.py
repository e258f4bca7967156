"""Several processes, on one machine or many, that share the batches of a run out.

JAX's own service finds out who takes part (on SLURM, Open MPI, Kubernetes and Cloud
TPU, or as the options say). The processes agree once, at the start, on the settings, on
what is done already and on the size of a batch; from then on none waits for another. So
a lost process takes only its own share with it, and the same command run again does
what is missing. Until they have agreed, what stops one stops all.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import socket
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of the work is this process's.

    Attributes
    ----------
    index
        Number of this process, from 0.
    count
        Number of processes.
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

    JAX ends a process that nobody else joins, with a message of its own, when the time
    is over.

    Parameters
    ----------
    coordinator
        ``HOST:PORT`` of process 0; None = found out from the cluster.
    process_count, process_index
        Numbers of this launch; None = found out from the cluster.
    timeout
        Seconds to wait for the others.

    Raises
    ------
    InputError
        If no cluster is found and no coordinator given, or some but not all of the
        three are given, or one is out of range, the port is in use, or the processes
        have different numbers of devices.
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
    each = collections.Counter(device.process_index for device in jax.devices())
    if len(set(each.values())) > 1:
        fewest, most = min(each.values()), max(each.values())
        jax.distributed.shutdown()
        message = (
            f"some processes have {fewest} devices, others {most}; start all with the "
            "same number of devices"
        )
        raise InputError(message)
    # At once, while all are here: the first exchange sets connections up and waits for
    # 30 seconds only, later ones for as long as it takes.
    _from_all(0)


@contextlib.contextmanager
def abort_all_on_error() -> Iterator[None]:
    """Tell the other processes of an InputError, which :func:`agree` raises there.

    Between :func:`join` and :func:`agree`, so that none waits for one that is gone.
    """
    try:
        yield
    except InputError:
        _from_all(1)
        jax.distributed.shutdown()
        raise


def agree(
    settings: Mapping[str, Any],
    *,
    batch_size: int,
    batch_bound: int,
    done: Collection[int],
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

    Returns
    -------
    Agreed
        The same in every process, but for the share.

    Raises
    ------
    InputError
        If another process had to stop, or the settings differ somewhere.
    """
    share = Share(jax.process_index(), jax.process_count())
    stopped = np.flatnonzero(_from_all(0))
    if stopped.size:
        jax.distributed.shutdown()
        message = f"process {stopped[0]} had to stop; see its message"
        raise InputError(message)
    text = json.dumps([settings, batch_bound], sort_keys=True).encode()
    digests = _from_all(list(hashlib.sha256(text).digest()))
    others = np.flatnonzero((digests != digests[0]).any(axis=1))
    if others.size:
        jax.distributed.shutdown()
        message = (
            f"process {others[0]} was started with other settings, weights or images "
            "than process 0; give all the same command"
        )
        raise InputError(message)
    flags = np.zeros(batch_bound, np.uint8)
    flags[sorted(done)] = 1
    size, flags = _from_first((np.int32(batch_size), flags))
    # From here on nothing is said: whoever is lost is lost alone.
    jax.distributed.shutdown()
    return Agreed(share, int(size), frozenset(np.flatnonzero(flags).tolist()))


def _from_all(value: ArrayLike) -> NDArray[np.int32]:
    """Gather what each process has, in their order; the same shape from each."""
    with _lost_processes_told():
        gathered = multihost_utils.process_allgather(np.array(value, np.int32))
        return np.asarray(gathered)


def _from_first(values: Any) -> Any:
    with _lost_processes_told():
        return multihost_utils.broadcast_one_to_all(values)


@contextlib.contextmanager
def _lost_processes_told() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        message = (
            "a process was lost before all had agreed on what to do; start all of "
            f"them again ({_line(error)})"
        )
        raise InputError(message) from error


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
    if not (host and colon and port.isdecimal() and 0 < int(port) < 1 << 16):
        message = f"--coordinator {coordinator!r} is no HOST:PORT such as 10.0.0.1:1234"
        raise InputError(message)
    if not 0 <= process_index < process_count:
        message = (
            f"--process-index {process_index} is outside 0 to {process_count - 1}, the "
            f"indices of --process-count {process_count}"
        )
        raise InputError(message)
    if process_index == 0:
        _check_free(int(port))


def _check_free(port: int) -> None:
    """Refuse a port that another program has; JAX's service would crash there."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        message = f"port {port} of --coordinator cannot be had: {error.strerror}"
        raise InputError(message) from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
