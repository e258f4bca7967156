"""Map the tensors of a file to an architecture's parameters, strictly both ways."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed, shown

Transform = Callable[[np.ndarray], np.ndarray]
Ignorable = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Entry:
    """Where one tensor of the file goes.

    Parameters
    ----------
    target
        Name of the parameter, such as ``"params/conv1/kernel"``.
    shape
        Shape in the file.
    transform
        From the file's layout to the parameter's (see `transforms`); None = as it is.
    """

    target: str
    shape: tuple[int, ...]
    transform: Transform | None = None


class MappingError(InputError):
    """Tensors and architecture differ: names by every kind of problem in `KINDS`."""

    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]
    duplicated: list[str]
    unfilled: list[str]
    non_finite: list[str]
    negative: list[str]

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        parts = []
        for kind, words in KINDS.items():
            names = list(problems.get(kind, ()))
            setattr(self, kind, names)
            if names:
                # Only the first part needs the noun: "2 tensors missing, 1 unexpected".
                noun = "" if parts else " tensor" if len(names) == 1 else " tensors"
                parts.append(f"{len(names)}{noun} {words} ({listed(names)})")
        super().__init__(", ".join(parts) + self._cure())

    @property
    def is_of_another_network(self) -> bool:
        """Whether the file, rather than a number in it, is not what is needed."""
        return bool(self.missing or self.unexpected or self.misshapen)

    def _cure(self) -> str:
        if self.is_of_another_network:
            return ""  # whoever knows all networks tells it
        if self.non_finite or self.negative:
            return (
                "; get the file again, or take a checkpoint from before training broke"
            )
        return "; this is a bug of the architecture's table, please report it"


KINDS = {
    "missing": "missing",
    "unexpected": "unexpected",
    "misshapen": "misshapen",
    "duplicated": "sent to one target twice",
    "unfilled": "never filled or of another shape than the target",
    "non_finite": "with NaN or infinite values",
    "negative": "with negative variances",
}


def convert(
    tensors: Mapping[str, np.ndarray],
    entries: Mapping[str, Entry],
    ignorable: Ignorable = (),
    targets: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Map every tensor of a file to its target, or report all that does not fit.

    Parameters
    ----------
    tensors
        Arrays by the architecture's own names (see `strip_prefix`).
    entries
        Every tensor that the architecture needs, by the same names.
    ignorable
        Pairs of a regular expression and the reason why tensors whose whole name it
        matches are ignored, unless they have an entry.
    targets
        Shapes of the parameters to be filled; if given, each must be filled, and only
        these. None = what the entries say.

    Returns
    -------
    filled
        Arrays by target name, none of which shares memory with `tensors`.
    ignored
        Names of the tensors that were not used, and why.

    Raises
    ------
    MappingError
        A tensor is missing, unexpected, misshapen (or not of floats) or not finite, or
        a target is filled twice or not at all. One error has all of them.

    Examples
    --------
    >>> import numpy as np
    >>> entries = {"fc.bias": Entry("fc/bias", (2,))}
    >>> filled, ignored = convert({"fc.bias": np.zeros(2)}, entries)
    >>> filled
    {'fc/bias': array([0., 0.])}
    """
    problems, ignored = _compare(tensors, entries, ignorable)
    filled: dict[str, np.ndarray] = {}
    problems |= {"duplicated": [], "unfilled": [], "non_finite": [], "negative": []}
    for name, entry in entries.items():
        tensor = tensors.get(name)
        if tensor is None or not _fits(tensor, entry):
            continue
        if not np.isfinite(tensor).all():
            problems["non_finite"].append(name)
        elif entry.target.endswith("/var") and (tensor < 0).any():
            problems["negative"].append(name)
        if entry.target in filled:
            problems["duplicated"].append(f"{name} to {entry.target}")
        array = entry.transform(tensor) if entry.transform else tensor
        # One bias that is a view of a file would keep the whole file in memory.
        shared = np.may_share_memory(array, tensor)
        filled[entry.target] = array.copy() if shared else array
    if targets is not None:
        problems["unfilled"] = _unfilled(filled, entries, targets)
    if any(problems.values()):
        raise MappingError(problems)
    return filled, ignored


def fit(
    tensors: Mapping[str, np.ndarray],
    entries: Mapping[str, Entry],
    ignorable: Ignorable = (),
) -> int:
    """Return by how many tensors a file and an architecture differ; 0 = it fits.

    Looks at names and shapes only, so it is quick enough to try every architecture.
    """
    problems, _ = _compare(tensors, entries, ignorable)
    return sum(map(len, problems.values()))


def _compare(
    tensors: Mapping[str, np.ndarray],
    entries: Mapping[str, Entry],
    ignorable: Ignorable,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    patterns = [(re.compile(pattern), why) for pattern, why in ignorable]
    unexpected, ignored = [], {}
    for name in tensors.keys() - entries.keys():
        why = next((why for rx, why in patterns if rx.fullmatch(name)), None)
        if why is None:
            unexpected.append(name)
        else:
            ignored[name] = why
    misshapen = [
        f"{shown(name)}: {_kind(tensors[name])} instead of {entry.shape}"
        for name, entry in entries.items()
        if name in tensors and not _fits(tensors[name], entry)
    ]
    missing = [name for name in entries if name not in tensors]
    problems = {
        "missing": missing,
        "unexpected": sorted(unexpected),
        "misshapen": misshapen,
    }
    return problems, dict(sorted(ignored.items()))


def _fits(tensor: np.ndarray, entry: Entry) -> bool:
    return tensor.shape == entry.shape and tensor.dtype.kind == "f"


def _kind(tensor: np.ndarray) -> str:
    floats = tensor.dtype.kind == "f"
    return f"{tensor.shape}" if floats else f"{tensor.dtype} {tensor.shape}"


def _unfilled(
    filled: Mapping[str, np.ndarray],
    entries: Mapping[str, Entry],
    targets: Mapping[str, tuple[int, ...]],
) -> list[str]:
    """Return the targets that the table, rather than the file, leaves wrong."""
    promised = {entry.target for entry in entries.values()}
    wrong = {
        target
        for target, array in filled.items()
        if array.shape != tuple(targets.get(target, array.shape))
    }
    return sorted(wrong | (promised ^ targets.keys()))
