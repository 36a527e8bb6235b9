"""Prepares a training run before its first step: data, model, optimizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from polynya.errors import RecipeError, ShardError
from polynya.progress import console
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet
from polynya.shards.manifest import read_manifest
from training.augment import augmentation_layers
from training.input.batches import BatchSource, TileSource, steps_per_epoch
from training.input.filtering import filter_layers
from training.input.sampling import find_weights, sampled
from training.input.split import Numbers, Split
from training.input.stream import StreamedTiles
from training.input.tile_cache import open_tiles
from training.input.validation import ValidationTiles
from training.losses.registry import build_loss
from training.models import build_from
from training.models.encoders import encoder_layers
from training.models.features import FeaturePlan, FeatureStatistics, make_features
from training.optimisation.registry import build_optimizer, build_schedule, coupled_decay
from training.optimisation.schedules import HeldSchedule, scaled_learning_rate
from training.ranks.agreement import gather_results, together
from training.ranks.port import Collective
from training.run.class_weights import loss_weights
from training.step.graph import StepOptions
from training.step.trainer import Trainer

MIXED_POLICY = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
"""Keras dtype policy of each value of the recipe's key 'training.precision'."""


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of labelled pixels for training and for validation."""

    training: NDArray[np.int64]
    """Pixels of each class: int64 (C,)."""
    training_pixels: int
    """Pixels with a label."""
    validation_pixels: int

    @property
    def can_validate(self) -> bool:
        """Whether any validation pixel has a label."""
        return self.validation_pixels > 0


@dataclass(frozen=True)
class TrainingData:
    """This rank's view of the shards."""

    split: Split
    tiles: BatchSource
    """All training tiles."""
    training: BatchSource
    """The training tiles of epochs, as drawn; every rank serves its part of each epoch."""
    validation: ValidationTiles
    """The validation tiles of this rank only."""
    shards_digest: str
    """Digest of everything that the labels depend on."""
    counts: LabelCounts
    """Labelled pixels for training and for validation."""
    digests: dict[str, str]
    """Digests of the content of training scenes, by scene id, if the manifest has them; empty on
    all ranks but rank 0."""
    dropped: str = ""
    """Digest of the tiles that are left out; "" for none."""

    @property
    def digest(self) -> str:
        """Digest of the training tiles, without reading their pixels."""
        return _tiles_digest(self.shards_digest, len(self.tiles), self.split, self.dropped)


def _tiles_digest(shards: str, tiles: int, split: Split, dropped: str) -> str:
    content = [shards, tiles, *split.training]
    if dropped:
        content.append(dropped)
    if split.training_tiles is not None:
        content.append(split.digest)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def data_digest(shards: ShardSet, split: Split) -> str:
    """Compute `TrainingData.digest` of a training with this split, without opening tiles."""
    if split.training_tiles is not None:
        tiles = len(split.training_tiles)
    else:
        tiles = sum(group.tiles for group in shards.row_groups(split.training))
    return _tiles_digest(shards.recipe.labels_digest(), tiles, split, shards.dropped.digest)


def check_recipe(recipe: Recipe, shards: ShardSet) -> None:
    """Raise a PolynyaError unless this recipe can train on these shards."""
    shards.check_scheme(recipe.classes)
    FeaturePlan.of(recipe)
    for section in ("scene", "tiles", "label"):
        if getattr(recipe, section) != getattr(shards.recipe, section):
            raise ShardError(
                f"The shards in {shards.folder} were made with another section '{section}' than the"
                " recipe has; label again with this recipe, or copy that section from"
                f" {shards.folder}/_dataset.json."
            )


def seen_size(recipe: Recipe) -> int:
    """Edge in pixels of the image that the model sees for a tile.

    It is the edge of the tile, rounded up to the multiple that the model needs. Pixels beyond the
    tile are nodata, like pixels beyond the borders of scenes.
    """
    multiple = recipe.model.multiple
    return -(-recipe.tiles.size // multiple) * multiple


def count_labels(shards: ShardSet, split: Split, recipe: Recipe) -> LabelCounts:
    """Count labelled pixels for training and validation, and warn if classes or labels are missing.

    Raises:
        ShardError: No training tile has a labelled pixel, or a file can't be read.
        RecipeError: All classes that occur have the weight 0.
    """
    training, pixels = shards.class_counts(split.training, split.training_tiles)
    validating = shards.class_counts(split.validation, split.validation_tiles)[1]
    counts = LabelCounts(training, pixels, validating)
    names = recipe.classes.names
    told = ", ".join(f"{name} {count}" for name, count in zip(names, counts.training, strict=True))
    if not counts.training_pixels:
        remedy = (
            f"the {len(split.validation)} validation scenes have some, so change the recipe's key"
            " 'seed', 'split.validation' or 'split.group'"
            if counts.can_validate
            else "usual causes are nodata everywhere, a wrong 'scene.scale', a 'label.profile' with"
            " gaps, or 'label.uncertain' and 'label.thick_cloud' that make all of it nodata; fix"
            " that and label again"
        )
        raise ShardError(
            f"Not one pixel of the {len(split.training)} training scenes in {shards.folder} has a"
            f" label ({told}), so there is nothing to learn; {remedy}."
        )
    if not counts.training.any():
        raise ShardError(
            f"Not one pixel of the {len(split.training)} training scenes in {shards.folder} is"
            f" under a mask ({told}), so there is nothing to learn; label scenes that have some, or"
            " change the recipe's key 'seed', 'split.validation' or 'split.group'."
        )
    weights = loss_weights(recipe, counts.training)
    if weights is not None and not (counts.training * np.asarray(weights)).any():
        raise RecipeError(
            "The recipe's key 'training.class_weights' is 0 for every class that occurs in the"
            f" training scenes ({told}), so there is nothing to learn; give those a weight."
        )
    if split.is_random:
        _warn(
            f"The split {recipe.split.file} is by tile at random, so neighbours are on both sides"
            " and the scores are too good"
        )
    missing = [name for name, count in zip(names, counts.training, strict=True) if not count]
    if missing:
        _warn(
            f"No pixel of the training scenes has the class {' or '.join(missing)}, so the model"
            " won't find it"
        )
    if split.validation and not counts.can_validate:
        _warn(
            f"Not one pixel of the {len(split.validation)} validation scenes has a label, so there"
            " are no scores, and the epoch with the least training loss counts as the best"
        )
    return counts


def _warn(text: str) -> None:
    console.print(f"Warning: {text}", style="yellow", markup=False, soft_wrap=True)


def load_data(
    shards: ShardSet,
    split: Split,
    counts: LabelCounts,
    recipe: Recipe,
    collective: Collective,
    threads: int,
) -> TrainingData:
    """Open the tiles of a split. Every rank must call it.

    Raises:
        PolynyaError: Shards can't be read, or there is no room for tiles. If one rank fails, every
            rank raises the error.
    """
    training, validation = open_sources(
        shards,
        (split.training, split.validation),
        recipe,
        collective,
        threads,
        chosen=(split.training_tiles, split.validation_tiles),
    )
    sampling = recipe.training.sampling
    weights = gather_results(
        collective, lambda: find_weights(shards, split, sampling) if collective.rank == 0 else None
    )[0]
    return TrainingData(
        split,
        training,
        sampled(training, weights, sampling),
        ValidationTiles(validation, recipe, collective),
        shards.recipe.labels_digest(),
        counts,
        scene_digests(shards, split) if collective.rank == 0 else {},
        shards.dropped.digest,
    )


def scene_digests(shards: ShardSet, split: Split) -> dict[str, str]:
    """Digests of the content of training scenes, by scene id, if the manifest has them."""
    digests = {row.scene_id: row.digest for row in read_manifest(shards.folder) if row.digest}
    return {scene: digests[scene] for scene in split.training if scene in digests}


def open_sources(
    shards: ShardSet,
    parts: Sequence[Sequence[str]],
    recipe: Recipe,
    collective: Collective,
    threads: int,
    chosen: Sequence[Numbers] | None = None,
) -> list[BatchSource]:
    """Open the tiles of several groups of scenes, as the recipe's section 'training.input' says.

    Args:
        shards: The data set.
        parts: Ids of the scenes of each part.
        recipe: Recipe of the training.
        collective: The ranks.
        threads: Number of threads of this rank.
        chosen: Tiles of each part, among those of its scenes; None for all.

    Raises:
        PolynyaError: Shards can't be read, or there is no room for tiles; every rank raises it.
    """
    options, size = recipe.training.input, seen_size(recipe)
    wanted = [None if c is None else np.array(c, np.int64) for c in chosen or [None] * len(parts)]
    if options.cache == "none":
        found = [together(collective, partial(shards.row_groups, scenes)) for scenes in parts]
        return [
            StreamedTiles(
                shards,
                groups,
                size=size,
                threads=threads,
                shuffle_buffer=options.shuffle_buffer,
                chosen=own,
            )
            for groups, own in zip(found, wanted, strict=True)
        ]
    tiles = open_tiles(shards, size, options, collective, threads)
    return [
        TileSource(
            tiles.images,
            tiles.labels,
            nodata=recipe.classes.nodata,
            threads=threads,
            chosen=tiles.of_scenes(scenes) if own is None else tiles.of_scenes(scenes)[own],
        )
        for scenes, own in zip(parts, wanted, strict=True)
    ]


def make_trainer(
    recipe: Recipe,
    training_tiles: int,
    collective: Collective,
    *,
    class_weights: tuple[float, ...] | None = None,
    statistics: FeatureStatistics | None = None,
    done_steps: int = 0,
    done_epochs: float = 0.0,
    frozen: bool = False,
    frozen_steps: int = 0,
) -> Trainer:
    """Build model, optimizer and augmentation of a recipe.

    Args:
        recipe: Recipe of the training.
        training_tiles: Number of tiles in an epoch, for the schedule.
        collective: The ranks.
        class_weights: From `loss_weights`.
        statistics: Statistics of the training tiles, if the recipe's features need them.
        done_steps: Number of steps before this start.
        done_epochs: Number of epochs before this start; the schedule goes on from there.
        frozen: Whether the encoder keeps its weights for now.
        frozen_steps: Number of steps before the optimizer began again with the whole model.
    """
    options = recipe.training
    plan = FeaturePlan.of(recipe)
    model = build_from(
        recipe.model,
        input_shape=(None, None, len(plan.bands)),
        features=make_features(plan, statistics),
        n_classes=recipe.classes.n_classes,
        activation="sigmoid" if recipe.classes.has_masks else "softmax",
        dtype=MIXED_POLICY[options.precision],
    )
    steps = steps_per_epoch(
        training_tiles,
        batch_size=options.batch_size * options.accumulate,
        size=collective.size,
    )
    rule = options.learning_rate_scaling
    schedule = build_schedule(
        options.schedule,
        scaled_learning_rate(options.learning_rate, collective.size, rule),
        warmup_steps=round(options.warmup_epochs * steps),
        epoch_steps=steps,
        epochs=options.epochs,
        done_steps=done_steps - frozen_steps,
        done_share=done_epochs / options.epochs,
    )
    if options.averaging is not None and options.averaging.learning_rate is not None:
        first_step = options.averaging.epochs_before(options.epochs) * steps
        held = scaled_learning_rate(options.averaging.learning_rate, collective.size, rule)
        schedule = HeldSchedule(schedule, rate=held, first_step=first_step)
    loss = build_loss(options.loss, n_classes=recipe.classes.n_classes, class_weights=class_weights)
    loss.soft_labels = loss.soft_labels or recipe.label.soft
    seed = rank_seed(recipe, collective.rank, done_steps)
    return Trainer(
        model,
        build_optimizer(options.optimizer, schedule, clip_norm=options.clip_norm),
        collective,
        classes=recipe.classes,
        loss=loss,
        augmentation=[
            *augmentation_layers(
                options.augment,
                nodata=recipe.classes.nodata,
                seed=seed,
                has_gaps=not plan.is_colors,
            ),
            *filter_layers(options.augment, seed=seed + 3),
        ],
        options=StepOptions(
            accumulate=options.accumulate,
            clip_norm=options.clip_norm,
            weight_decay=coupled_decay(options.optimizer),
            jit=options.jit,
            loss_scaling=options.precision == "float16",
            pixels=collective.size
            * options.accumulate
            * options.batch_size
            * (1 if loss.per_image else seen_size(recipe) ** 2),
        ),
        schedule=schedule,
        frozen=list(encoder_layers(model)) if frozen else [],
        metrics=options.metrics,
    )


def rank_seed(recipe: Recipe, rank: int, done_steps: int = 0) -> int:
    """Compute the seed of one rank's dropout and augmentation; it must differ between ranks.

    If a training goes on with another number of ranks, the seed must also differ from all seeds
    before.
    """
    key = [recipe.seed, rank, done_steps] if done_steps else [recipe.seed, rank]
    return int(np.random.default_rng(key).integers(2**31))
