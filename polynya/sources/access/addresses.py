"""References in catalogues and products, and which of them may be opened.

Catalogues and products come from other people. A catalogue on a server may only refer to files on
servers and in object stores. A local catalogue, which the user named, may also refer to local
files. No reference may use GDAL's virtual file systems, connection strings or drivers that open
further files (https://gdal.org/user/security.html).
"""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from polynya.errors import SceneError

REMOTE = ("http", "https", "s3", "gs")
"""Schemes of servers and object stores."""
LARGEST_LOCAL = 256 * 2**20
"""Greatest size in bytes of one file of a local catalogue."""

REFERRING = ("vrt", "xml", "wms", "json", "mrf", "zarr", "nc", "h5", "hdf", "txt", "csv", "zip")
"""Extensions of files that are not a single image, or may refer to further files."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>\ud800-\udfff]")
_PART = re.compile(r"[\w .+=@,~-]+")


def is_remote(reference: str) -> bool:
    """Whether a reference is an address on a server or in an object store."""
    match = _SCHEME.match(reference)
    return match is not None and match[1].lower() in REMOTE


def resolve(reference: object, base: str, what: str) -> str:
    """Address or absolute path of a reference in a document.

    Args:
        reference: The reference in the document.
        base: Address or path of the document.
        what: Name of the reference for the beginning of an error message.

    Raises:
        SceneError: The reference may not be opened.
    """
    remedy = "correct the catalogue or leave the item out"
    if not isinstance(reference, str) or not reference or _UNSAFE.search(reference):
        raise SceneError(f"{what} has no address that can be used ({reference!r:.99}); {remedy}.")
    match = _SCHEME.match(reference)
    scheme = match[1].lower() if match else ""
    if scheme in REMOTE:
        return scheme + reference[len(scheme) :]
    if is_remote(base):
        if scheme or reference.startswith("file:"):
            raise SceneError(
                f"{what} refers to {reference:.99}, but what a server sends may refer to"
                f" {', '.join(REMOTE)} only; {remedy}."
            )
        return _joined(base, reference)
    if reference.startswith("file:"):
        reference = url2pathname(urlsplit(reference).path)
    elif scheme or reference.startswith("/vsi"):
        raise SceneError(
            f"{what} refers to {reference:.99}, but may refer to files and {', '.join(REMOTE)}"
            f" only; {remedy}."
        )
    return os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(base)), reference))


def member_name(text: str, product: str) -> str:
    """Check and return the name of a file inside a product, from the product's metadata.

    Raises:
        SceneError: The name leads out of the product, or is no file name.
    """
    parts = text.split("/")
    if not all(_PART.fullmatch(part) and set(part) != {"."} for part in parts):
        raise SceneError(
            f"{product} refers to {text!r:.99}, which is no file inside it; fetch the product"
            " again from its agency."
        )
    return text


def check_inside(path: str, folder: str) -> None:
    """Raise SceneError unless a file is in a folder after links are resolved."""
    if not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        raise SceneError(
            f"{path} is a link that leads out of {folder}; put a copy of the file in its place."
        )


def read_local(path: str, most: int = LARGEST_LOCAL) -> bytes:
    """Content of a regular local file; OSError if it can't be read or is too large."""
    # Open without blocking, because a pipe would wait for a writer.
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"{path} is larger than the {most // 2**20} MiB that are taken")
    return content


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _joined(base: str, reference: str) -> str:
    """Same as `urljoin`, but also for the schemes of object stores."""
    scheme, _, rest = base.partition("://")
    return f"{scheme}:" + urljoin(f"http://{rest}", reference).removeprefix("http:")
