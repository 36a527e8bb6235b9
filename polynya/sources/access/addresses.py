"""What catalogues and products refer to, and what of it may be opened.

They come from others. One on a server may name files on servers and in object stores only; one on
this machine, which the user named, files of this machine too. Nothing may name GDAL's own file
systems, connection strings or drivers that open further files (https://gdal.org/user/security.html).
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
"""Bytes of one file of a catalogue on this machine."""

REFERRING = ("vrt", "xml", "wms", "json", "mrf", "zarr", "nc", "h5", "hdf", "txt", "csv", "zip")
"""Endings of files that aren't an image each, or may name further files."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>\ud800-\udfff]")
_PART = re.compile(r"[\w .+=@,~-]+")


def is_remote(reference: str) -> bool:
    """Whether this is the address of something on a server or in an object store."""
    match = _SCHEME.match(reference)
    return match is not None and match[1].lower() in REMOTE


def resolve(reference: object, base: str, what: str) -> str:
    """The address or absolute path that a document refers to.

    Args:
        reference: As the document has it.
        base: Address or path where the document was read from.
        what: Name of the reference, to begin a sentence with.

    Raises:
        SceneError: It may not be opened.
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
    """The name of a file inside a product, as the product's metadata has it.

    Raises:
        SceneError: It leads out of the product, or is none.
    """
    parts = text.split("/")
    if not all(_PART.fullmatch(part) and set(part) != {"."} for part in parts):
        raise SceneError(
            f"{product} refers to {text!r:.99}, which is no file inside it; fetch the product"
            " again from its agency."
        )
    return text


def check_inside(path: str, folder: str) -> None:
    """Make sure that a file is in a folder also when links are followed; SceneError if not."""
    if not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        raise SceneError(
            f"{path} is a link that leads out of {folder}; put a copy of the file in its place."
        )


def read_local(path: str, most: int = LARGEST_LOCAL) -> bytes:
    """Content of a regular file of this machine; OSError if it can't be read or is too large."""
    # Not to wait for somebody who writes into a pipe.
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
    """As `urljoin`, which knows the schemes of object stores not as such with paths."""
    scheme, _, rest = base.partition("://")
    return f"{scheme}:" + urljoin(f"http://{rest}", reference).removeprefix("http:")
