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
