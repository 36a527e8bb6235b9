"""The exporters, by kind: `EXPORTER` in the module of the kind's name."""

from __future__ import annotations

from importlib import import_module

from inference.exports.exporter import Exporter
from polynya.errors import ShardError

KINDS = ("gym", "rle", "kelp", "masks")


def find_exporter(kind: str) -> Exporter:
    """Return the exporter of a kind.

    Raises:
        ShardError: There is no such kind.
    """
    if kind not in KINDS:
        raise ShardError(f"There is no kind of export '{kind}'; take one of {', '.join(KINDS)}.")
    found: Exporter = import_module(f"inference.exports.{kind}").EXPORTER
    return found
