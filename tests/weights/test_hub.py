"""Fetching from a hub on this machine that speaks as the real one does."""

import contextlib
import errno
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.hub import HubFile, fetch

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PLACE = HubFile("someone/faces", "nets/r18.onnx", "main", DIGEST, "MIT")


class Hub(ThreadingHTTPServer):
    """A hub with one file, and a fault if a test asks for one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[str] = []
        self.content = CONTENT
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
        known = f"/{PLACE.repository}/resolve"
        paths = [f"{known}/{name}/{PLACE.file}" for name in ("main", COMMIT)]
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


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.01)))
    monkeypatch.setenv("HF_TOKEN", "hf_a_token_that_nobody_must_see")


def refused(place, hub, cache) -> str:
    with pytest.raises(InputError) as caught:
        fetch(place, endpoint=hub.address, cache=cache, progress=False)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert place.repository in message
    assert place.file in message
    return message


def test_fetch_and_cache(hub, tmp_path):
    path = fetch(PLACE, endpoint=hub.address, cache=tmp_path, progress=False)
    assert path.read_bytes() == CONTENT
    assert path.suffix == ".onnx"
    assert [command for command, _ in hub.requests] == ["HEAD", "GET"]
    again = fetch(PLACE, endpoint=hub.address, cache=tmp_path, progress=False)
    assert again == path
    assert [command for command, _ in hub.requests] == ["HEAD", "GET", "HEAD"]
    assert hub.tokens == []


def test_a_cached_commit_needs_no_network(hub, tmp_path):
    place = HubFile(PLACE.repository, PLACE.file, COMMIT, DIGEST, "MIT")
    path = fetch(place, endpoint=hub.address, cache=tmp_path, progress=False)
    asked = len(hub.requests)
    assert fetch(place, endpoint="http://127.0.0.1:9", cache=tmp_path) == path
    assert len(hub.requests) == asked


def test_progress(hub, tmp_path, capsys):
    fetch(PLACE, endpoint=hub.address, cache=tmp_path / "a", progress=True)
    assert "r18.onnx" in capsys.readouterr().err
    fetch(PLACE, endpoint=hub.address, cache=tmp_path / "b", progress=False)
    assert capsys.readouterr().err == ""


def test_an_unknown_digest_is_not_checked(hub, tmp_path):
    place = HubFile(PLACE.repository, PLACE.file, "main", None, "MIT")
    path = fetch(place, endpoint=hub.address, cache=tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_another_digest_names_both(hub, tmp_path):
    hub.content = CONTENT[:-1] + b"!"
    message = refused(PLACE, hub, tmp_path)
    assert DIGEST in message
    assert hashlib.sha256(hub.content).hexdigest() in message
    # The cure that the message names works.
    path = message.split("delete ")[1].split(" and try")[0]
    hub.content = CONTENT
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / path).unlink()
    assert fetch(PLACE, endpoint=hub.address, cache=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "no such public repository"),
        (401, "RepoNotFound", "no such public repository"),
        (404, "RevisionNotFound", "no such revision"),
        (404, "EntryNotFound", "no such file"),
        (401, "GatedRepo", "access is restricted"),
        (403, "GatedRepo", "access is restricted"),
        (500, "", "answers 500"),
        (418, "", "answers 418"),
    ],
)
def test_refusals(hub, tmp_path, status, code, words):
    hub.refusal = (status, code)
    message = refused(PLACE, hub, tmp_path)
    assert words in message
    assert "--weights FILE" in message


def test_no_network(hub, tmp_path):
    hub.shutdown()
    hub.server_close()
    message = refused(PLACE, hub, tmp_path)
    assert "cannot be reached" in message
    assert "network" in message


def test_an_address_that_is_no_hub(hub, tmp_path, monkeypatch):
    plain = Answer.send_header

    def silent(self, keyword, value):
        if keyword != "X-Repo-Commit":
            plain(self, keyword, value)

    monkeypatch.setattr(Answer, "send_header", silent)
    assert "HF_ENDPOINT" in refused(PLACE, hub, tmp_path)


def test_offline(hub, tmp_path, monkeypatch):
    path = fetch(PLACE, endpoint=hub.address, cache=tmp_path / "full", progress=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert fetch(PLACE, endpoint=hub.address, cache=tmp_path / "full") == path
    assert "HF_HUB_OFFLINE" in refused(PLACE, hub, tmp_path / "empty")
    assert len(hub.requests) == asked


def test_a_cut_connection_goes_on(hub, tmp_path):
    hub.cuts = 2
    path = fetch(PLACE, endpoint=hub.address, cache=tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_a_connection_that_is_always_cut(hub, tmp_path):
    hub.cuts = 1000
    assert "broke off" in refused(PLACE, hub, tmp_path)
    assert hub.cuts < 1000
    hub.cuts = 0
    path = fetch(PLACE, endpoint=hub.address, cache=tmp_path, progress=False)
    assert path.read_bytes() == CONTENT  # no half of a file is left


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk of the cache is full"),
        (RuntimeError("File error: No space left on device"), "is full"),
        (RuntimeError("two\nlines"), "broke off"),
        (PermissionError(errno.EACCES, "Permission denied", "/c"), "/c: Permission"),
    ],
)
def test_faults_of_the_disk(hub, tmp_path, monkeypatch, error, words):
    def fail(*args, **settings):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    assert words in refused(PLACE, hub, tmp_path)


def test_a_cache_that_cannot_be_made(hub, tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = refused(PLACE, hub, tmp_path / "file")
    assert str(tmp_path / "file") in message


@pytest.mark.parametrize(
    "place",
    [
        HubFile("someone/faces", "../r18.onnx", "main", None, ""),
        HubFile("someone/faces", "a/../../r18.onnx", "main", None, ""),
        HubFile("someone/faces", "/etc/r18.onnx", "main", None, ""),
        HubFile("someone/faces", "a\\r18.onnx", "main", None, ""),
        HubFile("someone/faces", "r18.onnx?download=true", "main", None, ""),
        HubFile("someone/faces", "", "main", None, ""),
        HubFile("faces", "r18.onnx", "main", None, ""),
        HubFile("../faces", "r18.onnx", "main", None, ""),
        HubFile("someone/faces", "wrapper.py", "main", None, ""),
        HubFile("someone/faces", "model.pkl", "main", None, ""),
        HubFile("someone/faces", "r18.onnx", "main", "ABC", ""),
    ],
)
def test_odd_names_are_refused_before_anything_is_asked(hub, tmp_path, place):
    with pytest.raises(InputError) as caught:
        fetch(place, endpoint=hub.address, cache=tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert hub.requests == []
