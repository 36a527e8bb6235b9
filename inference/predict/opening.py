"""Opens scenes as the recipe of a model reads them, also tiles of an imported data set."""

from __future__ import annotations

from autolabel.importers.rasters import describe_raster
from polynya.errors import SceneError
from polynya.rasters.opening import opened_raster
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene
from polynya.scenes.shown_colors import with_shown_colors


def open_for_model(ref: SceneRef, recipe: Recipe) -> Scene:
    """Describe a scene that a model will see.

    Colours are needed by models of colours only. For other models they are there for pictures: if
    their reflectance isn't known they are stretched to the scene, and they may be missing.
    The bands of files with as many bands as `imports.bands` has names are those of the import, by
    number; files with other bands must name them.

    Args:
        ref: The scene.
        recipe: Recipe of the model.

    Raises:
        SceneError: The scene can't be used.
    """
    is_imported = recipe.imports is not None and (
        recipe.imports.bands is None or _band_count(ref.uri) == len(recipe.imports.bands)
    )

    def describe(needs_colors: bool) -> Scene:
        if is_imported:
            return describe_raster(ref, recipe, needs_colors=needs_colors)
        return open_scene(ref.uri, recipe.scene, ref.id, needs_colors=needs_colors)

    if recipe.scene.inputs is None:
        return describe(needs_colors=True)
    try:
        return describe(needs_colors=True)
    except SceneError:
        # An error of more than the colours comes again.
        return with_shown_colors(describe(needs_colors=False))


def _band_count(uri: str) -> int:
    with opened_raster(uri) as source:
        return int(source.count)
