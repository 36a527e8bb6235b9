"""`polynya cross-validate`: a model for each fold of a split, scores of all, and their ensemble.

fold-0, fold-1 ...         models, as of `polynya train`; fold N validates fold-N
out_of_fold_0.parquet ...  predictions of the tiles that each hasn't seen (out_of_fold.py)
folds.csv, folds.md        scores
ensemble                   the weighted mean of the models
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polynya.errors import ShardError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.splits.split_file import read_split
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free

if TYPE_CHECKING:
    from inference.studies.folds import FoldResult
    from training.run.session import Session
    from training.run.several import Planned

TABLE = "folds.csv"
PAGE = "folds.md"
ENSEMBLE = "ensemble"

Shards = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Labelled tiles, from `polynya label`.")
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="Recipe: a YAML file or the name of one that ships; default: that of the shards.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin all trainings again.")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Leave out finished trainings, and go on with one that was cut."),
]


def cross_validate(
    shards: Shards,
    split: Annotated[
        Path, typer.Option("--split", help="File of `polynya split --folds K`: K trainings.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for models, predictions, table.")],
    recipe: RecipeFile = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train a model for each fold, score it on tiles that it hasn't seen, and make an ensemble.

    Under horovodrun, mpirun or srun each model trains on all ranks, as by `polynya train`.
    """
    from training.run.session import open_session

    session = open_session(shards, recipe, trains_often=True)
    run_folds(session, shards, split, out, recipe, overwrite=overwrite, resume=resume)


def run_folds(
    session: Session,
    shards_folder: str,
    split: Path,
    out: Path,
    recipe_file: Path | None,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> list[FoldResult]:
    """Do a cross-validation; every rank must call it.

    Args:
        session: The ranks.
        shards_folder: Labelled tiles.
        split: File of a split with at least two folds.
        out: Folder to write into.
        recipe_file: Recipe of the trainings; None for that of the shards.
        overwrite: Begin all trainings again.
        resume: Leave out finished trainings and predictions.

    Returns:
        The result of each fold; empty on other ranks than the first.

    Raises:
        PolynyaError: Predictions, tables or the ensemble can't be made.
        typer.Exit: A training can't start; the reason has been printed.
    """
    from training.ranks.agreement import together
    from training.run.session import going_on_later
    from training.run.several import train_each

    def prepare() -> tuple[ShardSet, Recipe, list[Planned]]:
        shards = open_shards(shards_folder)
        recipe = shards.recipe if recipe_file is None else load_recipe(recipe_file)
        plans = _plans(split, out, recipe)
        if session.is_first:
            held.enter_context(open_output(out, "trainings"))
            names = (TABLE, PAGE, *(_predictions(fold) for fold in range(len(plans))))
            check_free(out / name for name in names)
        return shards, recipe, plans

    with ExitStack() as held, going_on_later():
        with session.one_error():
            shards, recipe, plans = together(session.collective, prepare)
            train_each(
                session,
                shards,
                recipe_file,
                recipe,
                plans,
                overwrite=overwrite,
                resume=resume,
                others=[out / ENSEMBLE],
            )
        return _finish(shards, recipe, plans, out) if session.is_first else []


def _plans(split: Path, out: Path, recipe: Recipe) -> list[Planned]:
    from training.run.several import Planned, by_split

    folds = read_split(split).folds
    if folds < 2:
        raise ShardError(
            f"The split {split} holds out tiles once and has no folds, so there is nothing to"
            " compare; make one with 'polynya split --folds 5'."
        )
    return [Planned(out / f"fold-{fold}", by_split(recipe, split, fold)) for fold in range(folds)]


def _finish(
    shards: ShardSet, recipe: Recipe, plans: Sequence[Planned], out: Path
) -> list[FoldResult]:
    """Predict, write the tables and the ensemble."""
    from inference.predict.ensemble import combine, is_ensemble_of
    from inference.studies.folds import fold_table, fold_weights, mean_iou
    from inference.studies.out_of_fold import predict_fold

    results = [
        predict_fold(plan.folder, shards, fold, out / _predictions(fold))
        for fold, plan in enumerate(plans)
    ]
    weights = fold_weights([mean_iou(result.confusion) for result in results])
    table = fold_table(results, weights, recipe.classes)
    table.print()
    table.write_csv(out / TABLE)
    write_text(out / PAGE, table.markdown())
    folders = [plan.folder for plan in plans]
    if not is_ensemble_of(out / ENSEMBLE, folders, weights):
        combine(folders, weights, out / ENSEMBLE)
    typer.echo(f"Table: {out / TABLE}; ensemble of the {len(plans)} models: {out / ENSEMBLE}")
    return results


def _predictions(fold: int) -> str:
    return f"out_of_fold_{fold}.parquet"
