"""Settings of the site: ``sphinx-build -W --keep-going -b html docs docs/_build``.

``-D nb_execution_mode=off`` leaves out the notebooks' outputs, and is done in a minute.
``-b linkcheck`` follows external links, which needs a network.
"""

import os
import sys
from pathlib import Path

from prefiqs_jax.version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "prefiqs-jax"
author = "the prefiqs-jax authors"
copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinxarg.ext",
    "generated",
    "mathml",
]
exclude_patterns = ["_build", "jupyter_execute", ".jupyter_cache"]
highlight_language = "none"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.domains"]  # that of sphinx-argparse lacks a method

os.environ.pop("MPLBACKEND", None)  # a kernel has one that shows figures
# The notebooks run here, and nowhere else in CI. A warning of theirs is an error.
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "error"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
numpydoc_show_class_members = False

linkcheck_timeout = 20
linkcheck_retries = 2
# These answer only browsers.
linkcheck_ignore = [r"https://share\.jankolf\.de/.*", r"https://doi\.org/.*"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"prefiqs-jax {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False


def copy_notebooks():
    """Sphinx wants sources in its folder; links are from there, too."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    sources = {path.name: path for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for old in target.glob("*.ipynb"):
        if old.name not in sources:
            old.unlink()
    for name, path in sources.items():
        text = path.read_text("utf-8").replace("](../docs/", "](../")
        text = text.replace("](../CONTRIBUTING.md", "](../contributing.md")
        if not (target / name).exists() or (target / name).read_text("utf-8") != text:
            (target / name).write_text(text, "utf-8")


copy_notebooks()
