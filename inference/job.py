"""The Spark job of stage 3.

    spark-submit inference/job.py --scenes PATTERN... --model DIR --out DIR

Each scene is one task; a worker loads the model once. The products are the same as those of
`polynya predict`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

try:
    import typer

    from autolabel.commands import EngineOption, MoreScenes, Scenes, Workers
    from inference.commands import (
        BackendOption,
        BatchSize,
        Cell,
        FilterOption,
        MergeOption,
        Out,
        Overlap,
        Overwrite,
        PaletteOption,
        PrecisionOption,
        Products,
        Slices,
        ThresholdOption,
        TtaOption,
        predict,
    )
    from polynya.cli import run_script
except ModuleNotFoundError as error:
    sys.exit(
        f"Error: {sys.executable} runs this job and has no module {error.name}; unset"
        " PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON, or let them name the Python of Polynya."
    )


def job(
    scenes: Scenes,
    model: Annotated[Path, typer.Option("--model", help="Folder of a trained model.")],
    out: Out,
    more_scenes: MoreScenes = None,
    overwrite: Overwrite = False,
    batch_size: BatchSize = None,
    overlap: Overlap = None,
    products: Products = None,
    cell: Cell = None,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    first_filter: FilterOption = None,
    palette: PaletteOption = None,
    tta: TtaOption = None,
    merge: MergeOption = None,
    threshold: ThresholdOption = None,
    slices: Slices = None,
    engine: EngineOption = "spark",
    workers: Workers = None,
) -> None:
    """Segment whole scenes into georeferenced class maps, on Spark."""
    patterns = [*scenes, *(more_scenes or [])]
    predict(
        model,
        patterns,
        out,
        overwrite=overwrite,
        batch_size=batch_size,
        overlap=overlap,
        products=products,
        cell=cell,
        backend=backend,
        precision=precision,
        first_filter=first_filter,
        palette=palette,
        tta=tta,
        merge=merge,
        threshold=threshold,
        slices=slices,
        engine=engine,
        workers=workers,
    )


if __name__ == "__main__":
    run_script(job)
