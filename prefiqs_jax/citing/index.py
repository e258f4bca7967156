"""All references of the package's docstrings, found by a name, number or citation."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from prefiqs_jax.citing.reference import Reference, merge, read_references

ROOT = Path(__file__).parents[1]
_CITED = re.compile(r"([A-Z][\w'’-]+)[^();.]*(?: et al\.)? \((\d{4})\)")
_NUMBER = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")


@functools.cache
def every_reference() -> list[Reference]:
    """Read all docstrings of the package; one reference a work, as full as any is."""
    return merge(
        reference
        for path in sorted(ROOT.rglob("*.py"))
        for docstring in docstrings(path)
        for reference in read_references(docstring)
    )


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a file that have a References section."""
    text = path.read_text(encoding="utf-8")
    if "References\n" not in text:  # quicker than to parse it
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and "References\n---" in docstring:
                yield docstring


def of_module(module: str) -> list[Reference]:
    """Give the references of a module's docstrings, by its name below the package.

    >>> [reference.key for reference in of_module("masks.scores.wanda")]
    ['sun2024simple']
    """
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    read = (one for text in docstrings(path) for one in read_references(text))
    return merge(_full(reference) for reference in read)


def cited_in(text: str) -> list[Reference]:
    """Give the references that a line cites, as ``Sun et al. (2024)`` or by arXiv.

    Works that no docstring refers to are left out.

    >>> [one.key for one in cited_in("after Sun et al. (2024), ICLR, arXiv:2306.11695")]
    ['sun2024simple']
    """
    numbers = set(_NUMBER.findall(text))
    names = {(name, int(year)) for name, year in _CITED.findall(text)}
    known_numbers = {one.arxiv for one in every_reference()} - {""}
    by_number = [one for one in every_reference() if one.arxiv in numbers]
    if by_number and numbers <= known_numbers and len(numbers) >= len(names):
        return by_number
    by_name = [one for one in every_reference() if (one.authors[0], one.year) in names]
    return merge([*by_number, *by_name])


def titled(name: str) -> list[Reference]:
    """Give the references whose title begins with a method's name, such as AdaFace."""
    return [one for one in every_reference() if one.short_title == name]


def _full(reference: Reference) -> Reference:
    return next(one for one in every_reference() if one.is_same_work(reference))
