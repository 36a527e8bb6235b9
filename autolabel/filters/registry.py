"""The filters before the colour thresholds, by name.

`polynya.recipe.label.FilterName` lists the names. The filter `some-name` is `FILTER` in the module
`autolabel.filters.some_name`, which is imported only when it is needed (docs/extending.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, get_args

from autolabel.filters.filter import Filter, LightSteps
from polynya.recipe.label import FilterName, LabelOptions

FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)


def find_filter(name: FilterName) -> Filter:
    """Return the filter with a name."""
    found: Filter = import_module(f"autolabel.filters.{name.replace('-', '_')}").FILTER
    return found


def filter_of(options: LabelOptions) -> Filter:
    """Return the filter of a recipe; `none` if it is for neither labels nor images."""
    return find_filter(options.method if options.runs_filter else "none")


def needs_whole(options: LabelOptions) -> bool:
    """Whether a scene must be filtered in one piece: the filter needs all pixels at once."""
    return options.scope == "scene" and filter_of(options).needs_whole


def uses_layers(options: LabelOptions) -> bool:
    """Whether labels depend on a scene's layers; if not, they needn't be read."""
    return options.scope == "scene" and bool(filter_of(options).layers)


def light_steps(options: LabelOptions) -> LightSteps[Any] | None:
    """Return the steps of a filter that finds the light over whole scenes.

    Returns None for other filters, and if the recipe filters tiles.
    """
    return filter_of(options).light if options.scope == "scene" else None
