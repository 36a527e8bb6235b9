"""The kind `rle`: run-length codes in `labels.csv`, as `polynya submission` writes them of maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autolabel.importers.rle import mask_rows
from inference.exports.exporter import Exporter, ImageLabels, Source, each_image
from polynya.errors import ShardError
from polynya.run_length import csv_text
from polynya.shards.manifest import SceneResult
from polynya.storage.files import write_text
from polynya.storage.uris import file_name

TABLE = "labels.csv"


def _load(source: Source) -> Callable[[SceneResult], Iterator[ImageLabels]]:
    for title in source.classes.titles:
        # A reader takes the name of the mask from behind the last one.
        if "_" in title:
            raise ShardError(
                f"The class '{title}' has '_' in its title, and so have all names of masks in a"
                " table of run-length codes, such as a.jpg_Fish; write the title without it in the"
                " recipe's key 'classes', and make the shards again."
            )
    places: dict[str, str] = {}
    for scene in source.scenes:
        other = places.setdefault(file_name(scene.uri), scene.uri)
        if other != scene.uri:
            raise ShardError(
                f"{other} and {scene.uri} have one name, and a table of run-length codes tells"
                " images apart by their names; rename one, and make the shards again."
            )
    return each_image(source)


def _write(out: Path, images: Iterator[ImageLabels], source: Source) -> list[Path]:
    path = out / TABLE
    rows = [
        row
        for image in images
        for row in mask_rows(file_name(image.scene.uri), image.labels, source.classes)
    ]
    write_text(path, csv_text(rows))
    return [path]


EXPORTER = Exporter(
    name="rle",
    about="run-length codes in a CSV file, as in Kaggle's competitions",
    load=_load,
    write=_write,
    keeps_nodata=False,
)
