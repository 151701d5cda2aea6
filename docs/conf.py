"""How Sphinx builds this site: `make docs`."""

from __future__ import annotations

import fiedler

project = "fiedler"
author = "The fiedler developers"
copyright = "The fiedler developers"
version = release = fiedler.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# The classes list their own attributes; scikit-learn's inherited machinery is not ours to explain.
numpydoc_show_class_members = False
autodoc_typehints = "none"
autosummary_generate = True
exclude_patterns = ["_build"]

html_theme = "pydata_sphinx_theme"
html_title = f"fiedler {release}"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": True,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
