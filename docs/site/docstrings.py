"""Docstrings in Google's convention, for autodoc.

`sphinx.ext.napoleon` as a whole would take what stands before a colon in the docstring of a field
for its type; ours have sentences there.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

_FIELDS = ("attribute", "data", "property")


def _read_sections(
    app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    if what not in _FIELDS:
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, found, options).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _read_sections)
    return {"parallel_read_safe": True}
