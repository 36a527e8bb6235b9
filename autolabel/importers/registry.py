"""The importers, by kind.

`polynya.recipe.imports.ImportOptions` lists the kinds. The kind `some-name` is `IMPORTER` in the
module `autolabel.importers.some_name`, which is imported only when it is needed
(docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from autolabel.importers.importer import Importer
from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.base import tags_of
from polynya.recipe.imports import ImportOptions
from polynya.recipe.overrides import put_settings, settings_source, with_settings
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.shipped import shipped_as

KINDS = tags_of(ImportOptions, "kind")


def find_importer(kind: str) -> Importer:
    """Return the importer of a kind."""
    found: Importer = import_module(f"autolabel.importers.{kind.replace('-', '_')}").IMPORTER
    return found


def importer_of(recipe: Recipe) -> Importer:
    """Return the importer that a recipe with the section `imports` names."""
    assert recipe.imports is not None
    return find_importer(recipe.imports.kind)


def import_recipe(file: str | Path | None, kind: str, settings: Sequence[str] = ()) -> Recipe:
    """Read the recipe of an import.

    Args:
        file: A recipe, which may have a section `imports` of this kind; None: the recipe that ships
            under the name of the kind, otherwise all defaults.
        kind: One of `KINDS`.
        settings: Values of `--set`, which may be those of the section `imports`.

    Raises:
        RecipeError: There is no such kind, the recipe has another, or the kind needs keys.
    """
    if kind not in KINDS:
        raise RecipeError(f"There is no kind of import '{kind}'; take one of {', '.join(KINDS)}.")
    if file is None:
        file = shipped_as(kind)
    recipe = load_recipe(file)
    if recipe.imports is None:
        content = recipe.model_dump(mode="json", exclude_unset=True) | {"imports": {"kind": kind}}
        put_settings(content, settings)
        source = f"of the kind {kind}" if file is None else printable(file)
        return parse_recipe(content, settings_source(settings) if settings else source)
    recipe = with_settings(recipe, settings)
    assert recipe.imports is not None
    if recipe.imports.kind != kind:
        raise RecipeError(
            f"The recipe key 'imports.kind' is '{recipe.imports.kind}' and the command says"
            f" '{kind}'; make them the same."
        )
    return recipe
