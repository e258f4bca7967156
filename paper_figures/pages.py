"""Every file of the report: figures, tables, data, and two pages that show them."""

from collections.abc import Sequence

import pandas as pd

from paper_figures.record import COLUMN_IN, Drawn, Table
from paper_figures.words import escape, frame, latex, markdown
from prefiqs_jax.plots import figure_files

FLOAT_FORMAT = "%.9g"
PAGES = ("index.md", "paper.tex")
_PREAMBLE = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=0.8125in]{geometry}
\setlength{\columnsep}{0.375in}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""


def paper_files(products: Sequence[Drawn | Table]) -> dict[str, str | bytes]:
    """Make the files of all products. Call inside ``plots.theme()``.

    Returns
    -------
    dict
        Content by name: ``FIGURE.pdf``, ``.png`` and ``.csv``, ``TABLE.tex``, ``.md``
        and ``.csv``, ``index.md`` and ``paper.tex``.
    """
    files: dict[str, str | bytes] = {}
    for product in products:
        if isinstance(product, Table):
            files[f"{product.name}.tex"] = latex(product)
            files[f"{product.name}.md"] = markdown(product)
            files[f"{product.name}.csv"] = _csv(frame(product))
            continue
        files |= figure_files([product.drawing])
        for end, table in product.data.items():
            files[_data_name(product, end)] = _csv(table)
    pages = (_index(products), _paper(products))
    return files | dict(zip(PAGES, pages, strict=True))


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=FLOAT_FORMAT)


def _data_name(product: Drawn, end: str) -> str:
    return f"{product.drawing.name}{'_' * bool(end)}{end}.csv"


def _index(products: Sequence[Drawn | Table]) -> str:
    lines = ["# Figures and tables", ""]
    for product in products:
        if isinstance(product, Table):
            lines += [f"## {product.name}", "", product.caption, "", markdown(product)]
            lines += [f"[LaTeX]({product.name}.tex), [CSV]({product.name}.csv)", ""]
            continue
        name, alt = product.drawing.name, product.drawing.alt
        data = ", ".join(
            f"[{file}]({file})"
            for file in (_data_name(product, end) for end in product.data)
        )
        lines += [
            f"## {name}",
            "",
            f"![{alt}]({name}.png)",
            "",
            product.drawing.caption,
        ]
        lines += ["", f"[PDF]({name}.pdf); data: {data}", ""]
    return "\n".join(lines)


def _paper(products: Sequence[Drawn | Table]) -> str:
    lines = [_PREAMBLE]
    for product in products:
        if isinstance(product, Table):
            lines.append(rf"\input{{{product.name}.tex}}")
            continue
        drawing = product.drawing
        wide = "*" if drawing.figure.get_figwidth() > COLUMN_IN else ""
        lines += [
            rf"\begin{{figure{wide}}}[t]\centering",
            # At its own size, or fonts would have another.
            rf"\includegraphics{{{drawing.name}.pdf}}",
            rf"\caption{{{escape(drawing.caption)}}}\label{{fig:{drawing.name}}}",
            rf"\end{{figure{wide}}}",
        ]
        # TeX holds few floats.
        lines.append(r"\clearpage")
    return "\n".join([*lines, r"\end{document}", ""])
