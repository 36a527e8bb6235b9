"""A folder of maps: scenes with their layers, places, shares and areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.products.paths import COLLECTION_FILE
from inference.report.checks import check_shares, differing
from inference.report.evaluated import worst_to_best
from inference.report.footprints import Place, place_map
from inference.report.matrices import legend
from inference.report.piece import Chapter, Known, Piece, percent
from inference.report.previews import MapSource, Preview, read_layers
from inference.report.schemes import scheme_of
from inference.report.viewer import SceneFacts, film_strip, scene_panel
from inference.run.map_names import mapped_scenes
from inference.run.scenes import SUMMARY_FILE
from inference.stac.item import read_items
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.report.html import Html, element, table_element
from polynya.report.tables import Table

Item = Mapping[str, Any]


@dataclass(frozen=True)
class _Mapped:
    """A map as its item tells it."""

    item: Item
    scene: str
    row: Mapping[str, str]
    """Its row of the summary; empty without one."""

    @property
    def name(self) -> str:
        return str(self.item["id"])


def describe_maps(folder: Path, known: Known, most: int) -> Piece:
    """Describe a folder of maps.

    Args:
        folder: The folder.
        known: What other folders of the run tell: recipes, scores.
        most: Greatest number of scenes that are shown.
    """
    piece = Piece("maps", folder)
    rows: dict[str, dict[str, str]] = {}
    with piece.part(SUMMARY_FILE, "shares, areas and failed scenes are"):
        rows = {row["scene"]: row for row in piece.read_rows(SUMMARY_FILE)}
    scenes = {scene.id: scene.place for scene in mapped_scenes(folder)}
    items = [item for item in read_items(folder) if item["id"] in scenes]
    mapped = [_Mapped(i, scenes[i["id"]], rows.get(i["id"], {})) for i in items]
    _tell_unreadable(piece, rows, {one.name for one in mapped})
    piece.cards.append((f"{len(mapped):,}", "scenes mapped", False))
    failed = [row for row in rows.values() if row.get("status") == "failed"]
    if failed:
        piece.cards.append((f"{len(failed):,}", "scenes failed", True))
    shown = _chosen(mapped, known, most)
    known.folders += 1
    places = {one.name: f"scene-{known.folders}-{n}" for n, one in enumerate(shown, 1)}
    _add_scenes(piece, shown, places, known, len(mapped))
    if mapped:
        with piece.part(COLLECTION_FILE, "the map of places is"):
            _add_places(piece, mapped, places)
    if rows:
        with piece.part(SUMMARY_FILE, "shares and areas are"):
            _add_table(piece, rows, mapped)
    return piece


def _tell_unreadable(piece: Piece, rows: Mapping[str, Any], found: set[str]) -> None:
    lost = [name for name, row in rows.items() if row.get("status") == "done" and name not in found]
    piece.missing += [
        f"{piece.name}/{name}.json is missing or damaged, so this map is left out; predict it"
        " again."
        for name in lost
    ]


def _chosen(mapped: Sequence[_Mapped], known: Known, most: int) -> list[_Mapped]:
    """Choose scenes from the worst to the best, evenly; without scores, evenly by name."""
    by_name = {one.name: one for one in mapped}
    ordered = worst_to_best(known.rights, list(by_name))
    if len(ordered) <= most:
        return [by_name[name] for name in ordered]
    step = (len(ordered) - 1) / max(most - 1, 1)
    picked = dict.fromkeys(ordered[round(number * step)] for number in range(most))
    return [by_name[name] for name in picked]


def _add_scenes(
    piece: Piece, shown: Sequence[_Mapped], places: Mapping[str, str], known: Known, total: int
) -> None:
    panels, strip = list[Html](), list[tuple[str, Preview, str]]()
    schemes: dict[str, ClassScheme] = {}
    for one in track(shown, f"Reading scenes of {piece.name}"):
        with piece.part(f"{one.name}.tif", "this scene is"):
            source = _source(piece.folder, one, known)
            preview = read_layers(source)
            scheme = known.scheme(source.classes)
            schemes[scheme] = source.classes
            facts = _facts(one, source.classes, known)
            place = places[one.name]
            panels.append(scene_panel(place, preview, source.classes, scheme, facts))
            strip.append((place, preview, _word(known.rights.get(one.name, {}))))
    if not panels:
        return
    order = "from the worst to the best of the evaluation" if known.rights else "by name"
    told = f"{len(panels)} of {total} scenes, {order}."
    if len(shown) < total:
        told += " --scenes shows another number."
    help_text = (
        " Drag the divider, or move it with the arrow keys; choose above it what is on each side."
    )
    piece.add(
        Chapter.SCENES,
        element(
            "p", told, element("span", help_text, _class="with-script no-print"), _class="quiet"
        ),
        *(
            element("div", legend(classes, with_error=True), _class=scheme)
            for scheme, classes in schemes.items()
        ),
        element("div", film_strip(strip), *panels, _class="scenes"),
    )


def _word(rights: Mapping[str, float | None]) -> str:
    known = [value for value in rights.values() if value is not None]
    return f"{percent(known[-1], 1)}%" if known else ""


def _source(folder: Path, one: _Mapped, known: Known) -> MapSource:
    digest = one.item["properties"].get("polynya:recipe_digest")
    same = [recipe for _, recipe in known.recipes if recipe.digest() == digest]
    # Options of `predict` change the digest, but not how scenes are read.
    recipe = same[0] if same else known.recipes[0][1] if len(known.recipes) == 1 else None
    return MapSource(one.name, folder / f"{one.name}.tif", one.scene, scheme_of(one.item), recipe)


def _facts(one: _Mapped, classes: ClassScheme, known: Known) -> SceneFacts:
    row, properties = one.row, one.item["properties"]
    shares = [
        (c.code, c.title, row.get(f"{c.name}_share", ""), row.get(f"{c.name}_km2", ""))
        for c in classes.classes
        if row
    ]
    more: list[tuple[str, str]] = []
    if row.get("height"):
        more.append(("pixels", f"{row['height']} x {row['width']}"))
    when = properties.get("datetime")
    more += [("time", when)] if when else []
    more += [
        (key.removeprefix("polynya:").replace("_", " "), str(properties[key]))
        for key in sorted(properties)
        if key.startswith("polynya:") and not key.endswith(("_share", "_km2", "decision"))
    ]
    if properties.get("proj:code"):
        more.append(("coordinates", str(properties["proj:code"])))
    return SceneFacts(shares, known.rights.get(one.name, {}), more)


def _add_places(piece: Piece, mapped: Sequence[_Mapped], places: Mapping[str, str]) -> None:
    located = [
        Place(one.name, one.item["geometry"], places.get(one.name))
        for one in mapped
        if one.item.get("geometry")
    ]
    if located:
        piece.add(Chapter.PLACES, *place_map(located))
    nowhere = len(mapped) - len(located)
    if nowhere:
        piece.missing.append(f"{nowhere} maps of {piece.name} have no place on the Earth.")


def _add_table(
    piece: Piece, rows: Mapping[str, Mapping[str, str]], mapped: Sequence[_Mapped]
) -> None:
    columns = [
        name for name in next(iter(rows.values())) if any(row[name] for row in rows.values())
    ]
    table = Table(
        f"{piece.name}/{SUMMARY_FILE}",
        tuple(name.replace("_", " ") for name in columns),
        tuple(tuple(_cell(row[name]) for name in columns) for row in rows.values()),
    )
    summary = element("summary", f"Shares and areas of all {len(rows)} scenes")
    piece.add(Chapter.DATA, element("details", summary, table_element(table), open=""))
    for one in mapped:
        classes = scheme_of(one.item)
        where = f"{piece.name}/{SUMMARY_FILE}: {one.name}"
        if not classes.has_masks:
            piece.warnings += check_shares(where, one.row, classes.names)
        for name in classes.names:
            stored, other = (
                one.row.get(f"{name}_share"),
                one.item["properties"].get(f"polynya:{name}_share"),
            )
            if stored and other is not None and differing(stored, float(other)):
                piece.warnings.append(
                    f"{where}: the stored share of {name}, {float(stored):.4f}, differs from the"
                    f" {float(other):.4f} of its STAC item."
                )


def _cell(text: str) -> str:
    """A share or an area with three digits, another text as it is."""
    return f"{float(text):.3f}" if "." in text and text.replace(".", "", 1).isdigit() else text
