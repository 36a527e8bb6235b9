"""Options that the label and the accuracy benchmark have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.labels.sets import Split

SplitOption = Annotated[
    Split, typer.Option(help="Sites: heldout, or dev, on which methods may be tuned.")
]
SitesOption = Annotated[
    int | None, typer.Option(min=1, help="Sites of each set; default: the set's own number.")
]
