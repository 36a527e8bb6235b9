"""pystac's validator with the schemas that the set-up fetched; it never asks a network."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from stac_schemas import read_schemas

EXTENSIONS = "https://stac-extensions.github.io"

_PREFIXES = {
    "classification": "classification",
    "file": "file",
    "mlm": "mlm",
    "processing": "processing",
    "proj": "projection",
    "raster": "raster",
}
"""Extension by the prefix of its fields; fields of our own begin with `polynya:`."""


class LocalValidator(JsonSchemaSTACValidator):
    """Has core STAC from pystac and extensions from the set-up; any other schema is an error."""

    def __init__(self) -> None:
        super().__init__()
        schemas = read_schemas()
        # mlm v1.4.0 refers to this one for the classes of an output, and no package has it. A class
        # needs value and description there, in v2.0.0 value and name. What has all three is right
        # in both: every other rule for classes is the same or stricter in v2.0.0.
        stand_in = copy.deepcopy(schemas[f"{EXTENSIONS}/classification/v2.0.0/schema.json"])
        stand_in["definitions"]["class_object"]["required"].append("description")
        schemas[f"{EXTENSIONS}/classification/v1.1.0/schema.json"] = stand_in
        self.schema_cache |= schemas

    def _get_schema(self, schema_uri: str) -> dict[str, Any]:
        assert schema_uri in self.schema_cache, (  # pystac would ask the network
            f"no schema {schema_uri}: add it to deploy/setup/stac_schemas.py"
        )
        return super()._get_schema(schema_uri)


validator = lru_cache(maxsize=1)(LocalValidator)


def validate(content: dict[str, Any]) -> set[str]:
    """Validate an item or a collection against STAC 1.1 and every extension that it names.

    Args:
        content: JSON content.

    Returns:
        The extensions, "mlm" and so on.

    Raises:
        STACValidationError: It is not valid.
        AssertionError: A schema is missing, or an extension isn't named, so that its fields would
            not be looked at.
    """
    kind, named = pystac.STACObjectType(content["type"]), content["stac_extensions"]
    _, *passed = validator().validate(content, kind, "1.1.0", named)
    assert passed == named
    extensions = {uri.removeprefix(f"{EXTENSIONS}/").split("/")[0] for uri in named}
    described = {key: value for key, value in content.items() if key != "links"}
    used = {key.partition(":")[0] for key in _keys(described) if ":" in key} - {"polynya"}
    unnamed = {_PREFIXES[prefix] for prefix in used} - extensions
    assert not unnamed, f"there are fields of {unnamed}, which stac_extensions doesn't name"
    return extensions


def validate_folder(folder: Path) -> dict[str, set[str]]:
    """Validate every STAC document of a folder of maps; extensions by the file's name."""
    return {path.name: validate(json.loads(path.read_text())) for path in folder.glob("*.json")}


def _keys(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        yield from content
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _keys(value)
