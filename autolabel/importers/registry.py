"""The importers, by kind.

`polynya.recipe.imports.ImportOptions` lists the kinds. The kind `some-name` is `IMPORTER` in the
module `autolabel.importers.some_name`, which is imported only when it is needed
(docs/extending.md).
"""

from __future__ import annotations

from importlib import import_module

from autolabel.importers.importer import Importer
from polynya.errors import RecipeError
from polynya.recipe.base import tags_of
from polynya.recipe.imports import ImportOptions
from polynya.recipe.recipe import Recipe, parse_recipe

KINDS = tags_of(ImportOptions, "kind")


def find_importer(kind: str) -> Importer:
    """Return the importer of a kind."""
    found: Importer = import_module(f"autolabel.importers.{kind.replace('-', '_')}").IMPORTER
    return found


def importer_of(recipe: Recipe) -> Importer:
    """Return the importer that a recipe with the section `imports` names."""
    assert recipe.imports is not None
    return find_importer(recipe.imports.kind)


def import_recipe(recipe: Recipe, kind: str) -> Recipe:
    """Put the kind of a command into the recipe.

    Args:
        recipe: May have a section `imports` of this kind.
        kind: One of `KINDS`.

    Raises:
        RecipeError: There is no such kind, the recipe has another, or the kind needs keys.
    """
    if kind not in KINDS:
        raise RecipeError(f"There is no kind of import '{kind}'; take one of {', '.join(KINDS)}.")
    if recipe.imports is None:
        content = recipe.model_dump(exclude_unset=True) | {"imports": {"kind": kind}}
        return parse_recipe(content, source=f"of the kind {kind}")
    if recipe.imports.kind != kind:
        raise RecipeError(
            f"The recipe key 'imports.kind' is '{recipe.imports.kind}' and the command says"
            f" '{kind}'; make them the same."
        )
    return recipe
