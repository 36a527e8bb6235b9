"""The programs that are measured, as command lines."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from benchmarks.common.commands import ROOT
from polynya.storage.files import write_text

BenchMethod = Literal["illumination", "published"]

_SETTINGS = ("spark.log.level=WARN", "spark.ui.enabled=false", "spark.ui.showConsoleProgress=false")


def spark_submit(master: str, *settings: str, script: str) -> list[str]:
    """Return the start of a command line: Spark, its settings and a program of the clone."""
    confs = [word for setting in (*_SETTINGS, *settings) for word in ("--conf", setting)]
    return ["spark-submit", "--master", master, *confs, str(ROOT / script)]


def write_recipe(folder: Path, method: BenchMethod, tile: int) -> Path:
    """Write a recipe with a filter; the published filter gets the scope of one tile."""
    scope = "tile" if method == "published" else "scene"
    content = {"tiles": {"size": tile}, "label": {"method": method, "scope": scope}}
    path = folder / f"{method}-{tile}px.yaml"
    write_text(path, yaml.safe_dump(content))
    return path
