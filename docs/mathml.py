"""Formulas as MathML, which browsers draw themselves: no page loads a script."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert


def _renderers(display: str) -> tuple[Any, None]:
    def visit(translator: Any, node: nodes.Element) -> None:
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit, None


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", _renderers("inline"), _renderers("block"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
