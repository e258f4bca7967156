"""Fetching from a hub on this machine that speaks as the real one does."""

import contextlib
import errno
import hashlib
import time
from collections.abc import Iterator

import huggingface_hub
import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, Answer, Hub, serving

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.hub import HubFile, fetch, place_named

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PLACE = HubFile("someone/faces", "nets/r18.onnx", "main", DIGEST, "MIT")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(PLACE, CONTENT) as server:
        yield server


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


def test_any_other_file_with_the_users_own_token(hub, tmp_path):
    place = place_named("hf://someone/faces/nets/r18.onnx")
    path = fetch(place, endpoint=hub.address, cache=tmp_path, progress=False)
    assert path.read_bytes() == CONTENT
    assert set(hub.tokens) == {"Bearer hf_a_token_that_nobody_must_see"}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("hf://a/b/c.pth", ("a/b", "c.pth", "main")),
        ("hf://a/b.c/d/e f.pth@v1", ("a/b.c", "d/e f.pth", "v1")),
        ("hf://a/b/c.pth@refs/pr/1", ("a/b", "c.pth", "refs/pr/1")),
        ("hf://a/b@v1/c.pth", ("a/b", "c.pth", "v1")),
    ],
)
def test_addresses(address, place):
    found = place_named(address)
    assert (found.repository, found.file, found.revision) == place


@pytest.mark.parametrize("address", ["hf://", "hf://a/b", "hf://a/b/", "hf://a/b/c@"])
def test_what_is_no_address(address):
    with pytest.raises(InputError, match="OWNER/REPOSITORY/FILE"):
        place_named(address)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("RepoNotFound", "your token"),
        ("GatedRepo", "HF_TOKEN"),
        ("EntryNotFound", "address"),
    ],
)
def test_refusals_of_other_files(hub, tmp_path, code, words):
    hub.refusal = (404 if code == "EntryNotFound" else 401, code)
    message = refused(place_named("hf://someone/faces/nets/r18.onnx"), hub, tmp_path)
    assert words in message
    assert "maintainers" not in message


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
