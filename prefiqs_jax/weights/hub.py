"""Fetch a weight file from the Hugging Face Hub once, and know that it is the one."""

import dataclasses
import errno
import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

from prefiqs_jax.errors import InputError
from prefiqs_jax.terminal import bar_class
from prefiqs_jax.weights.source import file_sha256
from prefiqs_jax.weights.wording import one_line, shown

_OWN_FILE = "or give a file of your own with --weights FILE"
ADDRESS = "hf://"
# The revision stands behind the file, or behind the repository as other programs do.
_ADDRESS = re.compile(
    ADDRESS + r"([\w.-]+/[\w.-]+)(?:@([^/@]+))?/([^@]+?)(?:@([^@]+))?"
)


@dataclasses.dataclass(frozen=True)
class HubFile:
    """Where a network's weights are on the Hugging Face Hub.

    Attributes
    ----------
    repository, file
        ``owner/name`` of the model repository; path inside it, with forward slashes.
    revision, sha256
        Commit, or a branch such as ``main``; digest that a public source states, empty
        where none does.
    licence
        Of these weights.
    channels
        ``"RGB"`` or ``"BGR"`` where these weights expect another order than the ones
        that the authors of the architecture published; None where they do not.
    """

    repository: str
    file: str
    revision: str
    sha256: str = ""
    licence: str = "not known"
    channels: str | None = None

    def __str__(self) -> str:
        """Name it on one line."""
        return f"{shown(self.repository)}/{shown(self.file)} at {shown(self.revision)}"


def place_named(address: str) -> HubFile:
    """Read the address of any file on the hub; without revision it is ``main``.

    >>> str(place_named("hf://someone/faces/nets/r50.pth@v1"))
    'someone/faces/nets/r50.pth at v1'
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        message = f"{address}: give hf://OWNER/REPOSITORY/FILE, or …/FILE@REVISION"
        raise InputError(message)
    repository, early, file, late = found.groups()
    return HubFile(repository, file, late or early or "main")


def fetch(
    place: HubFile,
    *,
    progress: bool = True,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Get a weight file from the hub, or from the local cache of earlier fetches.

    For a file whose digest is known no token is sent, whatever the user's machine has
    stored; for any other, the user's own is (``HF_TOKEN``, or of ``hf auth login``). A
    file at a commit that is in the cache needs no network. It must not be changed
    there; a digest that is known is checked every time.

    Parameters
    ----------
    place
        What to get.
    progress
        Show a bar while loading.
    endpoint
        Address of the hub; by default what the environment variable ``HF_ENDPOINT``
        says, otherwise https://huggingface.co.
    cache
        Folder of the cache; by default that of the ``huggingface_hub`` package
        (``HF_HOME``, otherwise ``~/.cache/huggingface``), shared with its other users.

    Raises
    ------
    InputError
        No network, offline and not in the cache, no such repository, revision or file,
        a repository with restricted access, a download that breaks off, a disk that is
        full, or another digest. One line with the cure.
    """
    # It costs a fifth of a second, which a network from a file should not.
    from huggingface_hub import hf_hub_download

    class Bar(bar_class()):  # the package's own switch would be for the whole process
        def __init__(self, *args: Any, **settings: Any) -> None:
            settings["disable"] = settings.get("disable") or not progress
            settings.pop("name", None)
            super().__init__(*args, **settings)

    try:
        with warnings.catch_warnings():
            # A disk that is too small is told below, when it is full, on one line.
            warnings.filterwarnings("ignore", message="Not enough free disk space")
            found = hf_hub_download(
                place.repository,
                place.file,
                revision=place.revision,
                endpoint=endpoint,
                cache_dir=cache,
                token=False if place.sha256 else None,
                tqdm_class=Bar,
            )
    # The Rust part of the package raises RuntimeError.
    except (*_transport_errors(), OSError, RuntimeError) as error:
        _explain(place, error)
    path = Path(found)
    if place.sha256:
        _check_digest(place, path)
    return path


def _check_digest(place: HubFile, path: Path) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        _explain(place, error)
    if found != place.sha256:
        message = (
            f"{place} has SHA-256 {found}, but {place.sha256} was expected; delete "
            f"{path} and try again, {_OWN_FILE}"
        )
        raise InputError(message)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Give the base error of the HTTP library, which the package changes at times."""
    from huggingface_hub import errors

    bases = errors.HfHubHTTPError.__bases__
    return tuple(base for base in bases if issubclass(base, Exception))


def _explain(place: HubFile, error: Exception) -> NoReturn:
    """Say in a line what went wrong and what to do."""
    from huggingface_hub import errors

    kinds = (
        # The hub does not tell a private repository from one that does not exist.
        (
            errors.RepositoryNotFoundError,
            "public repository" if place.sha256 else "repository for your token",
        ),
        (errors.RevisionNotFoundError, "revision"),
        (errors.EntryNotFoundError, "file"),
    )
    if isinstance(error, errors.LocalEntryNotFoundError):
        told = _not_reached(error.__cause__)
    elif isinstance(error, errors.GatedRepoError):
        told = (
            "access is restricted; accept the terms on its page, and get the file by "
            "hand, then give it with --weights FILE"
        )
        if not place.sha256:
            told += ", or log in (hf auth login, HF_TOKEN)"
    elif absent := [what for kind, what in kinds if isinstance(error, kind)]:
        cure = "tell the maintainers" if place.sha256 else "check the address"
        told = f"there is no such {absent[0]}; {cure}, {_OWN_FILE}"
    elif isinstance(error, errors.HfHubHTTPError):
        told = f"the hub answers {_status(error)}; try again later, {_OWN_FILE}"
    elif _is_full(error):
        told = "the disk of the cache is full; make space or set HF_HOME to another one"
    elif isinstance(error, OSError) and error.strerror and error.filename:
        told = (
            f"{error.filename}: {error.strerror}; set HF_HOME to a folder that can "
            "be written"
        )
    else:
        told = f"the download broke off ({one_line(error)}); try again, {_OWN_FILE}"
    message = f"{place}: {told}"
    raise InputError(message) from error


def _not_reached(cause: BaseException | None) -> str:
    from huggingface_hub import errors

    if isinstance(cause, errors.OfflineModeIsEnabled):
        return (
            "not in the cache, and HF_HUB_OFFLINE forbids to fetch it; fetch it once "
            f"with a network, {_OWN_FILE}"
        )
    if isinstance(cause, errors.HfHubHTTPError):
        return f"the hub answers {_status(cause)}; try again later, {_OWN_FILE}"
    why = f" ({one_line(cause)})" if cause is not None else ""
    return (
        f"not in the cache, and the hub cannot be reached{why}; check the network and "
        f"HF_ENDPOINT, {_OWN_FILE}"
    )


def _status(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str(getattr(response, "status_code", "with an error"))


def _is_full(error: Exception) -> bool:
    full = (errno.ENOSPC, errno.EDQUOT)
    # The Rust part of the package gives the system's words only.
    return getattr(error, "errno", None) in full or "No space left" in str(error)
