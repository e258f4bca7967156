"""Ctrl-C ends a command wherever it comes."""

import os
import signal
import sys
import threading
from types import TracebackType
from typing import Any

_AGAIN_S = 0.1


class Interrupts:
    """While this is open, Ctrl-C becomes a KeyboardInterrupt, and stays one.

    Raised within an import or a callback of JAX it may turn into another error, and
    within a callback of the interpreter (a finaliser, say) it is swallowed.
    """

    def __enter__(self) -> None:
        """Listen, unless Ctrl-C is ignored (nohup), or someone else listens."""
        self._seen = False
        self._again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        self._hook = sys.unraisablehook
        main = threading.current_thread() is threading.main_thread()
        plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._listens = main and plain
        if self._listens:
            signal.signal(signal.SIGINT, self._interrupt)
            sys.unraisablehook = self._unraisable

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise KeyboardInterrupt again from what it turned into."""
        self._again.cancel()
        if self._listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = self._hook
        if self._seen and error is not None and kind is not KeyboardInterrupt:
            raise KeyboardInterrupt from error

    def _interrupt(self, *_: Any) -> None:
        self._seen = True
        raise KeyboardInterrupt

    def _unraisable(self, found: Any) -> None:
        if found.exc_type is not KeyboardInterrupt:
            self._hook(found)
            return
        # Not at once: this is called where it was swallowed.
        self._again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        self._again.start()
