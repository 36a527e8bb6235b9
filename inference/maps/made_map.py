"""Maps that are there already, as their STAC items describe them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from inference.stac.item import ANY_TIME, read_document
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError
from polynya.names import printable
from polynya.rasters.opening import opened_raster
from polynya.recipe.classes import ClassScheme, LabelClass
from polynya.scenes.place import read_place
from polynya.scenes.scene import Scene
from polynya.scenes.times import Interval, name_time

ASSETS = ("map", "mosaic")
"""Keys of the asset with the labels: of a scene's map and of a mosaic."""


@dataclass(frozen=True)
class MadeMap:
    """A map that `polynya predict` or `polynya mosaic` has written."""

    id: str
    path: Path
    scene: Scene
    """Size and place of the map; it has no colours."""
    classes: ClassScheme
    when: Interval | None
    """Time of its scene; None if neither the item nor the file's name has one."""
    digest: str
    """Checksum of the file, from the item."""
    recipe_digest: str
    files: dict[str, Path]
    """Other rasters of the scene, by the key of their asset: probability, entropy and so on."""

    @property
    def day(self) -> str:
        """Day of the scene in UTC, such as 2019-11-04.

        Raises:
            SceneError: The time is unknown, or more than a day long.
        """
        if self.when is None:
            raise SceneError(no_date(self))
        if self.when.end - self.when.start > timedelta(days=1):
            raise SceneError(
                f"{printable(self.path)} is of several days ({self.when.start:%Y-%m-%d} to"
                f" {self.when.end:%Y-%m-%d}); give the maps of the single days."
            )
        return f"{self.when.start:%Y-%m-%d}"


def no_date(made: MadeMap) -> str:
    """Sentence about a map without a date."""
    return (
        f"{printable(made.path)} has no date, neither in its item {made.id}.json nor in its name;"
        " put the day into the name of its scene, such as SITE_20191104.tif, and predict it again."
    )


@dataclass(frozen=True)
class BadMap:
    """A map that can't be used."""

    name: str
    """Path or pattern as the user wrote it."""
    reason: str
    """One sentence."""


def open_maps(patterns: Sequence[str]) -> tuple[list[MadeMap], list[BadMap]]:
    """Find and open maps; those that can't be used don't end the batch.

    Args:
        patterns: Files, folders or globs. Other products of a map, which a glob finds too, are
            left out.

    Returns:
        Maps, each once, sorted by path; and what can't be used. All maps have the same classes:
        those that most of them have.

    Raises:
        SceneError: As many maps have one set of classes as another.
    """
    paths: dict[Path, Path] = {}
    bad: list[BadMap] = []
    for pattern in patterns:
        found = attempt(partial(_find, pattern), pattern, "read")
        if isinstance(found, Failure):
            bad.append(BadMap(pattern, found.reason))
            continue
        for path in found:
            paths.setdefault(path.resolve(), path)
    maps = []
    for place in sorted(paths):
        opened = attempt(partial(open_map, paths[place]), str(paths[place]), "read")
        if isinstance(opened, Failure):
            bad.append(BadMap(str(paths[place]), opened.reason))
        else:
            maps.append(opened)
    kept, others = _of_one_scheme(maps)
    return kept, bad + others


def _find(pattern: str) -> list[Path]:
    """Files of maps that a path or a glob stands for."""
    path = Path(pattern)
    if path.is_dir():
        found = [one.with_suffix(".tif") for one in sorted(path.glob("*.json")) if _item(one)]
        if not found:
            raise SceneError(
                f"The folder {printable(path)} has no maps; give a folder that 'polynya predict'"
                " or 'polynya mosaic' has written."
            )
        return found
    files = (
        [path]
        if path.is_file()
        else sorted(
            Path().glob(pattern) if not path.is_absolute() else Path(path.anchor).glob(pattern[1:])
        )
    )
    if not files:
        raise SceneError(f"There is no map {printable(pattern)}; check the path.")
    own = [one.with_suffix(".tif") for one in files if one.suffix in (".tif", ".json")]
    maps = [one for one in own if not _is_other_product(one)]
    if not maps and len(files) > 1:
        raise SceneError(f"{printable(pattern)} names no maps; give maps or their folder.")
    return maps or files


def _is_other_product(path: Path) -> bool:
    """Whether a raster is a product beside a map, such as X_entropy.tif beside X.tif."""
    if _item(path.with_suffix(".json")):
        return False
    stems = [path.stem[:end] for end, letter in enumerate(path.stem) if letter == "_" and end]
    items = (_item(path.with_name(f"{stem}.json")) for stem in stems)
    return any(
        asset["href"] == path.name for item in items for asset in item.get("assets", {}).values()
    )


def open_map(path: Path) -> MadeMap:
    """Describe a map.

    Raises:
        SceneError: It isn't one, is damaged, has no item beside it or no place on the ground.
    """
    if not path.is_file():
        raise SceneError(f"There is no map {printable(path)}; check the path.")
    item = _item(path.with_suffix(".json"))
    if not item:
        raise SceneError(
            f"{printable(path)} has no STAC item {path.stem}.json beside it that says what its"
            " numbers mean; give a map of 'polynya predict' together with its item."
        )
    asset = _labels_of(item)
    if asset.get("file:size") != path.stat().st_size:
        raise SceneError(
            f"{printable(path)} isn't the file that its item describes: it was cut short or"
            " changed; predict it again."
        )
    properties = item["properties"]
    with opened_raster(str(path)) as source:
        place = read_place(source)
        scene = grid_scene(
            path.stem, str(path), source.height, source.width, place.crs, place.transform
        )
    if not scene.has_place:
        raise SceneError(
            f"{printable(path)} has no coordinate system with a geotransform, so its place is not"
            " known; warp its scene (gdalwarp -tps -t_srs EPSG:3413) and predict it again."
        )
    return MadeMap(
        id=path.stem,
        path=path,
        scene=scene,
        classes=_classes(item, asset),
        when=_when(properties) or name_time(path.stem),
        digest=str(asset.get("file:checksum", ""))[4:],  # The first four say that it is SHA-256.
        recipe_digest=str(properties.get("polynya:recipe_digest", "")),
        files={
            key: path.with_name(other["href"])
            for key, other in item["assets"].items()
            if "/" not in other["href"] and path.with_name(other["href"]).is_file()
        },
    )


def grid_scene(
    name: str, uri: str, height: int, width: int, crs: str | None, transform: Any
) -> Scene:
    """Describe a raster without colours as a scene, for its place and its areas on the ground."""
    return Scene(
        id=name, uri=uri, height=height, width=width, crs=crs, transform=transform, dtype="uint8",
        band_indexes=(), scale=1.0, offset=0.0, stretch=(0.0, 1.0), zero_is_nodata=False,
    )  # fmt: skip


def _item(path: Path) -> dict[str, Any]:
    return read_document(path, ASSETS)


def _labels_of(item: dict[str, Any]) -> dict[str, Any]:
    return next(item["assets"][key] for key in ASSETS if key in item["assets"])


def _classes(item: dict[str, Any], asset: dict[str, Any]) -> ClassScheme:
    """Read the scheme of a map from its item (`inference.stac.assets.label_fields`)."""
    name = str(item["properties"].get("polynya:classes") or item.get("collection", ""))
    try:
        bands = [band.get("classification:classes") for band in asset.get("bands", [])]
        of_file: list[dict[str, Any]] = asset.get("classification:classes", [])
        # Of a mask, the first class is what lies outside of it.
        masks = [found[1] for found in ([of_file] if of_file else bands)]
        has_masks = not of_file or of_file[0]["title"] == f"Outside of: {of_file[1]['title']}"
        entries = masks if has_masks else [one for one in of_file if not one.get("nodata")]
        every = of_file or bands[0]
        return ClassScheme(
            name=name.removeprefix("polynya-") or "classes",
            kind="masks" if has_masks else "exclusive",
            classes=tuple(
                LabelClass(
                    code=code,
                    name=one["name"],
                    title=one["title"],
                    color=_color(one["color_hint"]),
                )
                for code, one in enumerate(entries)
            ),
            nodata=next(one["value"] for one in every if one.get("nodata")),
        )
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        raise SceneError(
            f"The item {item['id']}.json doesn't say which classes the map has; predict it again."
        ) from None


def _color(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def _when(properties: dict[str, Any]) -> Interval | None:
    ends = [str(properties.get(name, "")) for name in ANY_TIME]
    if properties.get("datetime"):
        ends = [properties["datetime"]] * 2
    elif ends == list(ANY_TIME.values()) or "" in ends:
        return None
    start, end = (datetime.fromisoformat(text) for text in ends)
    return Interval(start, end)


def _of_one_scheme(maps: Sequence[MadeMap]) -> tuple[list[MadeMap], list[BadMap]]:
    """Keep the maps with the classes that most of them have."""
    counts = Counter(map(_meaning, maps)).most_common(2)
    if len(counts) == 2 and counts[0][1] == counts[1][1]:
        one, other = (next(m for m in maps if _meaning(m) == found) for found, _ in counts)
        raise SceneError(
            f"{printable(one.path)} and {printable(other.path)} have different classes"
            f" ({', '.join(one.classes.names)} and {', '.join(other.classes.names)}); give maps of"
            " one kind."
        )
    kept = [made for made in maps if _meaning(made) == counts[0][0]]
    known = ", ".join(kept[0].classes.names) if kept else ""
    return kept, [
        BadMap(
            str(made.path),
            f"{printable(made.path)} has other classes ({', '.join(made.classes.names)}) than most"
            f" maps ({known}); give maps of one kind.",
        )
        for made in maps
        if made not in kept
    ]


def _meaning(made: MadeMap) -> str:
    classes = made.classes
    return json.dumps([classes.kind, classes.names, classes.nodata])
