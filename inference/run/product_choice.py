"""Which products a run writes: what the recipe says, unless the command says something else."""

from __future__ import annotations

from typing import get_args

from inference.products.concentration import ice_groups
from polynya.errors import RecipeError
from polynya.recipe.inference import InferenceOptions, ProductName
from polynya.recipe.recipe import Recipe

ALL, NONE = "all", "none"


def parse_products(text: str | None) -> tuple[ProductName, ...] | None:
    """Names of products from the command line.

    Args:
        text: Names with commas between, "all" or "none"; None if the option wasn't given.

    Raises:
        RecipeError: A name that is no product's.
    """
    known = get_args(ProductName)
    if text is None:
        return None
    if text in (ALL, NONE):
        return known if text == ALL else ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise RecipeError(
                f"--products has '{name}', which is no product; take some of"
                f" {', '.join(known)} with commas between, or {ALL} or {NONE}."
            )
    return tuple(name for name in known if name in names)


def inference_options(
    recipe: Recipe,
    products: tuple[ProductName, ...] | None = None,
    cell: float | None = None,
) -> InferenceOptions:
    """The options of a run.

    Args:
        recipe: The model's.
        products: From the command line; None takes the recipe's.
        cell: Edge of a cell of the concentration in metres; likewise.

    Raises:
        RecipeError: A product doesn't fit the recipe's classes.
    """
    options = recipe.inference
    if products is not None:
        options = options.model_copy(update={"products": products})
    if cell is not None:
        concentration = options.concentration.model_copy(update={"cell": cell})
        options = options.model_copy(update={"concentration": concentration})
    if "concentration" in options.products:
        ice_groups(options.concentration, recipe.classes)
    return options


def product_tags(options: InferenceOptions, recipe: Recipe) -> dict[str, str]:
    """What decides the content of the chosen products, as metadata; empty for the map alone."""
    tags: dict[str, str] = {}
    if options.palette != "standard":
        tags["palette"] = options.palette
    if "polygons" in options.products:
        tags["polygons_min_pixels"] = str(options.polygons.min_pixels)
    if "concentration" in options.products:
        concentration = options.concentration
        tags["concentration_cell"] = f"{concentration.cell:g}"
        tags["concentration_cell_pixels"] = str(concentration.cell_pixels)
        groups = ice_groups(concentration, recipe.classes)
        tags["concentration_ice"] = "; ".join(
            f"{group}: {', '.join(recipe.classes.names[code] for code in codes)}"
            for group, codes in groups.items()
        )
    return tags
