"""The kind `gym`: a data set of Segmentation Gym, an .npz file for each tile.

`train_data/train_npzs` has the tiles that train, `val_data/val_npzs` those that validate, as the
recipe's split says (autolabel/importers/gym.py tells the format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.gym import is_gym_name, npz_content, npz_name
from autolabel.importers.pairs import VALIDATION
from inference.exports.exporter import Exporter, Source
from polynya.errors import ShardError
from polynya.shards.dataset import StoredTile
from polynya.shards.lineage import is_copy
from polynya.shards.manifest import SceneResult
from polynya.splits.split_file import Key
from polynya.storage.files import write_bytes
from polynya.storage.output_folder import make_inner
from polynya.storage.uris import file_name
from training.splits.subsets import hold_out

_TRAINING, _VALIDATION = ("train_data", "train_npzs"), ("val_data", "val_npzs")


@dataclass(frozen=True)
class _GymTile:
    folders: tuple[str, ...]
    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    file: str
    """Name of the file that the tile came from."""


def _load(source: Source) -> Callable[[SceneResult], Iterator[_GymTile]]:
    folder_of = _folders(source)
    validating = {key[0] for key, folders in folder_of.items() if folders == _VALIDATION}

    def read(scene: SceneResult) -> Iterator[_GymTile]:
        groups = source.shards.row_groups([scene.scene_id])
        sources = source.shards.columns(groups, ["label_source"])["label_source"].to_pylist()
        for number, tile in enumerate(source.shards.tiles(groups)):
            folders = folder_of.get((tile.scene_id, tile.row, tile.col))
            if folders is None:
                continue  # The split leaves it out, because it is too close to validation.
            root = tile.scene_id
            without = root.removeprefix(VALIDATION)
            if folders == _VALIDATION and without not in validating:
                root = without
            name = f"{root}.npz"
            if len(sources) > 1 or is_copy(sources[0]) or not is_gym_name(root):
                name = npz_name(root, number, is_copy=is_copy(sources[number]))
            image = _bytes(tile, source)
            yield _GymTile(folders, name, image, tile.label, file_name(scene.uri))

    return read


def _folders(source: Source) -> dict[Key, tuple[str, ...]]:
    """Folder of each tile that trains or validates."""
    split = hold_out(source.shards, source.recipe)
    folders: dict[Key, tuple[str, ...]] = {
        key: _VALIDATION for key, tile in split.tiles.items() if tile.fold == 0
    }
    folders |= {key: _TRAINING for key in split.tiles if split.trains(key, 0)}
    return folders


def _bytes(tile: StoredTile, source: Source) -> NDArray[np.uint8]:
    """Image of a tile as 8-bit numbers, 0 where missing."""
    numbers = np.nan_to_num(tile.image, nan=0.0)
    for band, name in enumerate(source.shards.bands):
        own = numbers[..., band]
        if not (own == np.clip(np.rint(own), 0, 255)).all():
            raise ShardError(
                f"{tile.scene_id} has values from {own.min():g} to {own.max():g} in the band"
                f" '{name}', and the Gym's files hold whole numbers from 0 to 255; bring the images"
                " to 8 bits (gdal_translate -ot Byte -scale) and import them again."
            )
    return numbers.astype(np.uint8)


def _write(out: Path, tiles: Iterator[_GymTile], source: Source) -> list[Path]:
    written: dict[Path, None] = {}
    for tile in tiles:
        path = make_inner(out, *tile.folders) / tile.name
        if path in written:
            raise ShardError(
                f"Two tiles would get the name {path}; rename the file of one image, and make the"
                " shards again."
            )
        write_bytes(path, npz_content(tile.image, tile.labels, source.classes, [tile.file]))
        written[path] = None
    return list(written)


EXPORTER = Exporter(
    name="gym",
    about="a data set of Segmentation Gym (.npz)",
    load=_load,
    write=_write,
    keeps_nodata=False,
)
