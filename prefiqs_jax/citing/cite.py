"""BibTeX of all that a run used."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefiqs_jax.citing.bibtex import bibtex
from prefiqs_jax.citing.used import used_by
from prefiqs_jax.terminal import show


def cite(
    run: str | os.PathLike[str] | Mapping[str, Any], *, quiet: bool = False
) -> str:
    """Write the BibTeX of the methods that a run used, and print it.

    The paper, the networks, the mask's score and allocation, the statistics, and of an
    evaluation the qualities, the protocol and the benchmarks: as the docstrings of what
    was used refer to them, so authors are surnames.

    Parameters
    ----------
    run
        Folder of ``prefiqs sweep``, ``compare-masks``, ``edc`` or ``demo``; or the
        settings of a run, as in ``run.json``.
    quiet
        Print nothing.

    Returns
    -------
    str
        Entries, each work once; a comment says what they are for. What has no
        reference, such as a network of your own, is named in a comment.

    Raises
    ------
    InputError
        If it is no such folder or settings.

    Examples
    --------
    >>> text = cite({"backbone": "sface", "mask": "global/magnitude"}, quiet=True)
    >>> [line for line in text.splitlines() if line.startswith("@article{zhong")]
    ['@article{zhong2021sface,']
    """
    known: set[str] = set()
    lines: list[str] = []
    without: list[str] = []
    for what, references in used_by(run if isinstance(run, Mapping) else Path(run)):
        if not references:
            without.append(what)
            continue
        new = [one for one in references if one.key not in known]
        known |= {one.key for one in new}
        keys = ", ".join(one.key for one in references)
        lines += [f"% {what}: {keys}", *map(bibtex, new), ""]
    if without:
        lines.append(f"% without a reference here: {', '.join(dict.fromkeys(without))}")
    text = "\n".join(lines).rstrip()
    if not quiet:
        show(*text.splitlines())
    return text + "\n"
