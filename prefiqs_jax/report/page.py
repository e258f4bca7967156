"""The one writer of pages, of runs and of evaluations: tables, figures, a page."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from prefiqs_jax.plots import Drawing, figure_files
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    import pandas as pd

# On a wide screen, so that one inch of any figure is as wide as of any other.
_SCREEN_PX_PER_INCH = 130


def page_files(
    page: str,
    values: Mapping[str, Any],
    tables: "Mapping[str, pd.DataFrame]",
    drawings: Sequence[Drawing],
    *,
    float_format: str | None = None,
) -> dict[str, str | bytes]:
    """Make all files of a page. Call inside ``plots.theme()``.

    Parameters
    ----------
    page
        Name of the page: that of a template in this folder, without ``.j2``. It sees
        ``values``, ``version`` and ``figures``, the drawings with the fields ``png``
        (base64) and ``width_px``.
    values, tables, drawings
        What it shows: by name, tables by name, and figures in the order of the page.
    float_format
        How tables write numbers; None for every digit.

    Returns
    -------
    dict
        ``tables/NAME.csv``, ``figures/NAME.png`` and ``.pdf``, and the page.
    """
    files = figure_files(drawings, "figures/")
    figures = [
        {
            **drawing._asdict(),
            "png": base64.b64encode(files[f"figures/{drawing.name}.png"]).decode(),
            "width_px": round(_SCREEN_PX_PER_INCH * drawing.figure.get_figwidth()),
        }
        for drawing in drawings
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prefiqs_jax", "report"),
        autoescape=page.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(f"{page}.j2").render(
        **values, version=__version__, figures=figures
    )
    return {**table_files(tables, "tables/", float_format), **files, page: text}


def table_files(
    tables: "Mapping[str, pd.DataFrame]",
    stem: str = "",
    float_format: str | None = None,
) -> dict[str, str]:
    """Write tables as the text of ``STEM + NAME.csv``, without their index."""
    return {
        f"{stem}{name}.csv": table.to_csv(index=False, float_format=float_format)
        for name, table in tables.items()
    }
