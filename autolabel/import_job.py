"""The Spark job of an import: the command `polynya import` on a cluster.

    spark-submit autolabel/import_job.py KIND SOURCE... --out DIR [--recipe FILE]

Other engines run the same job: `polynya import --engine processes`, or

    mpirun -n 4 python -m mpi4py.futures autolabel/import_job.py --engine mpi KIND SOURCE...
"""

from __future__ import annotations

from autolabel.commands import (
    EngineOption,
    Kind,
    Out,
    Overwrite,
    RecipeFile,
    Retries,
    Sources,
    Workers,
    import_labels,
)
from polynya.cli import run_script
from polynya.recipe.overrides import Settings


def job(
    kind: Kind,
    sources: Sources,
    out: Out,
    recipe: RecipeFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    engine: EngineOption = "spark",
    workers: Workers = None,
    retries: Retries = 2,
) -> None:
    """Make shards from images and labels that you have, on Spark."""
    import_labels(kind, sources, out, recipe, settings, overwrite, engine, workers, retries)


if __name__ == "__main__":
    run_script(job)
