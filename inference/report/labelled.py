"""A data set of shards: its scenes and labels, from its manifest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from inference.report.matrices import legend, share_bar
from inference.report.piece import Chapter, Known, Piece
from inference.report.texts import listing
from polynya.recipe.recipe import Recipe
from polynya.report.html import element, table_element
from polynya.report.tables import Table
from polynya.shards.dataset import DATASET_FILE
from polynya.shards.manifest import MANIFEST_FILE

_COLUMNS = ("scene_id", "status", "height", "width", "tiles", "labelled", "nodata", "failed")


def describe_shards(folder: Path, known: Known) -> Piece:
    """Describe a data set of labelled tiles."""
    piece = Piece("shards", folder)
    piece.add(Chapter.DATA, element("h3", piece.title))
    recipe: Recipe | None = None
    with piece.part(DATASET_FILE, "classes and recipe of the tiles are"):
        recipe = Recipe.model_validate(piece.read_json(DATASET_FILE)["recipe"])
    with piece.part(MANIFEST_FILE, "scenes and labels are"):
        _add_manifest(piece, recipe, known)
    if recipe is not None:
        summary = element("summary", f"Recipe of {piece.name}")
        piece.add(Chapter.RECIPE, element("details", summary, listing(recipe.text())))
    return piece


def _add_manifest(piece: Piece, recipe: Recipe | None, known: Known) -> None:
    rows = piece.read_rows(MANIFEST_FILE)
    tiles = sum(int(row["labelled"]) for row in rows)
    piece.cards.append((f"{tiles:,}", "labelled tiles", False))
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        piece.cards.append((f"{len(failed):,}", "scenes not labelled", True))
    pixels: Counter[str] = Counter()
    for row in rows:
        for pair in row["class_pixels"].split():
            name, _, count = pair.rpartition("=")
            pixels[name] += int(count)
        parts = sum(int(row[name]) for name in ("labelled", "nodata", "failed"))
        if parts != int(row["tiles"]):
            piece.warnings.append(
                f"{piece.name}/{MANIFEST_FILE}: {row['scene_id']} has {row['tiles']} tiles, and"
                f" those that are labelled, nodata and failed are {parts}."
            )
    if recipe is not None and not recipe.classes.has_masks and pixels.total():
        classes = recipe.classes
        shares = [(c.code, c.title, pixels[c.name] / pixels.total()) for c in classes.classes]
        bar, scheme = share_bar(shares), known.scheme(classes)
        told = ", ".join(f"{title} {share:.1%}" for _, title, share in shares)
        text = element("p", f"Labels of {pixels.total():,} pixels: {told}.")
        piece.add(Chapter.DATA, element("div", text, bar, legend(classes), _class=scheme))
    cells = tuple(tuple(row[name] for name in _COLUMNS) for row in rows)
    table = Table("", tuple(name.replace("_", " ") for name in _COLUMNS), cells)
    summary = element("summary", f"All {len(rows):,} scenes of {piece.name}")
    piece.add(Chapter.DATA, element("details", summary, table_element(table)))
    if failed:
        reasons = tuple((row["scene_id"], row["reason"]) for row in failed)
        piece.add(Chapter.DATA, table_element(Table("Not labelled", ("scene", "reason"), reasons)))
