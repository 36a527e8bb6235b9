"""The file of decoded tiles that the ranks of a machine share: its content, making, finding.

The file holds the images of all tiles and then their labels in C order, to be mapped into memory:
labels and colours as uint8, other bands as float32.
While ranks write the file, it has no name (`memfd_create(2)`, or O_TMPFILE of `open(2)` on a disk).
So nothing is left of it if the ranks are killed. In memory it never gets a name, and it is gone
when the last rank ends. On a disk it gets a name when it is complete, and later runs find it:

    FOLDER/KEY.tiles    the pixels
    FOLDER/KEY.json     their shapes, and checksums of some tiles; without it .tiles is not used

No file is ever replaced or deleted: if a file is incomplete, the next run takes the name KEY-2.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from polynya.errors import OutputError, reason_of
from polynya.progress import console
from training.input.batches import TENSOR_ALIGNMENT

FORMAT = 1
CHECKED_TILES = 64
"""Number of tiles to check in a file from an earlier run. All tiles were checked when it was
made."""
_MEMORY_INFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Tiles:
    """All tiles of a data set, scenes one after another."""

    images: NDArray[Any]
    """(N, size, size, bands): uint8 colours, 0 where nodata, or float32, NaN where missing."""
    labels: NDArray[np.uint8]
    """Labels (N, size, size), or soft labels (N, size, size, C)."""
    counts: dict[str, int]
    """Tiles of each scene, in the order of the arrays."""

    def of_scenes(self, scene_ids: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the tiles of some scenes, in the given order of scenes."""
        ends = dict(zip(self.counts, np.cumsum(list(self.counts.values())), strict=True))
        ranges = [np.arange(ends[s] - self.counts[s], ends[s]) for s in scene_ids]
        return np.concatenate([np.empty(0, np.int64), *ranges])


@dataclass(frozen=True)
class Contents:
    """What is in a file of tiles."""

    size: int
    """Edge of a tile in pixels."""
    counts: dict[str, int]
    """Tiles of each scene, in order."""
    bands: int = 3
    dtype: str = "uint8"
    """Type of the images."""
    label_channels: tuple[int, ...] = ()
    """Channels of soft labels, (C,); empty for class codes."""
    checksums: tuple[tuple[int, int, int], ...] = ()
    """For some tiles: index, CRC-32C of the image and CRC-32C of the label."""
    format: int = FORMAT

    @property
    def tiles(self) -> int:
        return sum(self.counts.values())

    @property
    def bytes(self) -> int:
        return self._labels_start + self.tiles * self.size**2 * math.prod(self.label_channels)

    @property
    def _labels_start(self) -> int:
        """First byte of the labels, aligned so that TensorFlow needs no copy."""
        return -(-self._image_bytes // TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT

    @property
    def _image_bytes(self) -> int:
        return self.tiles * self.size**2 * self.bands * np.dtype(self.dtype).itemsize

    def map(self, path: str | Path, *, writable: bool = False) -> Tiles:
        """Map the file's content as arrays.

        Unless `writable`, changes to the arrays stay in this process and don't reach the file. The
        arrays are not read-only because TensorFlow rejects read-only arrays, though it only reads.
        """
        mode: Literal["r+", "c"] = "r+" if writable else "c"
        # A plain array, because each slice of a `np.memmap` has extra costs.
        flat = np.asarray(np.memmap(path, np.uint8, mode, shape=(self.bytes,)))
        shape = (self.tiles, self.size, self.size)
        images = flat[: self._image_bytes].view(self.dtype).reshape(*shape, self.bands)
        labels = flat[self._labels_start :].reshape(*shape, *self.label_channels)
        return Tiles(images, labels, self.counts)


# === Making one ===


class NamelessFile:
    """A file that the ranks of this machine can open while this process holds it."""

    def __init__(self) -> None:
        self._handle: int | None = None

    def start(self, named: Path | None, size: int) -> str:
        """Create the file and return a path to it.

        Args:
            named: The name that the file gets later; None for a file in memory.
            size: Size in bytes.
        """
        try:
            if named is None:
                _check_memory(size)
                self._handle = os.memfd_create("polynya-tiles")
                os.truncate(self._handle, size)
            else:
                named.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(named.parent, os.O_TMPFILE | os.O_RDWR, 0o644)
                # Reserve the space now: if the disk filled up later, the process would end without
                # a message.
                os.posix_fallocate(self._handle, 0, size)
        except OSError as error:
            where = "memory" if named is None else str(named.parent)
            raise OutputError(
                f"The {size / 1e9:.2f} GB of decoded tiles can't be kept in {where}"
                f" ({reason_of(error)}); set the recipe's key 'training.input.folder' to a folder"
                " on a disk of this machine, or 'training.input.cache' to 'none'."
            ) from None
        return f"/proc/{os.getpid()}/fd/{self._handle}"

    def name_it(self, path: Path) -> None:
        """Write the whole file to the disk, then give it its name."""
        assert self._handle is not None
        try:
            os.fsync(self._handle)
            # Another run may have made the same file in the meantime; its content is equal.
            # `src_dir_fd` is given because only then the link in /proc is followed (CPython issue
            # 81793).
            with suppress(FileExistsError):
                os.link(f"/proc/self/fd/{self._handle}", path, src_dir_fd=self._handle)
        except OSError as error:
            raise OutputError(
                f"{path} can't be written: {reason_of(error)}; choose another folder as the"
                " recipe's key 'training.input.folder'."
            ) from None

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)


@contextmanager
def nameless_file() -> Iterator[NamelessFile]:
    """Provide a file to start, and close it when the block ends."""
    file = NamelessFile()
    try:
        yield file
    finally:
        file.close()


def _check_memory(size: int) -> None:
    """Raise OutputError if memory is too small; else the system would end processes."""
    told = dict(line.split(":", 1) for line in _MEMORY_INFO.read_text().splitlines())
    available = int(told["MemAvailable"].split()[0]) * 1024
    if size > available:
        raise OutputError(
            f"The decoded tiles need {size / 1e9:.2f} GB of memory and {available / 1e9:.2f} GB are"
            " available; set the recipe's key 'training.input.cache' to 'disk' or 'none'."
        )


# === Finding one ===


def description_of(named: Path) -> Path:
    """Path of the JSON file that describes a file of tiles."""
    return named.with_suffix(".json")


def find_tiles(folder: Path, key: str, wanted: Contents) -> tuple[Path, Contents | None]:
    """Find the finished file of a key and its contents; else the path of a new file, and None.

    An incomplete file stays where it is: it may belong to another program.

    Args:
        folder: Folder of the files; it need not exist.
        key: Key of the tiles.
        wanted: Size, bands and type of the tiles.
    """
    for number in count(1):
        named = folder / f"{key}{'' if number == 1 else f'-{number}'}.tiles"
        if not (os.path.lexists(named) or os.path.lexists(description_of(named))):
            return named, None
        contents = _whole_contents(named, wanted)
        if contents is not None:
            return named, contents
        console.print(
            f"The file of decoded tiles {named} is incomplete or another program's; it stays there,"
            " and the tiles are decoded again",
            soft_wrap=True,
        )
    raise AssertionError  # There are more numbers than files.


def _whole_contents(named: Path, wanted: Contents) -> Contents | None:
    try:
        told = json.loads(description_of(named).read_text(encoding="utf-8"))
        checksums = tuple(tuple(c) for c in told["checksums"])
        contents = replace(wanted, counts=dict(told["counts"]), checksums=checksums)
        if named.stat().st_size == contents.bytes and _is_right(contents, contents.map(named)):
            return contents
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _is_right(contents: Contents, tiles: Tiles) -> bool:
    return with_checksums(contents, tiles).checksums == contents.checksums


def with_checksums(contents: Contents, tiles: Tiles) -> Contents:
    """Add the checksums of up to `CHECKED_TILES` tiles, spread evenly, to the contents."""
    chosen = np.unique(np.linspace(0, contents.tiles - 1, CHECKED_TILES, dtype=int))
    checksums = tuple(
        (int(i), google_crc32c.value(tiles.images[i]), google_crc32c.value(tiles.labels[i]))
        for i in chosen
    )
    return replace(contents, checksums=checksums)
