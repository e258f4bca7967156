"""Settings of the site: ``sphinx-build -W --keep-going -b html docs docs/_build``.

``-D nb_execution_mode=off`` leaves out the notebooks' outputs, and is done in a minute.
``-b linkcheck`` follows external links, which needs a network.
"""

import sys
from pathlib import Path

from prefiqs_jax.version import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "prefiqs-jax"
author = "the prefiqs-jax authors"
copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "generated",
]
exclude_patterns = ["_build"]
highlight_language = "none"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

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

html_theme = "furo"
html_title = f"prefiqs-jax {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False


def setup(app):
    """Point links of files outside this folder to their pages."""
    app.connect("source-read", _relinked)


def _relinked(app, docname, source):
    """Notebooks and CONTRIBUTING.md link to files as they lie in the repository."""
    if docname.startswith("notebooks/"):
        found = source[0].replace("](../docs/", "](../")
        source[0] = found.replace("](../CONTRIBUTING.md", "](../contributing.md")
