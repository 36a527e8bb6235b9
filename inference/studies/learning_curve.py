"""`polynya learning-curve`: trainings on ever more of the labels, and whether they are enough.

seed-0-groups-3.json ...    split of a training: its groups train, the others are left out
seed-0-groups-3 ...         models, as of `polynya train`
learning_curve.csv, .md     scores by number of training groups
learning_curve.png          the same as a picture
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from inference.studies.cross_validation import Overwrite, RecipeFile, Resume, Shards
from inference.studies.held_out import keep_split, validating_split
from polynya.errors import ShardError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free

if TYPE_CHECKING:
    from inference.studies.curve import CurvePoint
    from polynya.splits.split_file import TileSplit
    from training.run.session import Session
    from training.run.several import Planned

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Shares of the training groups."""
_REMEDY = "give another --out, or --overwrite to begin all trainings again"
TABLE, PAGE, PICTURE = "learning_curve.csv", "learning_curve.md", "learning_curve.png"


@dataclass(frozen=True)
class SubsetTraining:
    """A training on some of the groups."""

    plan: Planned
    split: TileSplit
    groups: int
    tiles: int

    @property
    def file(self) -> Path:
        """File of its split."""
        return self.plan.folder.with_name(f"{self.plan.folder.name}.json")


def learning_curve(
    shards: Shards,
    out: Annotated[Path, typer.Option("--out", help="Folder for models, table and picture.")],
    recipe: RecipeFile = None,
    seeds: Annotated[
        int, typer.Option(min=2, max=100, help="Trainings for each number of groups.")
    ] = 3,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train on 10, 25, 50 and 100 % of the training groups: have I enough labels?

    All trainings validate on the same tiles and have the same number of steps. Under horovodrun,
    mpirun or srun each model trains on all ranks, as by `polynya train`.
    """
    from training.run.session import open_session

    session = open_session(shards, recipe, trains_often=True)
    run_curve(session, shards, out, recipe, seeds, overwrite=overwrite, resume=resume)


def run_curve(
    session: Session,
    shards_folder: str,
    out: Path,
    recipe_file: Path | None,
    seeds: int,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> list[CurvePoint]:
    """Make a learning curve; every rank must call it.

    Args:
        session: The ranks.
        shards_folder: Labelled tiles.
        out: Folder to write into.
        recipe_file: Recipe of the trainings; None for that of the shards.
        seeds: Number of trainings for each number of groups, at least 2.
        overwrite: Begin all trainings again.
        resume: Leave out finished trainings.

    Returns:
        The points of the curve; empty on other ranks than the first.

    Raises:
        PolynyaError: Table or picture can't be made.
        typer.Exit: A training can't start; the reason has been printed.
    """
    from training.ranks.agreement import together
    from training.run.session import going_on_later
    from training.run.several import train_each

    def prepare() -> tuple[ShardSet, Recipe, list[SubsetTraining]]:
        shards = open_shards(shards_folder)
        recipe = shards.recipe if recipe_file is None else load_recipe(recipe_file)
        trainings = plan_subsets(shards, recipe, out, seeds)
        if session.is_first:
            held.enter_context(open_output(out, "trainings"))
            check_free([out / TABLE, out / PAGE, out / PICTURE, *(t.file for t in trainings)])
            for one in trainings:
                keep_split(one.split, one.file, "a learning curve", _REMEDY, anew=overwrite)
        return shards, recipe, trainings

    with ExitStack() as held, going_on_later():
        with session.one_error():
            shards, recipe, trainings = together(session.collective, prepare)
            train_each(
                session,
                shards,
                recipe_file,
                recipe,
                [training.plan for training in trainings],
                overwrite=overwrite,
                resume=resume,
            )
        return _finish(trainings, recipe, out) if session.is_first else []


def plan_subsets(shards: ShardSet, recipe: Recipe, out: Path, seeds: int) -> list[SubsetTraining]:
    """Plan the trainings: for each seed, nested subsets of the training groups.

    Args:
        shards: All tiles.
        recipe: Says which of them validate, and the first seed.
        out: Folder for the models.
        seeds: Number of subsets, and of trainings, for each number of groups.

    Raises:
        ShardError: Nothing validates, or there is only one training group.
    """
    from training.run.several import Planned, by_split
    from training.splits.subsets import (
        nested_subsets,
        same_steps,
        subset_sizes,
        training_groups,
        training_tiles,
        with_groups,
    )

    whole = validating_split(shards, recipe, "A learning curve")
    groups, tiles = training_groups(whole), training_tiles(whole)
    if len(groups) < 2:
        raise ShardError(
            f"A learning curve needs at least two groups that train, the shards in {shards.folder}"
            f" have {len(groups)}; label more scenes, or make smaller groups with 'polynya split'"
            " and the recipe's key 'split.file'."
        )
    sizes = subset_sizes(len(groups), SHARES)
    trainings = []
    for number in range(seeds):
        seed = (recipe.seed + number) % 2**31
        for size, chosen in zip(sizes, nested_subsets(groups, sizes, seed), strict=True):
            split = with_groups(whole, chosen)
            own = training_tiles(split)
            folder = out / f"seed-{seed}-groups-{size}"
            overrides = {
                **by_split(recipe, folder.with_name(f"{folder.name}.json")),
                "seed": seed,
                "training": same_steps(recipe.training, tiles, own),
            }
            trainings.append(SubsetTraining(Planned(folder, overrides), split, size, own))
    return trainings


def _finish(trainings: Sequence[SubsetTraining], recipe: Recipe, out: Path) -> list[CurvePoint]:
    """Write table and picture, and print the answer."""
    from inference.studies.curve import answer, curve_table
    from polynya.report.curves import draw_curve

    points = _points(trainings, recipe)
    table, sentence = curve_table(points, recipe.classes), answer(points)
    table.print()
    table.write_csv(out / TABLE)
    write_text(out / PAGE, f"{table.markdown()}\n{sentence}\n")
    draw_curve(
        out / PICTURE,
        [point.groups for point in points],
        [[100 * score for score in point.mean_ious] for point in points],
        axes=("Training groups", "Mean IoU on the validation tiles, %"),
        title=sentence,
    )
    typer.echo(sentence)
    typer.echo(f"Table: {out / TABLE}; picture: {out / PICTURE}")
    return points


def _points(trainings: Sequence[SubsetTraining], recipe: Recipe) -> list[CurvePoint]:
    from inference.studies.curve import CurvePoint
    from inference.studies.results import validation_scores

    sizes = sorted({training.groups for training in trainings})
    points = []
    for size in sizes:
        own = [training for training in trainings if training.groups == size]
        found = [validation_scores(training.plan.folder, recipe) for training in own]
        points.append(
            CurvePoint(
                groups=size,
                share=size / sizes[-1],
                tiles=tuple(training.tiles for training in own),
                mean_ious=tuple(mean for mean, _ in found),
                ious=np.array([ious for _, ious in found]),
            )
        )
    return points
