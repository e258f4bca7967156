"""Sweeps of ``child_sweep.py``, each in a process forked from one that imported it all.

Run as a script, it reads a line of JSON for each thing to do, and answers with one: it
forks a process that sweeps, or says whether one has ended. JAX starts its threads and
devices in the processes that sweep, not in this one.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Forked:
    """One of those processes."""

    def __init__(self, parent: "Parent", pid: int, told: Path):
        self._parent, self.pid, self._told = parent, pid, told
        self._status: int | None = None

    def poll(self) -> int | None:
        """Give the exit status, or None while it goes on."""
        if self._status is None:
            self._status = self._parent.ask(poll=self.pid)
        return self._status

    def wait(self, timeout: float = 120) -> tuple[int, str]:
        """Give its exit status and what it wrote to standard error."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < deadline, self._told.read_text()
            time.sleep(0.02)
        return status, self._told.read_text()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Parent:
    """The process that has imported everything."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, **words: Any) -> Any:
        """Write a line to it, and give its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def start(
        self, sweep: dict[str, Any], environment: dict[str, str], told: Path
    ) -> Forked:
        """Start ``child_sweep.main``; standard error goes to a file."""
        told.touch()
        pid = self.ask(sweep=sweep, environment=environment, told=str(told))
        return Forked(self, pid, told)

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def _fork(sweep: dict[str, Any], environment: dict[str, str], told: str) -> int:
    if pid := os.fork():
        return pid
    os.environ.update(environment)
    file = os.open(told, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    import child_sweep

    sys.exit(child_sweep.main(**sweep))


def _poll(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    # For the processes that are forked.
    import child_sweep  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        answer = _poll(asked["poll"]) if "poll" in asked else _fork(**asked)
        print(json.dumps(answer), flush=True)
