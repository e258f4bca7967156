"""The one writer of pages, of runs, comparisons and evaluations."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from prefiqs_jax.plots import Drawing, figure_files
from prefiqs_jax.report.csv_tables import table_files
from prefiqs_jax.report.encoded import as_webp, smallest
from prefiqs_jax.report.provenance import Provenance
from prefiqs_jax.terminal import progress_bar
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    import pandas as pd

# On a wide screen, so that one inch of any figure is as wide as of any other.
_SCREEN_PX_PER_INCH = 130


class Grid(NamedTuple):
    """A table of a page: texts, which the reader can sort by a column.

    A text has a second line in small print: what is behind its line break, or the
    interval behind its value. The first of each line is its heading. One that is
    shorter than the others ends with a text over all that is left.
    """

    label: str
    """Name for those who cannot see it."""
    caption: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    tables: tuple[str, ...] = ()
    """Names of the tables that hold its numbers."""
    title: str = ""
    """Stands in front of the caption."""


class Section(NamedTuple):
    """A heading, what is to be said under it, and its tables."""

    name: str
    """Its anchor."""
    heading: str
    grids: Sequence[Grid]
    intro: str = ""


class Page(NamedTuple):
    """What a page shows beside its figures."""

    template: str
    """Of this folder, without ``.html.j2``: it has the words of this kind of page."""
    title: str
    lead: str
    """What the page is of, in one line."""
    finding: Sequence[str]
    """Sentences made from the numbers: the first is the one to remember. May be
    empty."""
    sections: Sequence[Section]
    provenance: Provenance
    unfinished: str = ""
    """What is missing, and what to do about it."""
    notes: Sequence[str] = ()
    """Warnings."""
    in_short: Sequence[str] = ()
    """More of what was found, a line each."""
    words: Mapping[str, Any] = {}
    """What else the template asks for."""


def page_files(
    file: str,
    page: Page,
    tables: "Mapping[str, pd.DataFrame]",
    drawings: Sequence[Drawing],
    *,
    float_format: str | None = None,
    progress: bool = False,
) -> dict[str, str | bytes]:
    """Make all files of a page. Call inside ``plots.theme()``.

    Parameters
    ----------
    file
        Name of the page.
    page, tables, drawings
        What it shows, tables by name, and figures in the order of the page.
    float_format
        How tables write numbers; None for every digit.
    progress
        Show rate and time left on standard error.

    Returns
    -------
    dict
        Tables (see :func:`~prefiqs_jax.report.csv_tables.table_files`),
        ``figures/NAME.png`` and ``.pdf``, and the page.
    """
    with progress_bar(
        len(drawings), "figure", what="figures", progress=progress
    ) as bar:
        files = figure_files(drawings, "figures/", bar.update)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prefiqs_jax", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["small"] = split
    written = table_files(tables, "tables/", float_format, progress=progress)
    packed = {name.removesuffix(".gz") for name in written if name.endswith(".gz")}
    text = environment.get_template(f"{page.template}.html.j2").render(
        page=page,
        **page.words,
        version=__version__,
        packed=packed,
        figures=[
            _figure(drawing, files[f"figures/{drawing.name}.png"])
            for drawing in drawings
        ],
    )
    return {**written, **files, file: text}


def _figure(drawing: Drawing, png: bytes) -> dict[str, Any]:
    """Give what the template shows of a figure: its faces, or the drawing itself."""
    figure: dict[str, Any] = drawing._asdict()
    if drawing.tiles:
        return figure | {
            "tiles": [
                (heading, [(_uri("webp", as_webp(t.pixels)), t) for t in tiles])
                for heading, tiles in drawing.tiles
            ]
        }
    width_px = round(_SCREEN_PX_PER_INCH * drawing.figure.get_figwidth())
    return figure | {"src": _uri(*smallest(png)), "width_px": width_px}


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def split(text: str) -> tuple[str, str]:
    r"""Split a text of a table into what is large and what is in small print.

    >>> split("0.99 [0.98, 1.00]"), split("all\n12 images"), split("0.4 (achieved 0.2)")
    (('0.99', '[0.98, 1.00]'), ('all', '12 images'), ('0.4 (achieved 0.2)', ''))
    """
    large, _, small = str(text).replace(" [", "\n[", 1).partition("\n")
    return large, small
