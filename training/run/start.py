"""Starts a training at the beginning or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from polynya.errors import ModelError, RecipeError
from polynya.progress import console
from polynya.recipe.model import XgboostOptions
from polynya.recipe.overrides import Overrides, resolve, with_settings
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.tracking import check_group
from polynya.shards.dataset import ShardSet, open_shards
from polynya.shards.dropped import DROPPED_FILE
from polynya.storage.files import whole_file
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import check_free
from training.input.split import Split, recipe_split
from training.input.statistics import find_statistics
from training.model_folder import folder as model_folder
from training.model_folder.checkpoints import Checkpoint, Position
from training.models.features import FeaturePlan
from training.ranks.agreement import gather_results, together
from training.ranks.devices import import_tensorflow
from training.ranks.port import Collective
from training.run import ending
from training.run.build import (
    LabelCounts,
    TrainingData,
    check_recipe,
    count_labels,
    load_data,
    make_trainer,
    rank_seed,
)
from training.run.class_weights import loss_weights
from training.run.epochs import Run
from training.run.initial_weights import InitialWeights, read_initial
from training.run.listener import Listener
from training.run.pixel_run import PixelRun
from training.run.tracking import Subject, make_listeners
from training.step.trainer import Trainer
from training.tracking.registry import check_trackers
from training.tracking.tiles import Predict
from training.trees.booster import check_installed

MAY_CHANGE = {"training", "inference", "acquire"}
"""Sections of the recipe that may change when a training goes on."""


def start_run(
    shards_folder: str | Path,
    out: str | Path,
    recipe_file: str | Path | None,
    collective: Collective,
    *,
    threads: int = 1,
    settings: Sequence[str] = (),
    overrides: Overrides | None = None,
    start_from: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
    group: str | None = None,
) -> Run | PixelRun:
    """Read the data, build the model and lock its folder until the end of the training.

    Args:
        shards_folder: Shards from `polynya label` or `autolabel/job.py`.
        out: Folder for the model.
        recipe_file: YAML file; None takes the recipe of the shards.
        collective: The ranks.
        threads: Number of threads of this rank.
        settings: Values of `--set`, put into the recipe before `overrides`.
        overrides: Values in place of the recipe's, by key.
        start_from: Folder of a model that gives the initial weights, in place of the recipe's
            `training.start_from`; not used if the training goes on from a checkpoint.
        overwrite: Replace a finished or unfinished model.
        resume: Go on from the last checkpoint, if there is one.
        listeners: Listeners in addition to the writer of the model and to trackers, on rank 0.
        group: Key of the run in trackers under which this one is put, such as a sweep's.

    Raises:
        PolynyaError: Shards, recipe or output can't be used; every rank raises the same error.
    """
    import_tensorflow()

    def read_recipe() -> tuple[ShardSet, Recipe, Split]:
        shards = open_shards(shards_folder)
        recipe = shards.recipe if recipe_file is None else load_recipe(recipe_file)
        recipe = resolve(with_settings(recipe, settings), overrides or {})
        check_recipe(recipe, shards)
        check_trackers(recipe.training.tracking)
        check_group(group)
        if isinstance(recipe.model, XgboostOptions):
            _check_trees(collective, start_from)
        return shards, recipe, recipe_split(shards, recipe)

    def count_pixels() -> LabelCounts | None:
        return count_labels(shards, split, recipe) if collective.rank == 0 else None

    def find_first() -> InitialWeights | None:
        # All ranks get the weights of rank 0 before the first step.
        if collective.rank > 0 or checkpoint is not None:
            return None
        return read_initial(recipe, None if start_from is None else Path(start_from))

    def claim() -> Checkpoint | None:
        if collective.rank > 0:
            return None
        claimed = model_folder.claimed(folder, overwrite=overwrite, resume=resume)
        return held.enter_context(claimed)

    def check_checkpoint() -> None:
        if checkpoint is not None and collective.rank == 0:
            _check_same(folder, recipe, data, checkpoint)

    def make_way() -> None:
        if collective.rank > 0:
            return
        if checkpoint is None:
            model_folder.clear(folder)
        if resume and checkpoint is None:
            console.print(f"{folder} has no checkpoint; beginning at the start", soft_wrap=True)
        model_folder.write_recipe(folder, recipe)
        ending.remove_note(folder)

    def build() -> tuple[Trainer, str]:
        position = checkpoint.position if checkpoint else Position()
        done_steps = len(position.steps)
        freeze = recipe.training.freeze_encoder_epochs
        frozen = position.is_frozen(freeze)
        # Each rank draws its own random numbers for dropout.
        keras.utils.set_random_seed(rank_seed(recipe, collective.rank, done_steps))
        trainer = make_trainer(
            recipe,
            len(data.training),
            collective,
            class_weights=loss_weights(recipe, counts.training),
            statistics=statistics,
            done_steps=done_steps,
            done_epochs=position.epoch + position.epoch_share,
            frozen=frozen,
            frozen_steps=0 if frozen else sum(row.epoch <= freeze for row in position.steps),
        )
        began_with = ""
        if first is not None:
            began_with = first.apply(trainer.model, recipe)
        if checkpoint is not None and collective.rank == 0:
            _check_fits(trainer, checkpoint)
        return trainer, began_with

    def trackers(predict: Predict) -> list[Listener]:
        if collective.rank > 0:
            return []
        own = partial(tile_names, shards, data.split, validation=True)
        return make_listeners(
            Subject(folder, recipe, collective.size, data.validation, own, predict, group)
        )

    folder = Path(out)
    shards, recipe, split = together(collective, read_recipe)
    if shards.dropped and collective.rank == 0:
        left_out = f"Leaving out {shards.dropped.describe()}, see {shards.folder}/{DROPPED_FILE}"
        console.print(left_out, markup=False, soft_wrap=True)
    counted = gather_results(collective, count_pixels)[0]
    assert counted is not None  # Rank 0 has counted.
    counts = counted
    with ExitStack() as held:
        # The folder is locked before the tiles are decoded, because decoding takes long. It is
        # emptied only after decoding.
        checkpoint = _shared(together(collective, claim), collective)
        first = together(collective, find_first)
        data = load_data(shards, split, counts, recipe, collective, threads)
        plan = FeaturePlan.of(recipe)
        statistics = None
        if plan.needs_statistics:
            statistics = find_statistics(data.tiles, plan, collective)
        together(collective, check_checkpoint)
        if isinstance(recipe.model, XgboostOptions):
            together(collective, make_way)
            pixel_run = PixelRun(folder, recipe, recipe.model, data, statistics)
            pixel_run.listeners = (*listeners, *trackers(pixel_run.predict))
            pixel_run.held = held.pop_all()
            return pixel_run
        # Before the folder is emptied, because weights to start from may not fit.
        trainer, began_with = together(collective, build)
        together(collective, make_way)
        timeline = recipe.training.horovod.timeline
        if timeline is not None and collective.size > 1:
            held.enter_context(_recorded(collective, folder.absolute() / timeline))
        names = partial(tile_names, shards, data.split)
        followers = [*listeners, *trackers(trainer.predict)]
        run = Run(folder, recipe, data, trainer, collective, checkpoint, names, followers)
        if first is not None:
            run.position.started_from = first.digest
            run.position.started_with = began_with
        run.held = held.pop_all()
    return run


def _check_trees(collective: Collective, start_from: str | Path | None) -> None:
    """Raise a PolynyaError if decision trees can't be trained like this."""
    if collective.size > 1:
        raise RecipeError(
            f"Decision trees ('model.name' xgboost) are trained by one process, and there are"
            f" {collective.size} ranks; give the command without a launcher."
        )
    if start_from is not None:
        raise RecipeError(
            "Decision trees ('model.name' xgboost) can't begin with another model; leave"
            " --start-from out."
        )
    check_installed()


@contextmanager
def _recorded(collective: Collective, path: Path) -> Iterator[None]:
    """Record Horovod's timeline of the block; the file appears if the block ends without an error.

    Raises:
        OutputError: The file can't be written, or a file that isn't ours is in its place. Every
            rank raises it.
    """
    with ExitStack() as written:

        def begin() -> Path | None:
            if collective.rank > 0:
                return None
            make_folder(path.parent)
            check_free([path])
            return written.enter_context(whole_file(path))

        place = gather_results(collective, begin)[0]
        assert place is not None
        collective.start_timeline(place)
        yield
        collective.stop_timeline()


def tile_names(
    shards: ShardSet, split: Split, tiles: Sequence[int], *, validation: bool = False
) -> list[str]:
    """Name tiles for people: "scene 12" is the 13th tile of the scene in the shards.

    Args:
        shards: The data set.
        split: Says which tiles train, and which validate.
        tiles: Indices among the training tiles.
        validation: Whether they are indices among the validation tiles.
    """
    ids = split.validation if validation else split.training
    chosen = split.validation_tiles if validation else split.training_tiles
    counts = dict.fromkeys(ids, 0)
    for group in shards.row_groups(ids):
        counts[group.scene_id] += group.tiles
    ends = np.cumsum(list(counts.values()))
    numbers = np.asarray(tiles, np.int64)
    if chosen is not None:
        numbers = np.array(chosen)[numbers]
    scenes = np.searchsorted(ends, numbers, side="right")
    starts = ends - list(counts.values())
    return [
        f"{ids[scene]} {tile - starts[scene]}" for scene, tile in zip(scenes, numbers, strict=True)
    ]


def _check_same(folder: Path, recipe: Recipe, data: TrainingData, checkpoint: Checkpoint) -> None:
    sections = sorted(set(Recipe.model_fields) - MAY_CHANGE)
    changed = [s for s in sections if getattr(checkpoint.recipe, s) != getattr(recipe, s)]
    if changed or checkpoint.data_digest != data.digest:
        what = f"recipe (section '{changed[0]}')" if changed else "set of tiles"
        raise ModelError(
            f"The training in {folder} had another {what}, so it can't go on with this one; give"
            " the same one as before, or --overwrite to begin again."
        )


def _check_fits(trainer: Trainer, checkpoint: Checkpoint) -> None:
    shapes = [tuple(variable.shape) for variable in trainer.state()]
    if shapes != [value.shape for value in checkpoint.state]:
        raise ModelError(
            "The checkpoint has other variables than the recipe's model, so the training can't go"
            " on; give --overwrite to begin again."
        )


def _shared(checkpoint: Checkpoint | None, collective: Collective) -> Checkpoint | None:
    """Send the checkpoint of rank 0 to every rank, without its large arrays."""
    light = checkpoint and replace(checkpoint, state=[], best_weights=[], weight_sums=[])
    received: Checkpoint | None = collective.broadcast(light)
    return checkpoint if collective.rank == 0 else received
