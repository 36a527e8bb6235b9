"""Writing a profile into a recipe: a new file, or one that people have written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from polynya.errors import OutputError, reason_of
from polynya.names import printable
from polynya.recipe.editing import with_keys
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.thresholds import Profile
from polynya.recipe.yaml_files import parse_text
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import is_ours


class RecipeFile:
    """The recipe that a profile is saved into."""

    def __init__(self, path: Path, base: str = "", *, update: bool = False) -> None:
        """Look at the file, so that a mistake is reported before any work.

        Args:
            path: The file.
            base: Text of a recipe that a new file begins with.
            update: Put the profile into a file that is there, also if people wrote it.

        Raises:
            OutputError: There is a file that Polynya didn't write, and `update` is False; or `path`
                is a folder.
        """
        self.path, self._base, self._update = path, base, update
        self._check()

    def _check(self) -> None:
        if self.path.is_dir():
            raise OutputError(
                f"{printable(self.path)} is a folder; give the name of a YAML file as --out."
            )
        if os.path.lexists(self.path) and not self._update and not is_ours(self.path):
            raise OutputError(
                f"{printable(self.path)} is there and is not a file that Polynya wrote; add"
                " --update to put the profile into it (its other keys and comments stay), or choose"
                " another --out."
            )

    def save(self, profile: Profile, method: str) -> Recipe:
        """Write the profile and the filter; other keys stay.

        Args:
            profile: Becomes `label.profile`.
            method: Becomes `label.method`.

        Returns:
            The whole recipe.

        Raises:
            OutputError: The file can't be written, or a file of other people has the path.
            RecipeError: The recipe can't be used with this profile, or can't be changed in place.
        """
        self._check()
        shown = printable(self.path)
        there = os.path.lexists(self.path)
        before = _read(self.path) if there else self._base
        keys: dict[str, Any] = {"profile": profile.model_dump(mode="json")}
        label = parse_text(before, f"recipe {shown}").get("label")
        if method != (label or {}).get("method"):
            keys = {"method": method} | keys
        text = with_keys(before, "label", keys, shown)
        recipe = parse_recipe(parse_text(text, f"recipe {shown}"), shown)
        make_folder(self.path.absolute().parent)
        if there and not is_ours(self.path):
            _replace(self.path, text)
        else:
            write_text(self.path.absolute(), text)
        return recipe


def _read(path: Path) -> str:
    try:
        # Line ends stay as they are.
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{printable(path)} can't be read as text: {reason_of(error)}; choose another --out."
        ) from None


def _replace(path: Path, text: str) -> None:
    """Replace a file of other people, whole or not at all; it stays theirs."""
    target = Path(os.path.realpath(path))  # A link stays a link.
    temporary = target.with_name(f".{uuid4().hex}{target.suffix}")
    try:
        temporary.write_bytes(text.encode())
        os.chmod(temporary, target.stat().st_mode & 0o777)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{printable(path)} can't be written: {reason_of(error)}; choose another --out."
        ) from None
