"""The table of all families of networks."""

from __future__ import annotations

import inspect
import re

from polynya.report.tables import Table
from training.models import NETWORKS, build, builder_of, options_of

BANDS = CLASSES = 3
"""For which the table counts parameters: the sea ice's."""


def families_table() -> Table:
    """List the families with their defaults: parameters, multiple, what for and where from."""
    rows = tuple(
        (
            name,
            f"{build(name, input_shape=(None, None, BANDS), n_classes=CLASSES).count_params():,}",
            str(options_of(name)().multiple),
            purpose_of(name),
            source_of(name),
        )
        for name in NETWORKS
    )
    title = f"Families of networks; parameters with {BANDS} bands and {CLASSES} classes"
    return Table(title, ("model.name", "parameters", "multiple", "what for", "source"), rows)


def purpose_of(name: str) -> str:
    """What a family is for: the first paragraph about its options."""
    return " ".join((inspect.getdoc(options_of(name)) or "").split("\n\n")[0].split())


def source_of(name: str) -> str:
    """Where a family comes from: the paragraph "Source:" about its builder; "" for none."""
    found = re.search(
        r"^Source: (.*?)(?:\n\n|\Z)",
        inspect.getdoc(builder_of(name)) or "",
        re.DOTALL | re.MULTILINE,
    )
    return " ".join(found[1].split()) if found else ""
