"""Prints the table of keys in docs/gym.md: `python -m polynya.recipe.gym`."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from polynya.recipe.gym.keys import GROUPS


def table() -> Iterator[str]:
    """Lines of the table, in Markdown: a row for each key that the Gym documents."""
    yield "| key | what the Gym does with it | answer | keys of the recipe | what differs |"
    yield "|---|---|---|---|---|"
    for name, keys in GROUPS.items():
        yield f"| **{name}** | | | | |"
        for key in keys:
            recipe = ", ".join(f"`{part}`" for part in key.recipe.split(", ")) if key.recipe else ""
            recipe = recipe.replace("`images: ", "images: `").replace("; images: ", "`; images: `")
            recipe = recipe.replace("; npz: ", "`; npz: `")
            yield f"| `{key.name}` | {key.about} | {key.usual.value} | {recipe} | {key.note} |"


if __name__ == "__main__":
    typer.echo("\n".join(table()))
