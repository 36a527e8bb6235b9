"""Files that the pages of several commands load."""

from __future__ import annotations

from importlib.resources import files

SHARED = {"/gestures.js": "text/javascript", "/controls.css": "text/css"}
"""Media types by the path at which a page asks for them."""


def shared_file(path: str) -> bytes:
    """Read one of `SHARED`."""
    return files("polynya.pages").joinpath(path.removeprefix("/")).read_bytes()
