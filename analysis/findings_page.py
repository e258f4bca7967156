"""The page of findings: a section for each script, in Markdown."""

from collections.abc import Sequence
from pathlib import Path

from prefiqs_jax.files import write_text

_HEAD = """# Findings

Every section is written by the script of its name in `analysis/`, from runs such as
`experiments/make_runs.py` makes. Intervals are 95 %, jackknives over people, and hold
together for all lines of one statistic of a run (max-t; of medians Woodruff's, with
Bonferroni's adjustment) unless a section says otherwise. Correlations are within one
sparsity.
"""


def renew(page: Path, new: str) -> None:
    """Put a section in its place on a page, which is begun if it is not there."""
    before = page.read_text("utf-8") if page.exists() else _HEAD
    write_text(page, with_section(before, new))


def section(title: str, name: str, said: Sequence[str], folder: str) -> str:
    """Write a section, with the figure and the table of that name in a folder."""
    path = f"{folder}/{name}"
    links = f"![{title}]({path}.png)\n\n[Every number]({path}.csv)"
    return "\n\n".join([f"## {title}", *said, links]) + "\n"


def with_section(page: str, new: str) -> str:
    r"""Put a section in the place of the one of its title, or at the end.

    >>> with_section("# A\n\n## B\n\nold\n\n## C\n", "## B\n\nnew\n")
    '# A\n\n## B\n\nnew\n\n## C\n'
    """
    head, *parts = page.rstrip("\n").split("\n\n## ")
    title = new.partition("\n")[0].removeprefix("## ")
    own = new.removeprefix("## ").rstrip("\n")
    titles = [part.partition("\n")[0] for part in parts]
    if title in titles:
        parts[titles.index(title)] = own
    else:
        parts.append(own)
    return "\n\n## ".join([head, *parts]) + "\n"
