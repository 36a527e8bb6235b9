"""What is trained in the measurements: models, and tiles held in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.models import N_CLASSES, plain_unet
from polynya.recipe.classes import SEA_ICE
from training.ranks.port import Collective

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from training.step.trainer import Trainer


@dataclass(frozen=True)
class Workload:
    """A model and the batch of one rank. Picklable."""

    name: str
    """Millions of parameters."""
    filters: tuple[int, ...]
    """Of each level of the U-Net."""
    batch: int
    """Tiles of a rank's step."""
    tile: int
    """Height and width of a tile in pixels."""

    def describe(self) -> str:
        """Name, batch and tile in a few words."""
        return f"{self.name}, {self.batch} x {self.tile} px"


PAPER = Workload("7.8 M", (16, 32, 64, 128, 256, 512), batch=16, tile=256)
"""The paper's U-Net. The paper has 32 tiles a rank; six ranks on one machine leave room for 16."""
LARGE = Workload("31 M", (32, 64, 128, 256, 512, 1024), batch=1, tile=512)
"""The same U-Net with twice the filters, 31 million parameters, and one tile a step."""
LARGEST = replace(LARGE, tile=256)
"""Four times the gradients for the computing, against the one above."""
TRAFFIC = Workload("7.8 M", PAPER.filters, batch=1, tile=32)
"""The paper's gradients with hardly any computing: for counting bytes."""


def build_model(workload: Workload) -> keras.Model:
    """The untrained model."""
    return plain_unet(workload.filters, workload.tile)


def make_trainer(workload: Workload, collective: Collective) -> Trainer:
    """The project's own trainer, with Adam, all ranks with the weights of rank 0."""
    import keras

    from training.step.trainer import Trainer

    keras.utils.set_random_seed(0)
    model = build_model(workload)
    trainer = Trainer(model, keras.optimizers.Adam(1e-4), collective, classes=SEA_ICE)
    trainer.broadcast()
    return trainer


def make_tiles(workload: Workload, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One random batch: uint8 (batch, tile, tile, 3) and class codes, uint8 (batch, tile, tile)."""
    rng = np.random.default_rng(seed)
    shape = (workload.batch, workload.tile, workload.tile)
    images = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return images, rng.integers(0, N_CLASSES, shape, dtype=np.uint8)


def endless(tiles: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> tf.data.Dataset:
    """The same batch again and again, from memory."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors(tiles).repeat().with_options(options)


def gradient_bytes(model: keras.Model) -> int:
    """What every rank sends of itself in a step, before the ring: float32 gradients."""
    return 4 * sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@dataclass(frozen=True)
class Loaded:
    """What a rank made when it was sent a workload."""

    gradient_bytes: int
    step_s: float
    """Of the last step of the warm-up."""


@dataclass(frozen=True)
class Ran:
    """What a rank measured when it was sent a number of steps."""

    images: int
    """Of this rank."""
    seconds: float
    cpu_s: float
    """Processor seconds of this rank, all threads."""
    waiting_s: float
    """In which the step had nothing to do but to wait for an allreduce."""
    sent: int
    """Bytes over TCP."""
