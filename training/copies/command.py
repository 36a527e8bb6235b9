"""`polynya augment`: copies of the tiles that train, changed at random once and for all.

OUT/                   shards as those of `polynya label`, originals and copies
OUT/_split.json        what validates; the recipe of OUT names it
OUT/_augmented.json    what the copies were made of
OUT/augmented.png      some tiles and their copies
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from autolabel.label_pictures import tile_picture
from polynya.errors import OutputError, ScenesFailedError, ShardError, failed_of
from polynya.progress import console
from polynya.provenance import provenance
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.training import AugmentOptions
from polynya.report.pictures import draw_panels
from polynya.shards.dataset import ShardSet, open_shards
from polynya.shards.lifecycle import finish_dataset, open_dataset
from polynya.shards.lineage import copy_id, is_copy, original_of
from polynya.shards.manifest import read_manifest
from polynya.splits.split_file import Key, TileSplit, write_split
from polynya.storage.files import write_text
from polynya.storage.folder import Folder
from polynya.storage.ownership import check_free
from training.splits.subsets import hold_out

if TYPE_CHECKING:
    from training.copies.making import Copied

SPLIT, ABOUT, SHEET = "_split.json", "_augmented.json", "augmented.png"
_SAMPLES, _SHOWN = 4, 3
"""Tiles on the sheet, and copies of each."""


def augment(
    shards: Annotated[
        str, typer.Argument(metavar="SHARDS", help="Folder or URI of labelled tiles.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the new shards.")],
    copies: Annotated[
        int, typer.Option("--copies", min=1, max=999, help="Copies of each tile that trains.")
    ] = 5,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", help="Recipe with split, training.augment and seed; default: of the shards."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove other shards in OUT first.")
    ] = False,
) -> None:
    """Make shards with augmented copies of the tiles that train, as Segmentation Gym does.

    Training changes tiles anew in each epoch by itself, which needs no copies. Copies are for
    programs that don't, and for those who want to see what a model learns from.
    """
    data = open_shards(shards)
    chosen = data.recipe if recipe is None else load_recipe(recipe)
    data.check_scheme(chosen.classes)
    folder = Folder.at(out)
    _check_originals(data, copies)
    _check_out(data, folder, overwrite)
    split = hold_out(data, chosen)
    # TensorFlow takes seconds to import, and a wrong call needs none.
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.copies.changes import TileChanges
    from training.copies.making import split_with_copies, write_copies

    augmented = _recipe_of(data, chosen.seed, chosen.training.augment)
    changes = TileChanges(augmented)
    content = augmented.model_dump(mode="json")
    content["split"] = {"file": str(Path(folder.place, SPLIT))}
    content["training"]["augment"] = _left(chosen.training.augment).model_dump(mode="json")
    with open_dataset(folder, parse_recipe(content, "of the copies"), overwrite):
        others = [Path(folder.place, name) for name in (SPLIT, ABOUT, SHEET)]
        check_free(others)
        made = write_copies(data, split, changes, copies, folder, _samples(split))
        if made.scenes:
            write_split(split_with_copies(split, made.scenes, copies), others[0])
            write_text(others[1], _about(augmented, split, copies))
            _draw(others[2], data, made, copies)
        finish_dataset(folder, made.scenes)
    _report(data, made, folder, others[2])


def _check_originals(shards: ShardSet, copies: int) -> None:
    """Make sure that shards have no copies, and no scene with the id of a copy to be.

    Raises:
        ShardError: They have.
    """
    ids = set(shards.scene_ids)
    table = shards.columns(shards.row_groups(shards.scene_ids), ["scene_id", "label_source"])
    for row in table.to_pylist():
        if is_copy(row["label_source"]):
            raise ShardError(
                f"{shards.folder} has copies already, such as {row['scene_id']}; give the shards"
                " that they were made of."
            )
    for name in (copy_id(scene, n) for scene in shards.scene_ids for n in range(1, copies + 1)):
        if name in ids:
            raise ShardError(
                f"The scene {name} has the name that a copy of another scene would get; rename its"
                " file, and make the shards again."
            )


def _check_out(data: ShardSet, folder: Folder, overwrite: bool) -> None:
    if not folder.is_local:
        raise OutputError(f"{folder} is no folder of this machine; choose another --out.")
    if data.folder.is_local and Path(folder.place).resolve() == Path(data.folder.place).resolve():
        raise OutputError(f"{folder} holds the originals; choose another --out for the copies.")
    others = {original_of(row.scene_id) for row in read_manifest(folder)} - set(data.scene_ids)
    if others and not overwrite:
        raise OutputError(
            f"{folder} holds shards of other scenes, such as {min(others)}; add --overwrite to"
            " replace them, or choose another --out."
        )


def _recipe_of(data: ShardSet, seed: int, options: AugmentOptions) -> Recipe:
    """Recipe of the shards with another seed and augmentation; it is checked again."""
    content = data.recipe.model_dump(mode="json")
    content["seed"] = seed
    content["training"]["augment"] = options.model_dump(mode="json")
    content["inference"]["filter"] = (
        options.filter if options.filter != "none" else content["inference"]["filter"]
    )
    return parse_recipe(content, f"of {data.folder}")


def _left(options: AugmentOptions) -> AugmentOptions:
    """What training still does with copies: the filter."""
    return AugmentOptions(filter=options.filter, filter_share=options.filter_share)


def _samples(split: TileSplit) -> set[Key]:
    """Keys of tiles for the sheet, chosen evenly from those that train."""
    keys = [key for key in split.tiles if split.trains(key, 0)]
    if not keys:
        raise ShardError("No tile trains, so there is nothing to copy; change the recipe's split.")
    numbers = np.linspace(0, len(keys) - 1, min(_SAMPLES, len(keys))).round().astype(int)
    return {keys[number] for number in numbers}


def _about(recipe: Recipe, split: TileSplit, copies: int) -> str:
    content = {
        **provenance(recipe),
        "shards_digest": recipe.labels_digest(),
        "copies": copies,
        "seed": recipe.seed,
        "augment": recipe.training.augment.model_dump(mode="json"),
        "split_by": list(split.by),
    }
    return json.dumps(content, indent=2) + "\n"


def _draw(path: Path, data: ShardSet, made: Copied, copies: int) -> None:
    """Draw a row for each sample: the tile, and some of its copies, with their labels."""
    shown = min(copies, _SHOWN)
    size = data.recipe.tiles.size
    panels = []
    for key in sorted({key for key, _ in made.samples}):
        for number in range(shown + 1):
            tile = made.samples[key, number]
            image = np.zeros((size, size, 3), np.uint8)
            label = np.full((size, size), data.classes.nodata, np.uint8)
            there = np.s_[: tile.label.shape[0], : tile.label.shape[1]]
            image[there], label[there] = tile_picture(tile, data), tile.label
            name = f"copy {number}" if number else f"{key[0][:24]}\nrow {key[1]}, col {key[2]}"
            panels += [(name, image), ("label", label)]
    title = f"Tiles and {shown} of their {copies} copies"
    draw_panels(path, panels, data.classes, title, 2 * (shown + 1))


def _report(data: ShardSet, made: Copied, folder: Folder, sheet: Path) -> None:
    known = set(data.scene_ids)
    originals = sum(row.labelled for row in made.scenes if row.scene_id in known)
    copied = sum(row.labelled for row in made.scenes) - originals
    typer.echo(f"{originals} tiles and {copied} copies of those that train: {folder}")
    typer.echo(f"Look at some of them: {sheet}")
    typer.echo(
        f"The recipe of {folder} has the split of the copies and changes tiles no more; a recipe"
        f" that you give to the training needs 'split: {{file: {folder}/{SPLIT}}}'"
    )
    for reason in made.failures:
        console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)
    if made.failures:
        count = len(data.scene_ids)
        raise ScenesFailedError(f"{failed_of(len(made.failures), count)}; the reasons are above.")
