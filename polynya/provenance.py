"""Provenance of every product. It never contains the time, because the time changes the bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from polynya import __version__
from polynya.recipe.recipe import Recipe


def provenance(recipe: Recipe, **extra: str) -> dict[str, str]:
    """Version, recipe digest and extra entries, as flat text for tags and metadata."""
    return {"polynya_version": __version__, "recipe_digest": recipe.digest(), **extra}


def file_digest(path: str | Path) -> str:
    """SHA-256 (first 16 hex digits) of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
