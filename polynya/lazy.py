"""Lazy imports: names of a package that are imported at their first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from polynya.errors import not_importable


def lazy_names(
    package: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: `__name__` of the package.
        places: From public name to "module:attribute", or to "module" for a module itself.

    Returns:
        Both functions. `__getattr__` raises MissingDependencyError if the module of a name needs
        a package that is not installed.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module, _, attribute = places[name].partition(":")
        try:
            value = import_module(module)
        except ImportError as error:
            raise not_importable(error) from error
        value = getattr(value, attribute) if attribute else value
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return get, names
