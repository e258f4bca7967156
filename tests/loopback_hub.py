"""A Hugging Face hub with one file, on this machine, that answers as the real one."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prefiqs_jax.weights.hub import HubFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """A hub with one file, and a fault if a test asks for one."""

    daemon_threads = True

    def __init__(self, place: HubFile, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[str] = []
        self.place = place
        self.content = content
        self.refusal: tuple[int, str] | None = None
        self.cuts = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.reply(body=False)

    def do_GET(self) -> None:
        self.reply(body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, *, body: bool) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        hub.requests.append((self.command, self.path))
        hub.tokens += filter(None, [self.headers.get("Authorization")])
        known = f"/{hub.place.repository}/resolve"
        paths = [f"{known}/{name}/{hub.place.file}" for name in ("main", COMMIT)]
        refusal = hub.refusal
        if refusal is None and self.path not in paths:
            refusal = (404, "EntryNotFound")
        if refusal is not None:
            self.send_response(refusal[0])
            self.send_header("X-Error-Code", refusal[1])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = hub.content
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if not body:
            return
        if hub.cuts:
            hub.cuts -= 1
            # A short first piece, then none: the package gives up without progress.
            self.wfile.write(content[start : start + 1000] if not start else b"")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(content[start:])


@contextmanager
def serving(place: HubFile, content: bytes) -> Iterator[Hub]:
    """Serve one file under its place until the end of the block."""
    server = Hub(place, content)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
