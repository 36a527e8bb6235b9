"""`polynya predict`: a trained model over scenes, to maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolabel.commands import EngineOption, Workers
from inference.products.registry import parse_products, products_help
from inference.run.options import MapOptions
from inference.run.scenes import map_scenes
from polynya.recipe.classes import Palette
from polynya.recipe.inference import (
    Backend,
    FirstFilter,
    Merge,
    Precision,
    TestTime,
    ThresholdRule,
)
from polynya.sizes import parse_slices

Out = Annotated[Path, typer.Option("--out", help="Folder for the maps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Predict finished scenes again.")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Windows per call of the model; default: the recipe's.")
]
Overlap = Annotated[
    float | None,
    typer.Option(min=0, max=0.95, help="Overlap of windows, as a share; default: the recipe's."),
]
Products = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME...",
        help=f"Products besides the class map: {products_help()}; default: the recipe's.",
    ),
]
Cell = Annotated[
    float | None,
    typer.Option(min=0.001, help="Cell of the ice concentration in metres; default: the recipe's."),
]
BackendOption = Annotated[
    Backend | None, typer.Option("--backend", help="What runs the model; default: the recipe's.")
]
PrecisionOption = Annotated[
    Precision | None, typer.Option("--precision", help="Arithmetic; default: the recipe's.")
]
FilterOption = Annotated[
    FirstFilter | None,
    typer.Option("--filter", help="Filter before the model sees a scene; default: the recipe's."),
]

TtaOption = Annotated[
    TestTime | None,
    typer.Option("--tta", help="Flips and turns that the model also sees; default: the recipe's."),
]
MergeOption = Annotated[
    Merge | None, typer.Option("--merge", help="How these are merged; default: the recipe's.")
]
ThresholdOption = Annotated[
    ThresholdRule | None,
    typer.Option("--threshold", help="Threshold of masks or two classes; default: the recipe's."),
]
Slices = Annotated[
    str | None,
    typer.Option(
        "--slices",
        metavar="EDGE:WINDOW",
        help="Cut scenes into pieces of EDGE pixels and resize them to WINDOW for the model, such"
        " as 128:320; default: the recipe's.",
    ),
]
PaletteOption = Annotated[
    Palette | None,
    typer.Option("--palette", help="Colours of classes; default: the recipe's."),
]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="Files, folders, globs or URIs.")
    ],
    out: Out,
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
    engine: EngineOption = "here",
    workers: Workers = None,
) -> None:
    """Segment whole scenes into georeferenced class maps.

    Writes SCENE.tif (Cloud-Optimized GeoTIFF of class codes, or with one band per mask),
    SCENE.json (STAC item), SCENE.png (overview), summary.csv (area and share of each class) and
    collection.json (STAC collection); docs/maps.md describes these and the products of --products.
    """
    edge, window = parse_slices(slices) if slices else (None, None)
    options = MapOptions(
        model.absolute(),
        out.absolute(),
        overwrite=overwrite,
        overrides={
            "inference.batch_size": batch_size,
            "inference.overlap": overlap,
            "inference.products": parse_products(products),
            "inference.concentration.cell": cell,
            "inference.backend": backend,
            "inference.precision": precision,
            "inference.filter": first_filter,
            "inference.palette": palette,
            "inference.tta": tta,
            "inference.merge": merge,
            "inference.threshold": threshold,
            "inference.slice": edge,
            "inference.window": window,
        },
    )
    map_scenes(scenes, options, engine, workers)
