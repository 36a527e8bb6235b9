"""Several trainings of one command, each in a folder of its own; finished ones are not repeated."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from polynya.errors import OutputError
from polynya.progress import console
from polynya.recipe.overrides import Overrides, resolve
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet
from training.input.split import split_by_file
from training.model_folder import checkpoints
from training.model_folder import folder as model_folder
from training.ranks.agreement import gather_results
from training.run.build import check_recipe, data_digest, scene_digests
from training.run.session import Session


@dataclass(frozen=True)
class Planned:
    """One of several trainings."""

    folder: Path
    """Folder of its model."""
    overrides: Overrides
    """What its recipe has in place of the common one. It names the file of a split."""


def by_split(recipe: Recipe, file: Path, fold: int = 0) -> Overrides:
    """Make a training use a fold of a split file, whatever else the recipe says of a split."""
    changes = {"file": str(file), "fold": fold, "held_out": None}
    return {"split": recipe.split.model_copy(update=changes)}


def train_each(
    session: Session,
    shards: ShardSet,
    recipe_file: Path | None,
    recipe: Recipe,
    plans: Sequence[Planned],
    *,
    overwrite: bool = False,
    resume: bool = False,
    others: Sequence[Path] = (),
) -> None:
    """Train models one after the other; every rank must call it.

    Args:
        session: The ranks.
        shards: Labelled tiles.
        recipe_file: Recipe of all trainings; None for that of the shards.
        recipe: The recipe in that file.
        plans: The trainings.
        overwrite: Remove all models and unfinished trainings of these folders first.
        resume: Leave out finished trainings, and go on with one that was cut.
        others: Folders of models made of these models, which `overwrite` removes, too.

    Raises:
        PolynyaError: The recipe or a split can't be used, or a folder has a training that neither
            `resume` nor `overwrite` allows, or of another recipe; every rank raises it before any
            training.
    """

    def check() -> list[bool]:
        if not session.is_first:
            return []
        check_recipe(recipe, shards)
        for plan in plans:
            split_by_file(shards, resolve(recipe, plan.overrides).split)
        if overwrite:
            _remove([*others, *(plan.folder for plan in plans)])
        return [_is_finished(plan, shards, recipe, resume) for plan in plans]

    finished = gather_results(session.collective, check)[0]
    for number, (plan, is_done) in enumerate(zip(plans, finished, strict=True), start=1):
        if session.is_first:
            what = "is finished" if is_done else "begins"
            console.print(
                f"Training {number} of {len(plans)} {what}: {plan.folder}",
                markup=False,
                soft_wrap=True,
            )
        if is_done:
            continue
        has_checkpoint = gather_results(
            session.collective, partial(checkpoints.any_in, plan.folder)
        )[0]
        # Names of layers are counted, and the memory of the last model is needed.
        keras.utils.clear_session()
        gc.collect()
        session.train(
            str(shards.folder),
            plan.folder,
            recipe_file,
            overrides=plan.overrides,
            overwrite=resume and not has_checkpoint,
            resume=has_checkpoint,
        )


def _remove(folders: Sequence[Path]) -> None:
    """Remove models of ours; nothing is removed if one of the folders can't be taken."""
    with ExitStack() as held:
        known = [folder for folder in folders if folder.exists()]
        for folder in known:
            held.enter_context(model_folder.claimed(folder, overwrite=True))
        for folder in known:
            model_folder.clear(folder)


def _is_finished(plan: Planned, shards: ShardSet, recipe: Recipe, resume: bool) -> bool:
    """Whether a folder has the model of a plan.

    Raises:
        OutputError: It has another one, or one that must not be gone on with.
    """
    folder = plan.folder
    if not (folder / model_folder.CARD_FILE).is_file():
        if folder.exists():
            # A training that was killed before its first checkpoint begins again, because
            # --overwrite would remove the finished models too.
            begins = resume and not checkpoints.any_in(folder)
            # Files of somebody else are found before other models have been trained.
            with model_folder.claimed(folder, overwrite=begins, resume=resume):
                pass
        return False
    if not resume:
        raise OutputError(
            f"{folder} holds a finished model of an earlier run; add --resume to leave out finished"
            " trainings and go on with the others, or --overwrite to begin all of them again."
        )
    wanted, found = resolve(recipe, plan.overrides), model_folder.read_provenance(folder)
    split = split_by_file(shards, wanted.split)
    content, known = scene_digests(shards, split), model_folder.training_digests(folder)
    for is_same, what in (
        (found.get("recipe_digest") == wanted.digest(), "another recipe"),
        (found.get("shards_digest") == shards.recipe.labels_digest(), "other shards"),
        (found.get("split_digest") == split.digest, "another split"),
        # Scenes may have been labelled again, or tiles dropped, since then.
        (found.get("data_digest") == data_digest(shards, split), "other tiles"),
        (known == content, "other scenes"),
    ):
        if not is_same:
            raise OutputError(
                f"{folder} holds a finished model of {what}; give the same as before, another"
                " --out, or --overwrite to begin all trainings again."
            )
    return True
