"""Texts of files, as they are."""

from __future__ import annotations

from polynya.report.html import Html, element


def listing(text: str) -> Html:
    """Show the lines of a text, such as a recipe."""
    # A line each: characters that can't be seen, such as its end, would be shown as escapes.
    lines = (element("span", line) for line in text.splitlines())
    shown = element("code", Html("\n".join(lines)))
    return element("pre", shown, _class="listing", tabindex=0)
