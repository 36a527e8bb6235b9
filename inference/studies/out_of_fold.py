"""Predictions of tiles by a model that hasn't seen them, as a Parquet file with one row a tile.

scene_id, row, col, height, width    the tile, as in the shards
fold                                 fold in which it validates
prediction                           labels, uint8 (height, width) in row-major order
labelled, right                      pixels with a label, and those of them that are right
mean_entropy                         mean over pixels with data of the normalised entropy, 0..1

`right` counts pairs of a pixel and a mask for masks. The file says what it was made from, so a
later run takes it as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from inference.predict.decision import Decision, read_decision, tidy_labels
from inference.predict.predict import open_for_tiles, open_model
from inference.predict.windows import Band, Forward, Probabilities
from inference.products.entropy import entropy, mask_entropy
from inference.studies.folds import FoldResult
from polynya.progress import track
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, StoredTile
from polynya.storage.files import whole_file
from polynya.storage.ownership import is_whole
from training.input.filtering import filter_tiles
from training.input.split import Split, split_by_file
from training.metrics.confusion import confusion_of, empty_confusion
from training.model_folder.folder import model_path
from training.run.build import seen_size

SCHEMA = pa.schema(
    [
        ("scene_id", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("fold", pa.int32()),
        ("prediction", pa.binary()),
        ("labelled", pa.int64()),
        ("right", pa.int64()),
        ("mean_entropy", pa.float32()),
    ]
)
_MADE_FROM, _CONFUSION = b"polynya_made_from", b"polynya_confusion"


def predict_fold(folder: Path, shards: ShardSet, fold: int, path: Path) -> FoldResult:
    """Predict the validation tiles of a model, unless the file is there already.

    Tiles are seen as in validation during training: alone, padded to the size of the model.

    Args:
        folder: Folder of a model; its recipe names the split.
        shards: The tiles.
        fold: Fold that validated the model.
        path: Parquet file to write.

    Raises:
        ModelError: The model can't be opened, or its numbers are not finite.
        ShardError: A tile can't be read.
        OutputError: The file can't be written, or one that isn't ours is in its place.
    """
    model = open_model(folder)
    recipe, classes = model.recipe, model.classes
    decision = read_decision(folder, recipe)
    split = split_by_file(shards, recipe.split)
    made_from = _digest(file_digest(model_path(folder)), recipe, decision, split, shards)
    known = _known(path, fold, made_from)
    if known is not None:
        return known
    forward = open_for_tiles(model, decision)
    confusion, count = empty_confusion(classes), 0
    uncertainty = mask_entropy if classes.has_masks else entropy
    wanted = track(
        validation_tiles(shards, split),
        f"Predicting the tiles of fold {fold}",
        total=len(split.validation_tiles or ()),
    )
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        while batch := list(islice(wanted, recipe.training.batch_size)):
            rows = []
            for tile, found in zip(batch, predicted(batch, forward, recipe), strict=True):
                labels = tile_labels(tile, found, decision, classes)
                own = confusion_of(tile.label, labels, classes)
                confusion += own
                values = uncertainty(found)[_seen(tile, classes)]
                rows.append(
                    {
                        "scene_id": tile.scene_id,
                        "row": tile.row,
                        "col": tile.col,
                        "height": labels.shape[0],
                        "width": labels.shape[1],
                        "fold": fold,
                        "prediction": labels.tobytes(),
                        "labelled": int((tile.label != classes.nodata).sum()),
                        "right": int(np.trace(own, axis1=-2, axis2=-1).sum()),
                        "mean_entropy": float(values.mean()) if values.size else None,
                    }
                )
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            count += len(batch)
        writer.add_key_value_metadata(
            {_MADE_FROM: made_from, _CONFUSION: json.dumps(confusion.tolist())}
        )
    return FoldResult(fold, count, confusion)


def predicted(
    tiles: list[StoredTile], forward: Forward, recipe: Recipe
) -> Iterator[NDArray[np.float32]]:
    """Yield the probabilities of tiles, float32 (H, W, C), each of the tile's own size.

    Args:
        tiles: Tiles of at most the recipe's size.
        forward: Function from images to probabilities.
        recipe: Recipe of the model.
    """
    size, bands = seen_size(recipe), tiles[0].image.shape[-1]
    missing = 0 if recipe.scene.sees_colors else np.nan
    images = np.full((len(tiles), size, size, bands), missing, tiles[0].image.dtype)
    for image, tile in zip(images, tiles, strict=True):
        height, width = tile.label.shape
        image[:height, :width] = tile.image
    if recipe.training.augment.filter != "none":
        images = filter_tiles(images).astype(np.uint8)
    for found, tile in zip(forward(images), tiles, strict=True):
        height, width = tile.label.shape
        yield found[:height, :width]


def tile_labels(
    tile: StoredTile, found: Probabilities, decision: Decision, classes: ClassScheme
) -> NDArray[np.uint8]:
    """Decide on the labels of a tile, uint8 (H, W); nodata without data and without a label.

    Args:
        tile: The tile.
        found: float32 (H, W, C), probabilities.
        decision: From probabilities to labels.
        classes: Class scheme.
    """
    labels = decision.labels(Band(tile.row, _seen(tile, classes), found), classes)
    return tidy_labels(labels, decision, classes)


def _seen(tile: StoredTile, classes: ClassScheme) -> NDArray[np.bool_]:
    return _has_data(tile.image) | (tile.label != classes.nodata)


def validation_tiles(shards: ShardSet, split: Split) -> Iterator[StoredTile]:
    """Read the tiles that validate by a split of tiles, in the order of the shards."""
    chosen = set(split.validation_tiles or ())
    for number, tile in enumerate(shards.tiles(shards.row_groups(split.validation))):
        if number in chosen:
            yield tile


def _has_data(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Find the pixels with data in any band: bool (H, W)."""
    present = image != 0 if image.dtype == np.uint8 else np.isfinite(image)
    return np.asarray(present.any(axis=-1))


def _digest(model: str, recipe: Recipe, decision: Decision, split: Split, shards: ShardSet) -> str:
    """Digest of everything that predictions depend on."""
    content: list[Any] = [
        model,
        decision.model_dump_json(),
        split.digest,
        shards.recipe.labels_digest(),
        shards.dropped.digest,
        split.validation_tiles,
    ]
    options = recipe.inference
    if options.slice:
        content += [options.slice, options.window, options.overlap, options.blend]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _known(path: Path, fold: int, made_from: str) -> FoldResult | None:
    """Read the result of an earlier run; None if there is none, or if it was made differently."""
    if not is_whole(path):
        return None
    with pq.ParquetFile(path) as file:
        about = file.metadata.metadata or {}
        if about.get(_MADE_FROM) != made_from.encode():
            return None
        confusion = np.array(json.loads(about[_CONFUSION]), np.int64)
        return FoldResult(fold, file.metadata.num_rows, confusion)
