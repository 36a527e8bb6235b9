"""`polynya tune-sampling`: searches the factors by which training tiles are drawn.

split.json                       which tiles train and validate, the same for all
each, trial-0 ...                trainings, as of `polynya train`
each-seed-1, trial-7-seed-1 ...  trainings with other seeds, of each tile once and of the best trial
sampling.csv, .md                scores and factors, best first
sampling.yaml                    the best factors as a section of a recipe
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inference.studies.cross_validation import Overwrite, RecipeFile, Resume, Shards
from inference.studies.held_out import keep_split, validating_split
from polynya.errors import ModelError
from polynya.recipe.overrides import Overrides, resolve
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.yaml_files import write_yaml
from polynya.shards.dataset import ShardSet, open_shards
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free

if TYPE_CHECKING:
    from inference.studies.sampling_search import Trial, Weights
    from training.run.session import Session

TABLE, PAGE, SNIPPET = "sampling.csv", "sampling.md", "sampling.yaml"
_SPLIT = "split.json"
_REMEDY = "give another --out, or --overwrite to begin all trainings again"
_EACH = "each"


@dataclass(frozen=True)
class Search:
    """What a search does."""

    trials: int
    epochs: int | None
    """Epochs of a training; None: the recipe's."""
    seeds: int
    """Trainings with other seeds of the best trial, and of each tile once."""


def tune_sampling(
    shards: Shards,
    out: Annotated[Path, typer.Option("--out", help="Folder for models, table and recipe.")],
    recipe: RecipeFile = None,
    trials: Annotated[
        int, typer.Option(min=1, max=10_000, help="Factors to try, drawn at random.")
    ] = 20,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of a training; default: the recipe's.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=2, max=100, help="Trainings with other seeds that check the best.")
    ] = 3,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Search the weights by which tiles are drawn (training.sampling, features).

    Trainings learn from the training tiles and are scored on the validation tiles. Under
    horovodrun, mpirun or srun each model trains on all ranks, as by `polynya train`.
    """
    from training.run.session import open_session

    session = open_session(shards, recipe, trains_often=True)
    search = Search(trials, epochs, seeds)
    run_search(session, shards, out, recipe, search, overwrite=overwrite, resume=resume)


def run_search(
    session: Session,
    shards_folder: str,
    out: Path,
    recipe_file: Path | None,
    search: Search,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> list[Trial]:
    """Search the factors of features; every rank must call it.

    Args:
        session: The ranks.
        shards_folder: Labelled tiles.
        out: Folder to write into.
        recipe_file: Recipe of the trainings; None for that of the shards.
        search: What to try.
        overwrite: Begin all trainings again.
        resume: Leave out finished trainings.

    Returns:
        All trials, in the order of their training; empty on other ranks than the first.

    Raises:
        PolynyaError: The table can't be made, or no trial has a score.
        typer.Exit: A training can't start; the reason has been printed.
    """
    from inference.studies.sampling_search import (
        best_of,
        draw_weights,
        feature_names,
        sampling_of,
    )
    from training.ranks.agreement import gather_results, together
    from training.run.several import Planned, by_split, train_each

    def prepare() -> tuple[ShardSet, Recipe, dict[str, Weights | None]]:
        shards = open_shards(shards_folder)
        recipe = shards.recipe if recipe_file is None else load_recipe(recipe_file)
        split = validating_split(shards, recipe, "A search")
        drawn = draw_weights(feature_names(recipe), search.trials, recipe.seed)
        weights = {_EACH: None, **{f"trial-{n}": own for n, own in enumerate(drawn)}}
        for one in weights.values():  # What the recipe's own checks refuse is refused at once.
            whole = resolve(recipe, overrides(recipe, one))
            Recipe.model_validate(whole.model_dump(mode="json"))
        if session.is_first:
            held.enter_context(open_output(out, "trainings"))
            check_free(out / name for name in (TABLE, PAGE, SNIPPET, _SPLIT))
            keep_split(split, out / _SPLIT, "a search", _REMEDY, anew=overwrite)
        return shards, recipe, weights

    def overrides(recipe: Recipe, weights: Weights | None, further: int = 0) -> Overrides:
        return {
            **by_split(recipe, out / _SPLIT),
            "training.sampling": sampling_of(weights, recipe),
            "training.epochs": search.epochs,
            "seed": (recipe.seed + further) % 2**31,
        }

    def train(planned: dict[str, Overrides]) -> None:
        plans = [Planned(out / name, overrides) for name, overrides in planned.items()]
        train_each(session, shards, recipe_file, recipe, plans, overwrite=overwrite, resume=resume)

    def choose() -> Trial | None:
        return best_of(_trials(weights, recipe, out)) if session.is_first else None

    with ExitStack() as held:
        with session.one_error():
            shards, recipe, weights = together(session.collective, prepare)
            train({name: overrides(recipe, own) for name, own in weights.items()})
            best = gather_results(session.collective, choose)[0]
            if best is None:
                raise ModelError(
                    f"No trial in {out} has a score on the validation tiles, as they have no"
                    " labels; take validation tiles with labels (the recipe's section 'split')."
                )
            checks = _check_names(best, search.seeds)
            train(
                {
                    name: overrides(recipe, best.weights if is_best else None, seed)
                    for seed, pair in checks.items()
                    for name, is_best in zip(pair, (False, True), strict=True)
                }
            )
        return _finish(weights, best, recipe, out, checks) if session.is_first else []


def _check_names(best: Trial, seeds: int) -> dict[int, tuple[str, str]]:
    """Folders of the trainings that check the best trial, by what is added to the seed."""
    return {n: (f"{_EACH}-seed-{n}", f"{best.name}-seed-{n}") for n in range(1, seeds + 1)}


def _trials(weights: dict[str, Weights | None], recipe: Recipe, out: Path) -> list[Trial]:
    from inference.studies.results import validation_scores
    from inference.studies.sampling_search import Trial

    return [
        Trial(name, own, validation_scores(out / name, recipe)[0]) for name, own in weights.items()
    ]


def _finish(
    weights: dict[str, Weights | None],
    best: Trial,
    recipe: Recipe,
    out: Path,
    checks: dict[int, tuple[str, str]],
) -> list[Trial]:
    """Write the table and the snippet, and print the answer."""
    from inference.studies.results import validation_scores
    from inference.studies.sampling_search import (
        answer,
        feature_names,
        sampling_of,
        trials_table,
    )

    trials = _trials(weights, recipe, out)
    table = trials_table(trials, feature_names(recipe))
    scores: Sequence[list[float]] = [
        [validation_scores(out / pair[side], recipe)[0] for pair in checks.values()]
        for side in (0, 1)
    ]
    sentence = answer(scores[0], scores[1])
    table.print()
    table.write_csv(out / TABLE)
    write_text(out / PAGE, f"{table.markdown()}\n{sentence}\n")
    sampling = sampling_of(best.weights, recipe).model_dump(mode="json", exclude_defaults=True)
    content = {"training": {"sampling": {"name": "features", **sampling}}}
    write_text(out / SNIPPET, f"# {best.name}: {sentence}\n{write_yaml(content)}")
    typer.echo(sentence)
    typer.echo(f"Table: {out / TABLE}; the best weights for a recipe: {out / SNIPPET}")
    return trials
