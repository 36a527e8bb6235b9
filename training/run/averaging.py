"""Stochastic weight averaging in a run: which moments count, and what becomes of their mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.recipe import Recipe
from training.input.batches import PADDING, in_batches
from training.model_folder.checkpoints import Arrays, Position
from training.optimisation.averaging import WeightMean
from training.ranks.port import Collective
from training.run.build import TrainingData
from training.step.trainer import Trainer


class Averaging:
    """Adds up weights at the moments that the recipe's key 'training.averaging' names.

    Args:
        recipe: Recipe of the training.
        data: Tiles of this rank.
        trainer: Model in training.
        collective: The ranks; only rank 0 keeps weights.
    """

    def __init__(
        self, recipe: Recipe, data: TrainingData, trainer: Trainer, collective: Collective
    ) -> None:
        self._options = recipe.training.averaging
        self._recipe = recipe
        self._data = data
        self._trainer = trainer
        self._collective = collective
        self._mean = WeightMean()

    @property
    def sums(self) -> Arrays:
        """Sums of the weights so far, for a checkpoint; empty on other ranks than 0."""
        return self._mean.sums

    def go_on(self, sums: Arrays, position: Position) -> None:
        """Take the sums of a checkpoint."""
        self._mean = WeightMean(sums, position.averaged)

    def after_step(self, position: Position) -> None:
        """Add the weights if the recipe counts steps; called before the step's epoch ends."""
        if self._options is None or position.epoch < self._before:
            return
        position.averaging_steps += 1
        every = self._options.every_steps
        if every is not None and position.averaging_steps % every == 0:
            self._add(position)

    def after_epoch(self, position: Position) -> None:
        """Add the weights if the recipe counts epochs; `position` has the epoch as finished."""
        if self._options is None or self._options.every_steps is not None:
            return
        done = position.epoch - self._before
        if done > 0 and done % self._options.every_epochs == 0:
            self._add(position)

    def has_mean(self, position: Position) -> bool:
        """Whether there is a mean to take; the same on every rank."""
        return self._options is not None and position.averaged > 0

    def take_mean(self) -> None:
        """Give every rank the mean, and find its statistics of batch normalisation again.

        Every rank must call it.
        """
        trainer, rank, ranks = self._trainer, self._collective.rank, self._collective.size
        dtypes = [weight.dtype for weight in trainer.model.weights]
        trainer.take_weights(self._mean.mean(dtypes) if rank == 0 else [])
        tiles = self._data.tiles
        batches = in_batches(np.arange(len(tiles)), self._recipe.training.batch_size)
        first, past = (len(batches) * r // ranks for r in (rank, rank + 1))
        own = _numbered(tiles.batches(batches[first:past]), batches, first)
        trainer.find_statistics(own, self._recipe.seed)

    @property
    def _before(self) -> int:
        assert self._options is not None  # Callers have looked.
        return self._options.epochs_before(self._recipe.training.epochs)

    def _add(self, position: Position) -> None:
        position.averaged += 1
        if self._collective.rank == 0:
            self._mean.add(self._trainer.model.get_weights())


def _numbered(
    source: Iterable[tuple[Any, Any]], batches: NDArray[np.int64], first: int
) -> Iterator[tuple[int, Any, Any]]:
    """Yield number, images and labels of batches, without the tiles that fill up the last one.

    Args:
        source: Images and labels.
        batches: int64 (N, tiles), tiles of all batches.
        first: Number of the first batch of the source.
    """
    for number, (images, labels) in enumerate(source, first):
        tiles = int((batches[number] != PADDING).sum())
        yield number, images[:tiles], labels[:tiles]
