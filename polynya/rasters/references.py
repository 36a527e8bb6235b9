"""Allowed references of a scene's file: a foreign file must not make Polynya read other files.

GDAL finds the format of a file from its content. So a virtual raster with any file name may refer
to any file of this machine or to any address, and the pixels there would get into shards and maps.
Here, the file's extension decides which drivers of GDAL may open it, and the references of a
virtual raster are checked before GDAL opens it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from polynya.errors import SceneError
from polynya.names import printable
from polynya.rasters.companions import FILE_KEYS, check_companions, check_image, parse_xml
from polynya.rasters.own_references import digest, is_own

References = Literal["inside", "anywhere"]
"""Allowed places of referenced files: in the file's own folder and below, or anywhere."""

Decision = str
"""The rule for a scene: 'inside', 'anywhere', or 'own ' and a digest.

'own ' means 'inside', except that the virtual raster with this digest may refer to images anywhere,
because this user asked for it. `decide_references` makes the decision at the start of a batch. The
scene carries it, so that workers on other machines also know it."""
_OWN = "own "

_JPEG2000 = ("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Lura")
_DRIVERS = {
    ".tif": ("GTiff",),
    ".tiff": ("GTiff",),
    ".png": ("PNG",),
    ".jpg": ("JPEG",),
    ".jpeg": ("JPEG",),
    ".jp2": _JPEG2000,
    ".vrt": ("VRT",),
}
_SELF_CONTAINED = ("GTiff", "PNG", "JPEG", *_JPEG2000, "GIF", "BMP", "WEBP")
"""Drivers that open only the named file and its companion files."""

_MAGIC = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51",
)  # fmt: skip
"""First bytes of TIFF, BigTIFF, PNG, JPEG and JPEG 2000."""

_LONGEST_VRT = 64 * 2**20
"""Greatest size of a virtual raster's file in bytes."""
_DEEPEST = 8
"""Greatest number of levels of virtual rasters that refer to virtual rasters."""
_MOST_READ = 10**6
"""Greatest number of file reads for one virtual raster; a mosaic reads each file three times."""

# Allowed elements of a virtual raster, in lower case, because GDAL ignores case. Other elements may
# name files in ways that are not checked here (raw bands, pixel functions and others).
_PLACES = ("sourcefilename", "sourcedataset")
_ELEMENTS = {
    "vrtdataset", "srs", "geotransform", "gcplist", "gcp", "metadata", "mdi", "vrtrasterband",
    "maskband", "description", "nodatavalue", "hidenodatavalue", "colorinterp", "colortable",
    "entry", "offset", "scale", "unittype", "categorynames", "category", "histograms",
    "histitem", "histmin", "histmax", "bucketcount", "includeoutofrange", "approximate",
    "histcounts", "gdalrasterattributetable", "fielddefn", "name", "type", "usage", "row", "f",
    "overview", "overviewlist", "simplesource", "complexsource", "averagedsource",
    "kernelfilteredsource", "kernel", "size", "coefs", "sourceband", "sourceproperties",
    "srcrect", "dstrect", "nodata", "scaleoffset", "scaleratio", "lut", "exponent", "clamp",
    "srcmin", "srcmax", "dstmin", "dstmax", "colortablecomponent", "usemaskband", "openoptions",
    "ooi", "blockxsize", "blockysize", "gdalwarpoptions", "warpmemorylimit", "resamplealg",
    "workingdatatype", "option", "transformer", "approxtransformer", "maxerror",
    "basetransformer", "genimgprojtransformer", "srcgeotransform", "srcinvgeotransform",
    "dstgeotransform", "dstinvgeotransform", "reprojecttransformer", "reprojectiontransformer",
    "sourcesrs", "targetsrs", "options", "bandlist", "bandmapping", "srcnodatareal",
    "srcnodataimag", "dstnodatareal", "dstnodataimag", "srcalphaband", "dstalphaband",
    "srcgcptransformer", "gcptransformer", "order", "reversed", "tpstransformer",
    *_PLACES,
}  # fmt: skip
_ATTRIBUTES = {
    "rasterxsize", "rasterysize", "subclass", "dataaxistosrsaxismapping", "coordinateepoch",
    "domain", "format", "key", "datatype", "band", "blockxsize", "blockysize", "relativetovrt",
    "shared", "xoff", "yoff", "xsize", "ysize", "c1", "c2", "c3", "c4", "id", "info", "pixel",
    "line", "x", "y", "z", "projection", "row0min", "binsize", "tabletype", "index", "name",
    "src", "dst", "normalized", "resampling",
}  # fmt: skip
_SUBCLASSES = ("vrtwarpeddataset", "vrtwarpedrasterband", "vrtsourcedrasterband")
_ARCHIVE = re.compile(r"/vsi(?:zip|tar|gzip|7z|rar)/")
_WITH_NODATA = re.compile(r"vrt://([^?]+)\?a_nodata=-?\d+")
"""A file with a nodata value that it doesn't say itself, as `polynya scenes --in-place` writes it.
In virtual rasters of other people it is forbidden, as all names with a driver are."""
_NETWORK = re.compile(
    r"/vsi(?:curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(?:_streaming)?[/?]"
    r"|(?:https?|ftp|s3|gs|az)://"
)


def is_network(path: str) -> bool:
    """Whether a GDAL path is on a server, also inside an archive on a server."""
    return bool(_NETWORK.search(path))


def is_local_file(path: str) -> bool:
    """Whether a GDAL path is a file on a local disk."""
    return "://" not in path and not path.startswith("/vsi")


def ending(path: str) -> str:
    """Extension of a path or address in lower case, without the query of an address."""
    if path.startswith("/vsicurl?"):
        path = re.sub("%2[fF]", "/", path.rpartition("url=")[2]).partition("%3F")[0]
    if is_network(path):
        path = path.partition("?")[0]
    return os.path.splitext(path)[1].lower()


def allowed_drivers(path: str, references: Decision) -> tuple[str, ...] | None:
    """Drivers of GDAL that may open a file; None means any driver."""
    found = _DRIVERS.get(ending(path))
    if found is None:
        return None if references == "anywhere" else _SELF_CONTAINED
    return found


@dataclass(frozen=True)
class Reference:
    """A file that a virtual raster refers to."""

    text: str
    """Text in the virtual raster."""
    path: str
    """Path for GDAL."""


def decide_references(path: str, references: References) -> Decision:
    """Decide what a scene may refer to, from the recipe and this user's own virtual rasters.

    Args:
        path: GDAL path of the scene.
        references: Places that the recipe allows.
    """
    if references == "inside" and ending(path) == ".vrt" and is_local_file(path):
        try:
            with open(path, "rb") as file:
                found = digest(file.read(_LONGEST_VRT))
        except OSError:
            return references  # Opening the file will report the error.
        if is_own(found):
            return f"{_OWN}{found}"
    return references


def check_references(path: str, uri: str, references: Decision) -> tuple[str, ...]:
    """Make sure that opening a raster reads only files that the user has allowed.

    Args:
        path: GDAL path of the raster.
        uri: The user's name of the raster.
        references: Decision for the scene.

    Returns:
        References of a virtual raster that are not on a local disk.

    Raises:
        SceneError: The file has a forbidden reference, or can't be checked.
    """
    is_vrt = ending(path) == ".vrt"
    if not is_local_file(path):
        if is_vrt and references != "anywhere":
            raise SceneError(
                f"{printable(uri)} is a virtual raster that doesn't lie on this machine's disks and"
                " may refer to any file; copy it here together with its files, or set"
                " scene.references to anywhere in the recipe if you trust it."
            )
        return ()
    try:
        status = os.stat(path)
    except OSError:
        return ()  # GDAL will report the error.
    if not is_vrt:
        return ()
    elsewhere, images = _checked_vrt(path, uri, references, status.st_size, status.st_mtime_ns)
    for image in images:
        check_companions(image, uri, references == "anywhere")
    return elsewhere


@lru_cache(maxsize=4096)
def _checked_vrt(
    path: str, uri: str, references: Decision, size: int, changed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check a virtual raster; a process checks it again only if it has changed.

    Returns:
        References that are not on a local disk; local images.
    """
    trusted = references == "anywhere"
    found = digest(_content(path))
    own = references == f"{_OWN}{found}" or is_own(found)
    walk = _Walk(uri, os.path.dirname(os.path.realpath(path)), trusted, trusted or own)
    walk.check(path, ())
    return tuple(walk.elsewhere), tuple(path for path, (_, deep) in walk.known.items() if not deep)


def find_references(path: str) -> list[Reference]:
    """Direct references of a local virtual raster, each once, in order.

    Raises:
        SceneError: The file can't be read, or is no virtual raster.
    """
    found = [_resolved(path, place) for place in _places(_read_vrt(path))]
    return list(dict.fromkeys(found))


@dataclass
class _Walk:
    """One check of a virtual raster and all its direct and indirect references."""

    uri: str
    """The user's name of the scene."""
    folder: str
    """Folder of the scene, with links resolved."""
    trusted: bool
    """Whether the virtual raster may have any elements."""
    placed: bool
    """Whether referenced files may be anywhere."""
    elsewhere: dict[str, None] = field(default_factory=dict)
    """References that are not on a local disk."""
    known: dict[str, tuple[int, int]] = field(default_factory=dict)
    """For each checked file: number of file reads by GDAL, and number of levels below it."""

    def check(self, path: str, above: tuple[str, ...]) -> tuple[int, int]:
        """Check a virtual raster.

        Args:
            path: Path of the virtual raster.
            above: Paths of the virtual rasters that lead to it.

        Returns:
            Number of file reads by GDAL for one pixel; number of levels of virtual rasters.
        """
        here = os.path.realpath(path)
        if here in above or len(above) >= _DEEPEST:
            raise self._too_deep()
        if here in self.known:
            return self.known[here]
        root = _read_vrt(path)
        if not self.trusted:
            _check_elements(root, path, self.uri)
        reads, levels = 1, 1
        for place in _places(root):
            more, deeper = self._check_one(_resolved(path, place), (*above, here))
            reads, levels = reads + more, max(levels, deeper + 1)
            if reads > _MOST_READ:
                raise SceneError(
                    f"{printable(self.uri)} refers to files more than {_MOST_READ:,} times,"
                    " directly and indirectly; make it again (gdalbuildvrt)."
                )
            if len(above) + levels > _DEEPEST:
                raise self._too_deep()
        self.known[here] = reads, levels
        return reads, levels

    def _check_one(self, reference: Reference, above: tuple[str, ...]) -> tuple[int, int]:
        if not self.placed and not _is_inside(reference, self.folder):
            raise SceneError(
                f"{printable(self.uri)} refers to {printable(reference.text)}, which is no file in"
                " its own folder or below; put it there and refer to it by a relative path, make it"
                " again if 'polynya scenes --in-place' made it, or set scene.references to anywhere"
                " in the recipe if you trust the file."
            )
        path = reference.path
        if not is_local_file(path):
            self.elsewhere[path] = None
        elif path not in self.known and os.path.isfile(path):
            if ending(path) == ".vrt":
                return self.check(path, above)
            if not self.trusted:
                _check_source(path, self.uri)
            self.known[path] = 1, 0
        return self.known.get(path, (1, 0))

    def _too_deep(self) -> SceneError:
        return SceneError(
            f"{printable(self.uri)} refers to itself, or to virtual rasters more than {_DEEPEST}"
            " deep; make it again (gdalbuildvrt)."
        )


def _check_source(path: str, uri: str) -> None:
    """Raise SceneError unless a source of a virtual raster is a complete image file."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return  # GDAL reports the error when it reads pixels.
    if not start.startswith(_MAGIC):
        raise SceneError(
            f"{printable(uri)} refers to {printable(path)}, which is no TIFF, PNG, JPEG or JPEG"
            " 2000 image; convert it (gdal_translate), or set scene.references to anywhere in the"
            " recipe if you trust the file."
        )
    check_image(path, uri, _SELF_CONTAINED)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST_VRT + 1)
    except OSError as error:
        raise SceneError(
            f"{printable(path)} can't be read ({error.strerror or error}); check the path."
        ) from None
    if len(content) > _LONGEST_VRT:
        raise SceneError(
            f"{printable(path)} has more than {_LONGEST_VRT // 2**20} MB; make smaller virtual"
            " rasters of it (gdalbuildvrt)."
        )
    return content


def _read_vrt(path: str) -> ElementTree.Element:
    """Read and parse the XML of a virtual raster."""
    try:
        root = parse_xml(_content(path).decode("utf-8-sig"))
        if _name(root) != "vrtdataset":
            raise ValueError("it is no VRTDataset")
    except ValueError as error:
        raise SceneError(
            f"{printable(path)} can't be read as a virtual raster ({error}); make it again"
            " (gdalbuildvrt)."
        ) from None
    return root


def _name(element: ElementTree.Element) -> str:
    """Name of an element in lower case; "" for a comment."""
    tag: object = element.tag
    return tag.lower() if isinstance(tag, str) else ""


def _check_elements(root: ElementTree.Element, path: str, uri: str) -> None:
    """Raise SceneError if a virtual raster has elements that may name files in unknown ways."""
    for element in _relevant(root):
        unknown = [name for name in element.attrib if name.lower() not in _ATTRIBUTES]
        values = {name.lower(): value for name, value in element.attrib.items()}
        if values.get("subclass", _SUBCLASSES[0]).lower() not in _SUBCLASSES:
            unknown.append(values["subclass"])
        if values.get("key", "").lower() in FILE_KEYS:
            unknown.append(values["key"])
        text = element.text or ""
        # A comment inside a file name would end the name for GDAL, but not for this parser.
        if _name(element) in _PLACES and (len(element) or text != text.strip()):
            unknown.append(str(element.tag))
        if _name(element) and _name(element) not in _ELEMENTS:
            unknown.append(element.tag)
        if unknown:
            raise SceneError(
                f"{printable(uri)} has the part '{printable(unknown[0])}'"
                f"{'' if path == uri else f' ({printable(path)})'}, with which a virtual raster may"
                " read any file; make a GeoTIFF of it (gdal_translate), or set scene.references to"
                " anywhere in the recipe if you trust the file."
            )


def _relevant(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """An element and all elements inside it, except XML metadata that GDAL only stores."""
    yield element
    foreign = _name(element) == "metadata" and element.attrib.get("format", "").lower() == "xml"
    for child in () if foreign else element:
        yield from _relevant(child)


def _places(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    return (element for element in _relevant(root) if _name(element) in _PLACES)


def _resolved(path: str, place: ElementTree.Element) -> Reference:
    text = (place.text or "").strip()
    with_nodata = _WITH_NODATA.fullmatch(text)
    if with_nodata:
        return Reference(text, with_nodata[1])
    values = {name.lower(): value.strip() for name, value in place.attrib.items()}
    relative = values.get("relativetovrt", "0").lower() in ("1", "yes", "true", "on")
    if relative and is_local_file(text) and not os.path.isabs(text):
        return Reference(text, os.path.join(os.path.dirname(path), text))
    return Reference(text, text)


def _is_inside(reference: Reference, folder: str) -> bool:
    """Whether a reference is a file in a folder or below, after links are resolved."""
    # GDAL takes 'PREFIX:...' as a driver's name for data, such as GTIFF_DIR:1:file.
    named = re.match(r"[A-Za-z][A-Za-z0-9_]*:", reference.text) and "/" in reference.text
    if named or not os.path.isabs(reference.path) or not os.path.isfile(reference.path):
        return False
    return Path(os.path.realpath(reference.path)).is_relative_to(folder)
