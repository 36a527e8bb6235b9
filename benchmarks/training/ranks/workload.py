"""Workloads of the measurements: models, and tiles in memory."""

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
    """Number of parameters in words, such as "7.8 M"."""
    filters: tuple[int, ...]
    """Filters of each level of the U-Net."""
    batch: int
    """Tiles of a rank's step."""
    tile: int
    """Height and width of a tile in pixels."""

    def describe(self) -> str:
        """Name, batch and tile in a few words."""
        return f"{self.name}, {self.batch} x {self.tile} px"


PAPER = Workload("7.8 M", (16, 32, 64, 128, 256, 512), batch=16, tile=256)
"""The paper's U-Net. The paper has 32 tiles per rank; six ranks on one machine have room for 16."""
LARGE = Workload("31 M", (32, 64, 128, 256, 512, 1024), batch=1, tile=512)
"""The same U-Net with twice the filters, 31 million parameters, and one tile per step."""
LARGEST = replace(LARGE, tile=256)
"""`LARGE` with a quarter of the computing, so gradients are four times as large in comparison."""
TRAFFIC = Workload("7.8 M", PAPER.filters, batch=1, tile=32)
"""The paper's gradients with hardly any computing: for counting bytes."""


def build_model(workload: Workload) -> keras.Model:
    """Make the untrained model."""
    return plain_unet(workload.filters, workload.tile)


def make_trainer(workload: Workload, collective: Collective) -> Trainer:
    """Make the project's own trainer, with Adam; all ranks get the weights of rank 0."""
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
    """Return the bytes of a rank's own float32 gradients, without the factor of the ring."""
    return 4 * sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@dataclass(frozen=True)
class Loaded:
    """A rank's answer to a workload."""

    gradient_bytes: int
    step_s: float
    """Seconds of the last step of the warm-up."""


@dataclass(frozen=True)
class Ran:
    """A rank's answer to a number of steps."""

    images: int
    """Images of this rank."""
    seconds: float
    cpu_s: float
    """Processor seconds of this rank, all threads."""
    waiting_s: float
    """Seconds in which the step only waited for an allreduce."""
    sent: int
    """Bytes over TCP."""
