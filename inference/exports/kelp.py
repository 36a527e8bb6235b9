"""The kind `kelp`: `labels.tar` in the form of a submission to "Kelp Wanted"."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.kelp import write_submission
from inference.exports.exporter import Exporter, ImageLabels, Source, each_image
from polynya.errors import ShardError
from polynya.shards.manifest import SceneResult
from polynya.storage.files import UnreadableError, whole_file

ARCHIVE = "labels.tar"


def _load(source: Source) -> Callable[[SceneResult], Iterator[ImageLabels]]:
    classes = source.classes
    if not classes.has_masks or classes.n_classes > 1:
        raise ShardError(
            f"The shards in {source.shards.folder} have the classes {', '.join(classes.names)}, and"
            " a submission holds one mask; make shards of one class with 'classes.kind' masks, or"
            " export them as masks or rle."
        )
    return each_image(source)


def _write(out: Path, images: Iterator[ImageLabels], source: Source) -> list[Path]:
    path, count = out / ARCHIVE, 0

    def masks() -> Iterator[tuple[str, NDArray[np.bool_]]]:
        nonlocal count
        for image in images:
            count += 1
            yield image.scene.scene_id, source.classes.where(image.labels, 0)

    def check(written: Path) -> None:
        try:
            with tarfile.open(written, "r:") as tar:
                found = len(tar.getmembers())
        except (tarfile.TarError, OSError) as error:
            raise UnreadableError(str(error)) from None
        if found != count:
            raise UnreadableError(f"it has {found} masks in place of {count}")

    with whole_file(path, check) as temporary:
        write_submission(str(temporary), masks())
    return [path]


EXPORTER = Exporter(
    name="kelp",
    about='masks in a tar file, as a submission to DrivenData\'s "Kelp Wanted"',
    load=_load,
    write=_write,
    keeps_nodata=False,
)
