"""Settings of Sphinx, for the pages that docs/assemble.py writes."""

from __future__ import annotations

from assemble import STATIC
from docstrings import process
from names import resolve
from sphinx.application import Sphinx

import tallymark

project = "Tallymark"
author = "The authors of Tallymark"
version = release = tallymark.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"Tallymark {release}"
html_copy_source = False
html_show_sourcelink = False

# The guides are also read on GitHub, so they use only what both understand.
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto"]

# A name in backquotes links to its description, if there is one.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True


# Every type in a signature must be described, except those of Python and pytest, type variables and internal types.
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", ".*"),  # a word in backquotes may be anything
    ("py:class", r"(_pytest|collections|datetime|os|pathlib|typing)\..*|datetime|timedelta|Path|Value|(.*\.)?[PRT]"),
    (
        "py:class",
        r"tallymark\.(serving\.follower\.FollowOptions|tracking\.decorators\.Decorator|tracking\.call_scope\.Definition)",
    ),
    ("py:class", r"tallymark\.client\.(aio_)?access\.RunCall"),  # how the client passes calls on
]


def setup(app: Sphinx) -> None:
    """Convert docstrings to reStructuredText, and link public names by the path from which users import them."""
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon
    app.connect("missing-reference", resolve)
    app.config.html_extra_path = [str(app.srcdir / STATIC)]
