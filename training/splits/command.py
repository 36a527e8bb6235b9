"""`polynya split`: puts the tiles of shards into folds, and writes the file of the split."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from polynya.errors import ShardError
from polynya.progress import console
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.splits.duplicates import ORIENTATION_THRESHOLD, Described
from polynya.splits.folds import TRAINS_ONLY
from polynya.splits.groups import GROUP_COLUMN, site_pattern
from polynya.splits.making import WAYS, Length, SplitChoices, length_of, make_split
from polynya.splits.pictures import chosen_band, describe_by_orientation, pictures
from polynya.splits.split_file import TileSplit, write_split
from polynya.storage.ownership import check_free

Shards = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Folder or URI that 'polynya label' has filled.")
]
Out = Annotated[Path, typer.Option("--out", help="File of the split (JSON).")]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        help=f"What makes a group: {', '.join(WAYS)}; several are joined. Default: scene.",
    ),
]
Folds = Annotated[
    int | None, typer.Option(min=2, help="Number of folds; default: hold out --validation.")
]
Validation = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Share to hold out; default: the shards' recipe."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**31 - 1, help="Default: the seed of the shards' recipe.")
]
Stratify = Annotated[bool, typer.Option(help="Give folds similar shares of tiles with each class.")]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="For site: regular expression on the scene's id with one (group), such as '^([^_]+)'."
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(help="For table: CSV file with scene_id, perhaps row and col, and --column."),
]
Column = Annotated[str, typer.Option(help="For table: column with the groups.")]
Block = Annotated[
    str | None, typer.Option(help="For blocks: edge of a block, such as 5km or 1024px.")
]
Buffer = Annotated[
    str | None,
    typer.Option(help="For blocks: least distance of training tiles from validation tiles."),
]
Band = Annotated[
    str | None,
    typer.Option(help="For duplicates: band to compare; default: elevation, green or the first."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="For duplicates: Keras file of a network that describes the tiles."),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="For duplicates: least similarity; default: that of the descriptor."),
]


def split(
    shards: Shards,
    out: Out,
    by: By = None,
    folds: Folds = None,
    validation: Validation = None,
    seed: Seed = None,
    stratify: Stratify = True,
    pattern: Pattern = None,
    table: Table = None,
    column: Column = GROUP_COLUMN,
    block: Block = None,
    buffer: Buffer = None,
    band: Band = None,
    weights: Weights = None,
    threshold: Threshold = None,
) -> None:
    """Split labelled tiles into folds, so that tiles that resemble each other stay together."""
    data = open_shards(shards)
    ways = tuple(by or ("scene",))
    choices = SplitChoices(
        by=ways,
        folds=folds,
        validation=_share(data.recipe, validation, folds),
        seed=data.recipe.seed if seed is None else seed,
        stratify=stratify,
        pattern=_pattern(data.recipe, pattern) if "site" in ways else pattern,
        table=table,
        column=column,
        block=_length(block, "--block"),
        buffer=_length(buffer, "--buffer"),
    )
    if "duplicates" not in ways and (band, weights, threshold) != (None, None, None):
        raise ShardError(
            "The options --band, --weights and --threshold are for a split by duplicates; add --by"
            " duplicates, or leave them out."
        )
    check_free([out])
    made = make_split(data, choices, lambda: _describe(data, band, weights, threshold))
    write_split(made, out)
    for line in summary(made, data):
        typer.echo(line)
    if made.is_random:
        console.print(
            "Warning: tiles of one scene are on both sides of this split, so scores will be too"
            " good; use it only to show by how much",
            style="yellow",
            soft_wrap=True,
        )
    typer.echo(f"Split: {out}; train with the recipe's key 'split.file'")


def _share(recipe: Recipe, validation: float | None, folds: int | None) -> float:
    share = recipe.split.validation if validation is None else validation
    if folds is None and not 0 < share < 1:
        raise ShardError(
            f"A hold-out of the share {share:g} leaves one side empty; give --validation between 0"
            " and 1, or --folds."
        )
    return share


def _pattern(recipe: Recipe, pattern: str | None) -> str | None:
    return recipe.split.group if pattern is None else site_pattern(pattern, "--pattern")


def _length(text: str | None, option: str) -> Length | None:
    return None if text is None else length_of(text, option)


def _describe(
    data: ShardSet, band: str | None, weights: Path | None, threshold: float | None
) -> Described:
    name = chosen_band(data, band)
    if weights is None:
        least = ORIENTATION_THRESHOLD if threshold is None else threshold
        described = describe_by_orientation(data, name, least)
    else:
        from training.splits.backbone import COSINE, describe_by_backbone

        least = COSINE if threshold is None else threshold
        described = describe_by_backbone(pictures(data, name), weights, least)
    return replace(described, about={**described.about, "band": name})


def summary(made: TileSplit, data: ShardSet) -> list[str]:
    """Describe a split in lines: its groups, and what is in each fold."""
    tiles = list(made.tiles.values())
    sizes = Counter(tile.group for tile in tiles)
    largest, most = max(sizes.items(), key=lambda item: item[1])
    lines = [f"{len(tiles)} tiles in {len(sizes)} groups; the largest, '{largest}', has {most}"]
    folds = np.array([tile.fold for tile in tiles])
    for fold in range(made.folds):
        own = np.flatnonzero(folds == fold)
        counts, pixels = data.class_counts(data.scene_ids, own.tolist())
        shares = ", ".join(
            f"{title} {count / max(pixels, 1):.1%}"
            for title, count in zip(data.classes.titles, counts.tolist(), strict=True)
        )
        left_out = sum(fold in tile.left_out for tile in tiles)
        trains = len(tiles) - len(own) - left_out
        lines.append(
            f"Fold {fold}: {len(own)} tiles validate, {trains} train"
            f"{f', {left_out} are left out' * (left_out > 0)}; {shares}"
        )
    only = int(np.sum(folds == TRAINS_ONLY))
    if only:
        lines.append(f"{only} tiles never validate")
    return lines
