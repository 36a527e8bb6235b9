"""A SAFE product as a set of named files: a folder or a zip file, local or in an object store.

A product is not trusted: the size of its metadata is limited, its XML may declare no entities, and
its file names may not lead out of the product.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

from polynya.errors import SceneError
from polynya.sources.access.addresses import check_inside, member_name, read_local
from polynya.storage.stores import file_system, gdal_path, open_object, read_object

LEVELS = ("MSIL1C", "MSIL2A")
DAMAGED = (
    KeyError, ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, ValueError,
    OverflowError, RuntimeError, OSError,
)  # fmt: skip
"""Exceptions while reading a product that is cut short or altered."""

_LARGEST_METADATA = 8 * 2**20
"""Greatest size of a metadata file in bytes; real files have less than 1 MB."""
_MOST_MEMBERS = 20_000
"""Greatest number of files in a zip file; products have fewer than 200."""
_METADATA = re.compile(rf"(?:[^/]+/)?MTD_(?:{'|'.join(LEVELS)})\.xml")


@dataclass(frozen=True)
class Product:
    """A product with access to its files by their names inside the product."""

    uri: str
    read: Callable[[str], bytes]
    """Returns the content of a metadata file; raises KeyError or FileNotFoundError if missing."""
    check: Callable[[str], None]
    """Raises SceneError if a name leads out of the product."""
    has: Callable[[str], bool]
    """Returns whether a file is there."""
    root: str
    """GDAL path of the product's folder, without a / at the end."""


def open_product(uri: str) -> Product:
    """Open a product.

    Raises:
        SceneError: The product doesn't exist or is no SAFE product.
    """
    if uri.lower().endswith(".zip"):
        return _open_archive(uri)
    folder = uri.rstrip("/")
    if "://" in folder:
        return Product(
            uri,
            read=lambda name: _read_stored(f"{folder}/{name}"),
            check=lambda name: None,
            has=lambda name: _size_of(f"{folder}/{name}") is not None,
            root=gdal_path(folder),
        )

    def check(name: str) -> None:
        check_inside(f"{folder}/{name}", folder)

    def read(name: str) -> bytes:
        check(name)
        return read_local(f"{folder}/{name}", _LARGEST_METADATA)

    def has(name: str) -> bool:
        return os.path.isfile(f"{folder}/{name}")

    return Product(uri, read, check, has, gdal_path(folder))


def product_metadata(product: Product) -> tuple[str, ElementTree.Element]:
    """Level and metadata of a product; SceneError if there is no readable metadata."""
    for level in LEVELS:
        try:
            content = product.read(f"MTD_{level}.xml")
        except (KeyError, FileNotFoundError, NotADirectoryError):
            continue
        return level, parse_xml(content)
    raise SceneError(
        f"{product.uri} holds no MTD_MSIL1C.xml or MTD_MSIL2A.xml that can be read; give a SAFE"
        " product of Level-1C or Level-2A, or fetch it again."
    )


class _WithoutEntities(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse a document type, because entities can make gigabytes or read files."""
        raise ValueError("its XML declares a document type, which no metadata does")


def parse_xml(content: bytes) -> ElementTree.Element:
    """Parse metadata; ParseError or ValueError if it is damaged or declares entities."""
    return ElementTree.fromstring(content, ElementTree.XMLParser(target=_WithoutEntities()))


def _open_archive(uri: str) -> Product:
    with open_object(uri) as file, zipfile.ZipFile(file) as archive:
        inside = archive.namelist()
    if len(inside) > _MOST_MEMBERS:
        raise SceneError(
            f"{uri} has {len(inside)} files, more than any SAFE product; leave it out."
        )
    metadata = [name for name in inside if _METADATA.fullmatch(name)]
    if not metadata:
        raise SceneError(f"{uri} holds no MTD_MSIL1C.xml or MTD_MSIL2A.xml; is it a SAFE product?")
    folder = metadata[0].rpartition("/")[0]
    if folder:
        member_name(folder, uri)

    def read(name: str) -> bytes:
        with (
            open_object(uri) as file,
            zipfile.ZipFile(file) as archive,
            archive.open(f"{folder}/{name}" if folder else name) as member,
        ):
            return _limited(member.read(_LARGEST_METADATA + 1), name)

    # The braces tell GDAL where the archive's own path ends.
    root = f"/vsizip/{{{gdal_path(uri)}}}/{folder}".rstrip("/")
    names = frozenset(inside)
    return Product(
        uri,
        read,
        check=lambda name: None,
        has=lambda name: (f"{folder}/{name}" if folder else name) in names,
        root=root,
    )


def _read_stored(uri: str) -> bytes:
    size = _size_of(uri)
    if size is None:
        raise FileNotFoundError(f"{uri} is not there")
    # Read completely, because partial reads of gs:// are not reliable (`polynya.storage.folder`).
    if size > _LARGEST_METADATA:
        raise _too_large(uri)
    return read_object(uri)


def _size_of(uri: str) -> int | None:
    """Size of an object in a store; None if it is not there."""
    scheme, _, path = uri.partition("://")
    size: int | None = file_system(scheme).get_file_info(path).size
    return size


def _limited(content: bytes, name: str) -> bytes:
    if len(content) > _LARGEST_METADATA:
        raise _too_large(name)
    return content


def _too_large(name: str) -> ValueError:
    return ValueError(f"{name} has more than the {_LARGEST_METADATA // 2**20} MiB of metadata")
