"""The file of decoded tiles that ranks of a machine share: what is in it, how it is made and found.

It holds the images of all tiles and then their labels in C order, to be mapped into memory: labels
and colours as uint8, other bands as float32.
While it is being made it has no name (`memfd_create(2)`, or O_TMPFILE of `open(2)` on a disk), so
nothing is left of it if its makers are killed. In memory it stays so, and is gone when the last
rank ends. On a disk it gets a name when it is whole, and later runs find it:

    FOLDER/KEY.tiles    the pixels
    FOLDER/KEY.json     what is in them, and checksums of some; without it the other doesn't count

No file is ever replaced or deleted: where one isn't whole, the next run takes the name KEY-2.
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
"""Of a file that is found; all were checked when it was made."""
_MEMORY_INFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Tiles:
    """All tiles of a data set, scenes one after another."""

    images: NDArray[Any]
    """(N, size, size, bands): uint8 colours, 0 where nodata, or float32, NaN where missing."""
    labels: NDArray[np.uint8]
    """(N, size, size), or soft ones (N, size, size, C)."""
    counts: dict[str, int]
    """Tiles of each scene, in the order of the arrays."""

    def of_scenes(self, scene_ids: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the tiles of some scenes, scenes in this order."""
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
    """Of the images."""
    label_channels: tuple[int, ...] = ()
    """Of soft labels: (C,)."""
    checksums: tuple[tuple[int, int, int], ...] = ()
    """Of some tiles: index, CRC-32C of the image and of the label."""
    format: int = FORMAT

    @property
    def tiles(self) -> int:
        return sum(self.counts.values())

    @property
    def bytes(self) -> int:
        return self._labels_start + self.tiles * self.size**2 * math.prod(self.label_channels)

    @property
    def _labels_start(self) -> int:
        """At a multiple of `TENSOR_ALIGNMENT`, so that TensorFlow can use them where they are."""
        return -(-self._image_bytes // TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT

    @property
    def _image_bytes(self) -> int:
        return self.tiles * self.size**2 * self.bands * np.dtype(self.dtype).itemsize

    def map(self, path: str | Path, *, writable: bool = False) -> Tiles:
        """The file's content as arrays.

        Unless `writable`, what is written to them stays in this process and leaves the file alone:
        TensorFlow takes no read-only arrays, and what it takes it only reads.
        """
        mode: Literal["r+", "c"] = "r+" if writable else "c"
        # Without the subclass, each slice of which would keep books of the file.
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
        """Make it; returns a path to it.

        Args:
            named: The name that it gets later; None for one in memory.
            size: In bytes.
        """
        try:
            if named is None:
                _check_memory(size)
                self._handle = os.memfd_create("polynya-tiles")
                os.truncate(self._handle, size)
            else:
                named.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(named.parent, os.O_TMPFILE | os.O_RDWR, 0o644)
                # A disk that fills up later would end the process without a word.
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
        """Give it its name, when all of it is on the disk."""
        assert self._handle is not None
        try:
            os.fsync(self._handle)
            # Another run may have made the same meanwhile, and it is the same. A folder's handle is
            # given because only then the link in /proc is followed (CPython issue 81793).
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
    """A file to be started, held until the block ends."""
    file = NamelessFile()
    try:
        yield file
    finally:
        file.close()


def _check_memory(size: int) -> None:
    """Raise OutputError rather than have the system end processes when it runs out of memory."""
    told = dict(line.split(":", 1) for line in _MEMORY_INFO.read_text().splitlines())
    available = int(told["MemAvailable"].split()[0]) * 1024
    if size > available:
        raise OutputError(
            f"The decoded tiles need {size / 1e9:.2f} GB of memory and {available / 1e9:.2f} GB are"
            " available; set the recipe's key 'training.input.cache' to 'disk' or 'none'."
        )


# === Finding one ===


def description_of(named: Path) -> Path:
    """Where it says what is in a file of tiles."""
    return named.with_suffix(".json")


def find_tiles(folder: Path, key: str, wanted: Contents) -> tuple[Path, Contents | None]:
    """The finished file of a key, and what it holds; or the name for a new one, and None.

    What is there under a name and isn't whole stays: it may be somebody else's.

    Args:
        folder: Of the files; it need not exist.
        key: Of the tiles.
        wanted: Their size, bands and type.
    """
    for number in count(1):
        named = folder / f"{key}{'' if number == 1 else f'-{number}'}.tiles"
        if not (os.path.lexists(named) or os.path.lexists(description_of(named))):
            return named, None
        contents = _whole_contents(named, wanted)
        if contents is not None:
            return named, contents
        console.print(
            f"The decoded tiles in {named} are not whole or of another program; they stay there,"
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
    """The same with the sums of up to `CHECKED_TILES` tiles, spread evenly."""
    chosen = np.unique(np.linspace(0, contents.tiles - 1, CHECKED_TILES, dtype=int))
    checksums = tuple(
        (int(i), google_crc32c.value(tiles.images[i]), google_crc32c.value(tiles.labels[i]))
        for i in chosen
    )
    return replace(contents, checksums=checksums)
