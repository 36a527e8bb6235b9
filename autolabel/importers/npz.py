"""Reading NumPy's .npz archives from strangers: one array at a time, and never a pickle.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. An array of objects
is a pickle, which can run any program when it is opened. Its header says so before anything of it
is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from polynya.errors import SceneError
from polynya.names import printable

_MOST_BYTES = 2**31
"""Greatest size of an array in memory; a member of a few bytes may claim any."""


@dataclass(frozen=True)
class Npz:
    """An open .npz archive."""

    path: str
    archive: zipfile.ZipFile

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(name.removesuffix(".npy") for name in self.archive.namelist())

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and data type of an array.

        Raises:
            SceneError: There is no such array, or it is a pickle.
        """
        with self._opened(name) as (_, shape, dtype):
            return shape, dtype

    def array(self, name: str) -> NDArray[Any]:
        """Read an array; see `header`."""
        with self._opened(name) as (file, shape, dtype):
            size = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if size > _MOST_BYTES or size > self.archive.getinfo(f"{name}.npy").file_size:
                raise SceneError(
                    f"{printable(self.path)} says that its array '{name}' has {size:,} bytes, which"
                    " it can't have; fetch it again."
                )
            file.seek(0)
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            return array

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
        if name not in self.names:
            raise SceneError(
                f"{printable(self.path)} has no array '{name}' ({', '.join(self.names)}); check the"
                " kind of the import."
            )
        with self.archive.open(f"{name}.npy") as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.hasobject:
                raise SceneError(
                    f"{printable(self.path)} has its array '{name}' as a pickle, which may run any"
                    " program and is never opened; save it as numbers."
                )
            yield file, shape, dtype


@contextmanager
def opened_npz(path: str) -> Iterator[Npz]:
    """Open an .npz archive for reading.

    Args:
        path: Local file.

    Raises:
        SceneError: The file is missing or damaged, or is no .npz archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Npz(path, archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise SceneError(
            f"{printable(path)} can't be read as an .npz archive ({reason}); fetch it again, or"
            " unpack the archive that it is in."
        ) from None
