"""Planning: divide scenes of any size into units of work of about equal cost.

Each unit writes its own files. The plan depends only on the content of the scenes and the recipe,
never on the engine or on the paths of the scenes. So the names and bytes of the shards also depend
only on content and recipe (docs/adr/0004).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from autolabel.filters.registry import light_steps, needs_whole
from polynya.grid import Tile
from polynya.recipe.label import LabelOptions
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import COLORS
from polynya.scenes.scene import Scene
from polynya.shards.schema import FILE_BYTES, FORMAT

_UNITS = 64
"""Number of units for a set that is too small for files of `FILE_BYTES`: enough for several
workers."""
_LEAST_BYTES = 4 * 2**20
"""Least size of a unit: smaller units take longer to start than to do."""
_LEAST_BAND_BYTES = 32 * 2**20
"""Least size of a strip: cutting into smaller strips costs more than it saves, because a scene in
strips is read a second time to find its sky."""
_LONGEST_ID = 80
"""Most characters of an id that go into the name of a file, which may have 255 bytes."""
_DIGITS = 12
"""Hex digits of a digest that go into names of files."""


def _pixel_bytes(scene: Scene) -> int:
    """Bytes of the bands and the label of a pixel; the bits for missing values hardly count."""
    if scene.inputs is None:
        return len(COLORS) + 1
    return len(scene.inputs.bands) * np.dtype(scene.inputs.dtype).itemsize + 1


@dataclass(frozen=True)
class Part:
    """Some rows of a scene."""

    scene: Scene
    row: int
    height: int
    digest: str = ""
    """Digest of the content of the whole scene."""

    @property
    def is_whole(self) -> bool:
        return self.height == self.scene.height

    @property
    def window(self) -> Tile:
        return Tile(self.row, 0, self.height, self.scene.width)

    @property
    def bytes(self) -> int:
        """Uncompressed pixels and labels."""
        return self.height * self.scene.width * _pixel_bytes(self.scene)


@dataclass(frozen=True)
class Unit:
    """The work of one task: some rows of one scene, or several whole scenes."""

    name: str
    """Name of the unit's files; unique among all units of the same recipe."""
    parts: tuple[Part, ...]


def plan_units(
    scenes: Sequence[Scene], recipe: Recipe, digests: Mapping[str, str] | None = None
) -> list[Unit]:
    """Divide scenes into units.

    Large scenes are cut into strips of whole rows of tiles. Small scenes are put together. A file
    holds about `FILE_BYTES`, or less if the set is small, so that several workers have work.

    Args:
        scenes: Scenes in any order.
        recipe: Size of tiles, and whether the filter can work on some rows alone.
        digests: Digest of the content of each scene, by the scene's id; None for scenes without
            digests, for example in a simulation.
    """
    total = sum(scene.height * scene.width * _pixel_bytes(scene) for scene in scenes)
    wanted = min(max(total // _UNITS, _LEAST_BYTES), FILE_BYTES)
    units: list[Unit] = []
    together: list[Part] = []
    for scene in sorted(scenes, key=lambda scene: scene.id):
        digest = "" if digests is None else digests[scene.id]
        bands = _bands(scene, digest, recipe, wanted)
        if len(bands) > 1:
            units += [_unit((band,), recipe) for band in bands]
            continue
        if together and sum(part.bytes for part in together) + bands[0].bytes > wanted:
            units.append(_unit(tuple(together), recipe))
            together = []
        together += bands
    if together:
        units.append(_unit(tuple(together), recipe))
    return units


def needs_sky(unit: Unit, options: LabelOptions) -> bool:
    """Whether the unit needs the sky over its whole scene before it can start."""
    return light_steps(options) is not None and not unit.parts[0].is_whole


def shown_id(scene_id: str) -> str:
    """Return the part of a scene's id that goes into names of files.

    Spark and PyArrow treat names that begin with a dot or an underscore as hidden and silently
    ignore them. Two ids may look the same here; names of files also have a digest to differ.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", scene_id)[:_LONGEST_ID]
    return safe.lstrip("._-") or "scene"


def sky_name(part: Part, recipe: Recipe) -> str:
    """Return the name of the file with the sky over the whole scene of a part."""
    return f"{shown_id(part.scene.id)}-{_digest([part.scene.id, part.digest], recipe)}"


def _bands(scene: Scene, digest: str, recipe: Recipe, wanted: int) -> list[Part]:
    size, whole = recipe.tiles.size, Part(scene, 0, scene.height, digest)
    if needs_whole(recipe.label) or (recipe.imports is not None and recipe.imports.needs_whole):
        return [whole]
    tile_rows = -(-scene.height // size)
    count = min(max(round(whole.bytes / max(wanted, _LEAST_BAND_BYTES)), 1), tile_rows)
    starts = [tile_rows * i // count * size for i in range(count)] + [scene.height]
    return [Part(scene, start, end - start, digest) for start, end in pairwise(starts)]


def _unit(parts: tuple[Part, ...], recipe: Recipe) -> Unit:
    first = parts[0]
    rows = "" if first.is_whole else f".{first.row:05d}"
    content = [(p.scene.id, p.digest, p.row, p.height) for p in parts]
    return Unit(f"{shown_id(first.scene.id)}{rows}-{_digest(content, recipe)}", parts)


def _digest(content: object, recipe: Recipe) -> str:
    """Return a digest of everything that decides the bytes of a file, for a unique name."""
    text = repr([FORMAT, recipe.labels_digest(), content])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:_DIGITS]
