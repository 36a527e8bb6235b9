"""What a training run needs before its first step: data, model, optimizer."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from polynya.errors import RecipeError, ShardError
from polynya.recipe import Recipe
from polynya.shards import ShardSet
from training.augment import augmentation_layers
from training.augment.sky import sky_layers
from training.collective import Collective
from training.inputs import PADDING, TileSource, rank_batches, steps_per_epoch
from training.loop import Trainer
from training.models import build
from training.schedules import WarmupSchedule, scaled_learning_rate
from training.split import Split, split_scenes

MIXED_POLICY = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
"""Keras dtype policy of each value of the recipe's key 'training.precision'."""


@dataclass(frozen=True)
class TrainingData:
    """This rank's view of the shards."""

    split: Split
    training: TileSource
    """All training tiles; every rank holds them and serves its slices."""
    validation: TileSource
    """The validation tiles of this rank only."""
    shards_digest: str


def check_recipe(recipe: Recipe, shards: ShardSet) -> None:
    """Raise ShardError or RecipeError unless this recipe can train on these shards."""
    shards.check_scheme(recipe.classes)
    for section in ("scene", "tiles", "label"):
        if getattr(recipe, section) != getattr(shards.recipe, section):
            raise ShardError(
                f"The shards in {shards.folder} were made with another section '{section}' than the"
                " recipe has; label again with this recipe, or copy that section from"
                f" {shards.folder}/_dataset.json."
            )
    multiple = recipe.model.stem * 2 ** (len(recipe.model.filters) - 1)
    for key, size in (("tiles.size", recipe.tiles.size), ("inference.window", _window(recipe))):
        if size % multiple:
            raise RecipeError(
                f"The recipe's key '{key}' is {size}, but this model needs a multiple of"
                f" {multiple}; change it or take fewer levels in 'model.filters'."
            )


def _window(recipe: Recipe) -> int:
    return recipe.inference.window or recipe.tiles.size


def load_data(
    shards: ShardSet, recipe: Recipe, collective: Collective, threads: int
) -> TrainingData:
    """Split the scenes and read the tiles that this rank needs."""
    split = split_scenes(
        shards.scene_ids,
        validation=recipe.split.validation,
        seed=recipe.seed,
        group=recipe.split.group,
    )
    nodata = recipe.classes.nodata
    images, labels = shards.load(split.training, recipe.tiles.size)
    training = TileSource(images, labels, nodata=nodata, threads=threads)
    images, labels = shards.load(split.validation, recipe.tiles.size)
    images, labels = validation_tiles(images, labels, recipe, collective)
    validation = TileSource(images, labels, nodata=nodata, threads=threads)
    return TrainingData(split, training, validation, shards.recipe.labels_digest())


def validation_tiles(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    recipe: Recipe,
    collective: Collective,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """This rank's part of the validation tiles, as they are and once more under a simulated sky.

    A model that trains under simulated cloud is chosen by how well it sees through it. The sky of a
    tile depends on the seed and the tile's place only, so all numbers of ranks score the same.

    Args:
        images: uint8 (N, H, W, bands), all validation tiles.
        labels: uint8 (N, H, W).
        recipe: Seed, batch size and simulated sky.
        collective: Whose part.
    """
    batches = rank_batches(
        np.arange(len(images)),
        batch_size=recipe.training.batch_size,
        rank=collective.rank,
        size=collective.size,
    )
    own_images, own_labels = [images[:0]], [labels[:0]]
    for step, batch in enumerate(batches):
        chosen = batch[batch != PADDING]
        if not chosen.size:
            continue
        own_images.append(images[chosen])
        own_labels.append(labels[chosen])
        for layer in sky_layers(
            recipe.training.augment,
            nodata=recipe.classes.nodata,
            seed=recipe.seed + step * collective.size + collective.rank,
        ):
            veiled, _ = layer(images[chosen].astype(np.float32), labels[chosen])
            own_images.append(np.rint(keras.ops.convert_to_numpy(veiled)).astype(np.uint8))
            own_labels.append(labels[chosen])
    return np.concatenate(own_images), np.concatenate(own_labels)


def make_trainer(recipe: Recipe, training_tiles: int, collective: Collective) -> Trainer:
    """Model, optimizer and augmentation of a recipe.

    Args:
        recipe: What to build.
        training_tiles: Number of tiles in an epoch, for the schedule.
        collective: The ranks.
    """
    options = recipe.training
    model = build(
        recipe.model.name,
        input_shape=(None, None, 3),
        n_classes=recipe.classes.n_classes,
        dtype=MIXED_POLICY[options.precision],
        **recipe.model.model_dump(exclude={"name"}),
    )
    steps = steps_per_epoch(training_tiles, batch_size=options.batch_size, size=collective.size)
    schedule = WarmupSchedule(
        scaled_learning_rate(options.learning_rate, collective.size, options.learning_rate_scaling),
        warmup_steps=round(options.warmup_epochs * steps),
        total_steps=options.epochs * steps,
        shape=options.schedule,
    )
    nodata = recipe.classes.nodata
    return Trainer(
        model,
        keras.optimizers.Adam(schedule, global_clipnorm=options.clip_norm),
        collective,
        nodata=nodata,
        augmentation=augmentation_layers(
            options.augment, nodata=nodata, seed=rank_seed(recipe, collective.rank)
        ),
    )


def rank_seed(recipe: Recipe, rank: int) -> int:
    """Seed of one rank's dropout and augmentation, which must differ between ranks."""
    return int(np.random.default_rng([recipe.seed, rank]).integers(2**31))
