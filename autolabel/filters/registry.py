"""The filters before the colour thresholds, by name.

The names are those of `polynya.recipe.label.FilterName`. The filter `some-name` is `FILTER` of the
module `autolabel.filters.some_name`, which is imported when it is asked for (docs/extending.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, get_args

from autolabel.filters.filter import Filter, LightSteps
from polynya.recipe.label import FilterName, LabelOptions

FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)


def find_filter(name: FilterName) -> Filter:
    """The filter of a name."""
    found: Filter = import_module(f"autolabel.filters.{name.replace('-', '_')}").FILTER
    return found


def filter_of(options: LabelOptions) -> Filter:
    """The filter before the thresholds: none where people made the labels."""
    return find_filter("none" if options.raster is not None else options.method)


def needs_whole(options: LabelOptions) -> bool:
    """Whether scenes must be filtered at once: the filter needs all pixels and sees no tiles."""
    return options.scope == "scene" and filter_of(options).needs_whole


def light_steps(options: LabelOptions) -> LightSteps[Any] | None:
    """Steps of a filter that finds the light over whole scenes; None for others, and for tiles."""
    return filter_of(options).light if options.scope == "scene" else None
