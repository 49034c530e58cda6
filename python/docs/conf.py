"""How Sphinx builds these pages: `python -m sphinx -W --keep-going python/docs OUTPUT`."""

import daqring

project = "daqring"
author = "the daqring developers"
copyright = "the daqring developers, MIT licence"
release = daqring.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["examples"]
nitpicky = False

myst_heading_anchors = 3
# Links to files of the repository that are no pages; fields of several classes with one name.
suppress_warnings = ["myst.xref_missing", "ref.python"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_preprocess_types = True

html_theme = "furo"
html_title = "daqring"
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def _colons_of_prose(app, what, name, obj, options, lines):
    """Napoleon takes what stands before a colon in the first line of an attribute's text for its type."""
    if what in ("attribute", "property", "data") and lines:
        lines.insert(0, "\\")  # joined to the line behind it; nothing is shown


def setup(app):
    # Before napoleon, which has the usual priority of 500.
    app.connect("autodoc-process-docstring", _colons_of_prose, priority=400)
