"""`polynya evaluate`: compares sources of labels with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from inference.evaluate.choice import Choice, Chosen, choose
from inference.evaluate.report import FILES, SCENES_FILE, write_scene_report, write_tile_report
from inference.evaluate.results import Settings
from inference.evaluate.samples import chosen_metrics
from inference.evaluate.scenes import ScenePlan, evaluate_scenes, open_each
from inference.evaluate.scores import Evaluation
from inference.evaluate.sites import TilePlan, choose_tiles, evaluate_tiles
from inference.evaluate.summary import results_of
from inference.evaluate.tables import Rows
from inference.evaluate.truths import open_truth
from polynya.errors import SceneError, ScenesFailedError, failed_of
from polynya.shards.dataset import open_shards
from polynya.splits.groups import site_pattern
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free

_OF_TRUTH, _OF_METHODS, _OF_NOISE = "Truth", "What is compared", "Intervals"


def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and pictures.")],
    scenes: Annotated[
        list[str] | None,
        typer.Option(
            "--scenes",
            metavar="PATTERN...",
            help="Files, folders, globs or URIs.",
            rich_help_panel=_OF_TRUTH,
        ),
    ] = None,
    more_scenes: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            "--truth",
            help="Truth of the scenes: raster beside each, such as '{stem}_labels.tif', or polygons"
            " (.gpkg, .geojson, .shp); default: '{site}_truth.tif', where {site} is the name up to"
            " the last underscore.",
            rich_help_panel=_OF_TRUTH,
        ),
    ] = None,
    truth_column: Annotated[
        str,
        typer.Option(
            "--truth-column",
            help="Attribute of polygons with the class.",
            rich_help_panel=_OF_TRUTH,
        ),
    ] = "class",
    shards: Annotated[
        str | None,
        typer.Option(
            "--shards",
            help="In place of --scenes: shards with labels that are the truth. With --model, tiles"
            " are scored that validated the (first) model, else all.",
            rich_help_panel=_OF_TRUTH,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="[NAME=]FOLDER",
            help="Folder of a trained model; may be given several times.",
            rich_help_panel=_OF_METHODS,
        ),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--maps",
            metavar="[NAME=]FOLDER",
            help="Maps of 'polynya predict', compared as they are. With the name of a model, in its"
            " place.",
            rich_help_panel=_OF_METHODS,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="[NAME=]SHARDS",
            help="Labels of a data set of shards; may be given several times.",
            rich_help_panel=_OF_METHODS,
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME",
            help="Colour thresholds after this filter; may be given several times. Default: all"
            " filters with --scenes, none with --shards; 'no' for no thresholds.",
            rich_help_panel=_OF_METHODS,
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            metavar="NAME",
            help="Images that the models see: as-trained (default), original, or a filter's name;"
            " may be given several times.",
            rich_help_panel=_OF_METHODS,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Also measure ssim, boundary_f1, or (of models, and maps with probabilities)"
            " calibration_error, kullback_leibler; may be given several times. Default: what the"
            " model's recipe measures.",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            "--site",
            help="Regular expression with one (group), the site, on the scene's id; default: the"
            " name without the sky, with --shards groups of the split.",
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(min=16, help="Edge of the tiles of scenes, pixels; default: the recipe's."),
    ] = None,
    cover: Annotated[
        str | None,
        typer.Option(
            "--cover",
            help="Raster of cloud and shadow beside each scene, 0 where clear, such as"
            " '{stem}_cover.tif'; default: '{site}_sky.tif' of generated scenes, if there.",
        ),
    ] = None,
    cover_limit: Annotated[
        float, typer.Option(min=0, max=100, help="% of cover that divides the tiles.")
    ] = 10.0,
    rows: Annotated[
        Rows,
        typer.Option(
            "--rows",
            help="Rows of confusions in percent; the sea-ice paper has predictions there.",
        ),
    ] = "truth",
    resamples: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, help="Bootstrap samples; 0: none.", rich_help_panel=_OF_NOISE
        ),
    ] = 1000,
    resample: Annotated[
        Literal["scene", "site"],
        typer.Option(
            "--resample",
            help="What is drawn: sites, where several scenes show one ground.",
            rich_help_panel=_OF_NOISE,
        ),
    ] = "scene",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the bootstrap.", rich_help_panel=_OF_NOISE)
    ] = 0,
) -> None:
    """Measure labels by every filter, models, maps and shards against a truth.

    The truth of X_Y.tif is X_truth.tif beside it; Y is the sky: clear, shadow, cloud or both. If
    models have masks, or other classes than the thresholds, thresholds are left out. Writes
    evaluation.json, tables and pictures; docs/evaluation.md says what they mean.
    """
    patterns = [*(scenes or []), *(more_scenes or [])]
    run = _Run(
        out=out,
        site=None if site is None else site_pattern(site, "--site"),
        rows=rows,
        settings=Settings(
            tile_size=tile,
            cover="unknown",
            cover_limit=cover_limit / 100,
            seed=seed,
            resamples=resamples,
            resampled=resample,
        ),
    )
    choice = Choice(
        models=tuple(model or ()),
        maps=tuple(maps or ()),
        labels=tuple(labels or ()),
        filters=None if filters is None else tuple(filters),
        images=tuple(images or ()),
        metrics=chosen_metrics(metric),
        of_shards=shards is not None,
    )
    if shards is not None:
        given = {"--scenes": patterns, "--truth": truth, "--cover": cover, "--tile": tile}
        wrong = next((option for option, value in given.items() if value), None)
        if wrong is not None:
            raise SceneError(f"With --shards, labels of tiles are the truth; leave {wrong} out.")
        if not (model or maps or labels or filters):
            raise SceneError("With --shards, give --model, --maps, --labels or --filter.")
        _score_tiles(shards, choice, run)
        return
    if not patterns:
        raise SceneError("Give --scenes, or --shards and --model, perhaps with --site.")
    chosen = choose(choice)
    plan = ScenePlan(
        recipe=chosen.recipe,
        truth=open_truth(truth, truth_column, chosen.recipe),
        metrics=chosen.metrics,
        wants_probabilities=chosen.wants_probabilities,
        tile_size=tile or chosen.recipe.tiles.size,
        cover=cover,
        site=run.site,
    )
    _score_scenes(patterns, chosen, plan, run)


@dataclass(frozen=True)
class _Run:
    """What scenes and tiles have in common."""

    out: Path
    site: str | None
    rows: Rows
    settings: Settings


def _score_scenes(patterns: list[str], chosen: Chosen, plan: ScenePlan, run: _Run) -> None:
    opened, missed = open_each(patterns, plan.recipe, plan.truth)
    with open_output(run.out, "evaluation") as folder:
        check_free(folder / name for name in FILES)
        evaluation, comparisons = evaluate_scenes(opened, chosen.sources, plan, missed)
        known = any(tile.cover is not None for s in evaluation.scenes for tile in s.tiles)
        settings = run.settings.model_copy(
            update={"tile_size": plan.tile_size, "cover": "true" if known else "unknown"}
        )
        results = results_of(evaluation, settings, "scenes")
        write_scene_report(evaluation, results, comparisons, folder, run.rows)
    _finish(evaluation, folder)


def _score_tiles(place: str, choice: Choice, run: _Run) -> None:
    shards = open_shards(place)
    chosen = choose(choice, shards.recipe)
    plan = TilePlan(
        shards=shards,
        groups=choose_tiles(shards, chosen.sources, run.site),
        batch_size=chosen.recipe.training.batch_size,
        metrics=chosen.metrics,
        wants_probabilities=chosen.wants_probabilities,
    )
    with open_output(run.out, "evaluation") as folder:
        check_free(folder / name for name in FILES)
        evaluation = evaluate_tiles(plan, chosen.sources)
        known = any(tile.cover is not None for s in evaluation.scenes for tile in s.tiles)
        settings = run.settings.model_copy(
            update={
                "tile_size": shards.recipe.tiles.size,
                "cover": "estimated" if known else "unknown",
            }
        )
        results = results_of(evaluation, settings, "tiles")
        write_tile_report(evaluation, results, folder, run.rows)
    _finish(evaluation, folder)


def _finish(evaluation: Evaluation, folder: Path) -> None:
    """Say where everything is; ScenesFailedError if a scene has no score."""
    typer.echo(f"Tables and pictures are in {folder}")
    missed, done = len(evaluation.missed), len(evaluation.scenes)
    if missed:
        raise ScenesFailedError(
            f"{failed_of(missed, missed + done)}; {folder / SCENES_FILE} has the reasons."
        )
