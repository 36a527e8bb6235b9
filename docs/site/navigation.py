"""Navigation of the site from the lists of docs/index.md, which is plain Markdown.

Each heading with a list of links becomes a part of the navigation. A page in no list makes Sphinx
warn, and so fails the build.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_SECTION = re.compile(r"^## (.+)\n\n((?:- .+\n)+)", re.MULTILINE)
_LINK = re.compile(r"^- \[(.+?)\]\((.+?)\.(?:md|ipynb)\)", re.MULTILINE)


def toctrees(text: str) -> str:
    """The directives for the lists of a page."""
    trees = []
    for caption, links in _SECTION.findall(text):
        entries = [f"{title} <{page}>" for title, page in _LINK.findall(links)]
        trees.append(
            "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"])
        )
    return "\n\n".join(trees)


def _add_toctrees(app: Sphinx, docname: str, content: list[str]) -> None:
    if docname == app.config.root_doc:
        content[0] += f"\n{toctrees(content[0])}\n"


def _give_levels(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Say which level the headings of the navigation have, for those who hear the page."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _add_toctrees)
    # After Furo has made the tree.
    app.connect("html-page-context", _give_levels, priority=900)
    return {"parallel_read_safe": True}
