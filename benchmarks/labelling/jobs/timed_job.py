"""`autolabel/job.py` with a record of its time by phase; it takes the same options.

spark-submit benchmarks/labelling/jobs/timed_job.py --record FOLDER --scenes ... --out DIR
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autolabel.commands import EngineOption, MoreScenes, Out, RecipeFile, Scenes, Workers
from autolabel.report import report
from autolabel.run import label_scenes
from autolabel.tasks import Job
from autolabel.words import words_of
from benchmarks.labelling.jobs.timed import TimedEngine
from polynya.cli import run_script
from polynya.engines.engines import open_engine
from polynya.recipe.recipe import load_recipe
from polynya.scenes.finding import find_scenes
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.storage.files import write_text

DRIVER_FILE = "driver.json"
UNITS = "units"


def job(
    scenes: Scenes,
    out: Out,
    record: Annotated[Path, typer.Option(help="Folder for the record of the run.")],
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    engine: EngineOption = "spark",
    workers: Workers = None,
) -> None:
    """Label scenes into shards and record the time of each phase."""
    chosen = load_recipe(recipe)
    folder = start_dataset(out, chosen, overwrite=True)
    refs = find_scenes([*scenes, *(more_scenes or [])], chosen.companions)
    with open_engine(engine, workers) as runner:
        timed = TimedEngine(runner, (record / UNITS).absolute())
        results = label_scenes(refs, Job(chosen, folder, retries=0), timed)
        finish_dataset(folder, results)
    counts = {"scenes": len(results), "tiles": sum(result.labelled for result in results)}
    write_text(record / DRIVER_FILE, json.dumps(counts))
    report(results, folder, words_of(chosen))


if __name__ == "__main__":
    run_script(job)
