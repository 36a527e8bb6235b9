"""File names and URIs as text for products, without secrets such as passwords and tokens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, quote, unquote

_WEB = ("http", "https", "ftp")
_SECRET = re.compile(
    r"sig(nature)?|.*(token|secret|password|passwd|credential|signature|api_?-?key|access_?key)"
    r"|key|auth(orization)?|pwd|x-(amz|goog)-.*|googleaccessid|policy|key-pair-id|sas|jwt",
    re.IGNORECASE,
)
"""Names of secret query parameters, which give access to the file of a URL."""
_UNRESERVED = "/~!$&'()*+,;=@"
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def public_uri(uri: str) -> str:
    """URI without user, password, secret query and fragment; paths are not changed."""
    parts = _parts(uri)
    return uri if parts is None else parts.text(parts.path, parts.query)


def href(uri: str, folder: Path) -> str:
    """Percent-encoded URI reference to a file (RFC 3986); relative to a folder for a local file.

    It is relative so that the file and the document can be moved together.

    Args:
        uri: Path or URI of the file.
        folder: Folder of the document that will contain the reference.
    """
    parts = _parts(uri)
    if parts is None or parts.scheme == "file":
        path = uri if parts is None else parts.path
        return _quoted(Path(os.path.relpath(path, folder)).as_posix())
    if not parts.is_web:
        return parts.text(_quoted(parts.path), "")
    # A URL is already encoded, except for characters that its author forgot.
    path, query = (_PERCENT.sub("%25", text) for text in (parts.path, parts.query))
    return parts.text(_quoted(path, ":%"), _quoted(query, ":%?"))


def file_name(uri: str) -> str:
    """Name of a file, without the query of a URL."""
    parts = _parts(uri)
    path = uri if parts is None else parts.path
    name = PurePosixPath(path.rstrip("/")).name
    return unquote(name) if parts is not None and parts.is_web else name


def _quoted(path: str, more: str = "") -> str:
    return quote(path, safe=_UNRESERVED + more, errors="surrogateescape")


@dataclass(frozen=True)
class _Parts:
    """Parts of a URI, without secrets."""

    scheme: str
    host: str
    """Host or bucket."""
    path: str
    query: str

    @property
    def is_web(self) -> bool:
        return self.scheme in _WEB

    def text(self, path: str, query: str) -> str:
        return f"{self.scheme}://{self.host}{path}" + f"?{query}" * bool(query)


def _parts(uri: str) -> _Parts | None:
    """Parts of a URI, also after a prefix such as GDAL's /vsicurl/; None for a path."""
    found = re.fullmatch(r"(?:/vsi\w+/)?([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", uri, re.DOTALL)
    if not found:
        return None
    scheme, host, path, query = found[1].lower(), found[2].rpartition("@")[2], found[3], ""
    if scheme in _WEB:
        path, _, query = path.partition("#")[0].partition("?")
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        if any(_SECRET.fullmatch(name) for name in names):
            query = ""
    return _Parts(scheme, host, path, query)
