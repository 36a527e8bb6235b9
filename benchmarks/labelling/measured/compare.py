"""The published pipeline against Polynya's, on the same pixels and cores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.commands import CommandFailedError, run_measured
from benchmarks.common.meter import Cost
from benchmarks.labelling.measured.data import SceneFiles
from benchmarks.labelling.measured.programs import BenchMethod, spark_submit, write_recipe
from polynya.progress import track
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder
from polynya.storage.ownership import remove_ours

_PUBLISHED_SETTINGS = (
    "spark.driver.memory=6g",
    "spark.driver.maxResultSize=0",
    "spark.driver.extraJavaOptions=-XX:+UseParallelGC",
)
"""Spark settings of the published pipeline. It collects all labels on the driver; Spark's defaults
don't allow this for thousands of tiles. It also decodes images in Java, and the project's own
defaults are for a Java that does little."""


@dataclass(frozen=True)
class Pipeline:
    """A way from scenes to labelled tiles."""

    name: str
    method: BenchMethod | None
    """Filter of Polynya's job; None is the published pipeline."""


PUBLISHED = Pipeline("published", None)
SAME_FILTER = Pipeline("Polynya, same filter", "published")
ILLUMINATION = Pipeline("Polynya, its own", "illumination")
PIPELINES = (PUBLISHED, SAME_FILTER, ILLUMINATION)


@dataclass(frozen=True)
class Run:
    """One run of one pipeline."""

    pipeline: Pipeline
    round: int
    tiles: int
    cost: Cost


def run_pipelines(
    scenes: Sequence[SceneFiles],
    rounds: int,
    cores: int,
    folder: Path,
    few: int = 1,
    pipelines: Sequence[Pipeline] = PIPELINES,
) -> list[Run]:
    """Run each pipeline on few and on all scenes, round after round; shards are removed.

    Within a round the pipelines take turns, so that other load on the machine affects all of them.
    The short runs measure the start-up; with `few` 0 there are none. First, all pipelines run on
    some scenes. This warms up caches, and labels are compared: CommandFailedError if two pipelines
    with the same filter label differently.
    """
    first, full = list(scenes[: max(few, 1)]), list(scenes)
    sizes = (first, full) if few else (full,)
    counts = {p.name: _first_run(p, first, cores, folder) for p in PIPELINES}
    if counts[PUBLISHED.name] != counts[SAME_FILTER.name]:
        raise CommandFailedError(
            f"With the same filter, {PUBLISHED.name} counts {dict(counts[PUBLISHED.name])} pixels,"
            f" but {SAME_FILTER.name} {dict(counts[SAME_FILTER.name])}; fix the one that is wrong."
        )
    turns = [
        (number, pipelines[(number + i) % len(pipelines)], chosen)
        for number in range(rounds)
        for i in range(len(pipelines))
        for chosen in sizes
    ]
    runs = []
    for number, pipeline, chosen in track(turns, "Running pipelines"):
        cost = _run(pipeline, chosen, cores, folder)
        runs.append(Run(pipeline, number, sum(scene.n_tiles for scene in chosen), cost))
    return runs


def _first_run(
    pipeline: Pipeline, scenes: Sequence[SceneFiles], cores: int, folder: Path
) -> Counter[str]:
    """Pixels of each class."""
    counts = folder / "counts.json"
    shards = folder / "shards"
    if pipeline.method is None:
        _run(pipeline, scenes, cores, folder, "--counts", str(counts))
        content = json.loads(counts.read_text(encoding="utf-8"))
        return Counter(content["pixels"])
    _run(pipeline, scenes, cores, folder, keep=True)
    total = Counter[str]()
    for row in read_manifest(Folder.at(shards)):
        pairs = (pair.split("=") for pair in row.class_pixels.split())
        total.update({name: int(pixels) for name, pixels in pairs})
    remove_ours(shards)
    return total


def _run(
    pipeline: Pipeline,
    scenes: Sequence[SceneFiles],
    cores: int,
    folder: Path,
    *options: str,
    keep: bool = False,
) -> Cost:
    master, shards = f"local[{cores}]", folder / "shards"
    if pipeline.method is None:
        job = "benchmarks/labelling/jobs/published_job.py"
        start = spark_submit(master, *_PUBLISHED_SETTINGS, script=job)
        # One path with alternatives: this is Spark's syntax for several folders.
        names = ",".join(scene.tiles.name for scene in scenes)
        tiles = f"{scenes[0].tiles.parent.absolute()}/{{{names}}}"
        return run_measured([*start, tiles, *options], folder)
    recipe = write_recipe(folder, pipeline.method, scenes[0].tile)
    start = spark_submit(master, script="autolabel/job.py")
    paths = [str(scene.image.absolute()) for scene in scenes]
    arguments = ["--out", str(shards), "--recipe", str(recipe), "--overwrite", *options]
    cost = run_measured([*start, "--scenes", *paths, *arguments], folder)
    if not keep:
        remove_ours(shards)
    return cost
