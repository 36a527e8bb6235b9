"""One measurement of the input benchmark, in a separate process.

    python -m benchmarks.input.measure REPORT CASE FOLDER TILES SIZE ROUNDS CORES

The report is a JSON object of numbers: class `Input` or `Augmentation`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.common.commands import run
from benchmarks.common.models import N_CLASSES, model_of
from benchmarks.common.timing import timed
from benchmarks.input.data import InputFiles
from polynya.recipe.recipe import Recipe
from polynya.recipe.training import AugmentOptions
from polynya.storage.files import output_folder
from training.ranks.devices import configure_devices, import_tensorflow
from training.ranks.port import SingleProcess

BATCH = 32
"""Tiles of a batch, as in the paper."""
PNG = "png"
CACHES = ("memory", "disk", "none")
AUGMENTATIONS = {
    "flips and right angles": AugmentOptions(dihedral=True),
    "rotation, zoom, shift": AugmentOptions(rotation=10.0, zoom=(0.8, 1.25), shift=0.1),
    "haze and shade": AugmentOptions(haze=0.5, shade=0.5),
    "all of these": AugmentOptions(
        dihedral=True, rotation=10.0, zoom=(0.8, 1.25), shift=0.1, haze=0.5, shade=0.5
    ),
}
_AUGMENTED_BATCHES = 8
_MODEL_BATCH = 8


@dataclass(frozen=True)
class Input:
    """Figures of one way to get tiles to the training step."""

    first_batch_s: float
    """Seconds from opening the data to the first batch; libraries are already loaded."""
    peak_bytes: int
    """Peak of resident memory up to the end of an epoch, including shared pages."""
    libraries_bytes: int
    """Resident memory before the data was opened."""
    rates: tuple[float, ...]
    """Tiles per second of each epoch after the first one."""
    cpu_s_per_tile: float
    """Processor seconds per tile of an epoch after the first one; median of the rounds."""

    @property
    def tiles_per_s(self) -> float:
        """Median of the rates."""
        return median(self.rates)


@dataclass(frozen=True)
class Augmentation:
    """Figures of one kind of augmentation, and of the training step that uses the tiles."""

    layers_s_per_tile: float
    """Seconds per tile of the augmentation layers alone."""
    tiles_per_s: float
    """Tiles per second from memory, with the layers; median of the rounds."""
    step_s_per_tile: float
    """Seconds per tile of a training step of the recipe's default model, without augmentation."""


def run_case(case: str, files: InputFiles, rounds: int, cores: int) -> dict[str, Any]:
    """Measure one case in a separate process; return its figures."""
    work = output_folder(files.folder / "work")
    report = work / "figures.json"
    numbers = [str(number) for number in (files.tiles, files.size, rounds, cores)]
    words = [str(report), case.removesuffix(" again"), str(files.folder), *numbers]
    run([sys.executable, "-m", "benchmarks.input.measure", *words], work / "output.txt")
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return figures


def measure_input(case: str, files: InputFiles, rounds: int, threads: int) -> Input:
    """Measure the time to the first batch, and whole epochs after it."""
    libraries = _peak()
    start = time.perf_counter()
    epoch = png_batches(files) if case == PNG else shard_batches(case, files, threads)
    next(iter(epoch(0)))
    first = time.perf_counter() - start
    times = [_timed_epoch(epoch, 1 + number) for number in range(rounds + 1)][1:]
    return Input(
        first_batch_s=first,
        peak_bytes=_peak(),
        libraries_bytes=libraries,
        rates=tuple(files.tiles / wall for wall, _ in times),
        cpu_s_per_tile=median(cpu for _, cpu in times) / files.tiles,
    )


Epoch = Callable[[int], Iterable[tuple[Any, Any]]]
"""Function from the number of an epoch to its batches."""


def png_batches(files: InputFiles) -> Epoch:
    """The published way: decode all files into memory, then take batches from memory."""
    names = sorted(path.name for path in files.images.glob("*.png"))
    images = np.empty((len(names), files.size, files.size, 3), np.uint8)
    labels = np.empty(images.shape[:3], np.uint8)
    for index, name in enumerate(names):
        cv2.cvtColor(cv2.imread(str(files.images / name)), cv2.COLOR_BGR2RGB, dst=images[index])
        labels[index] = cv2.imread(str(files.labels / name), cv2.IMREAD_GRAYSCALE)

    def epoch(number: int) -> Iterable[tuple[Any, Any]]:
        order = np.random.default_rng(number).permutation(len(names))
        for first in range(0, len(names), BATCH):
            chosen = order[first : first + BATCH]
            yield images[chosen], labels[chosen]

    return epoch


def shard_batches(cache: str, files: InputFiles, threads: int) -> Epoch:
    """The input of a training, with one value of the recipe's key 'training.input.cache'."""
    from polynya.shards.dataset import open_shards
    from training.run.build import open_sources

    recipe = _recipe(files, cache)
    shards = open_shards(files.shards)
    parts = [shards.scene_ids]
    (source,) = open_sources(shards, parts, recipe, SingleProcess(), threads)

    def epoch(number: int) -> Iterable[tuple[Any, Any]]:
        return source.batches(
            source.epoch_indices(
                epoch=number, seed=0, shuffle=True, batch_size=BATCH, rank=0, size=1
            )
        )

    return epoch


def measure_augmentation(case: str, files: InputFiles, rounds: int, threads: int) -> Augmentation:
    """Measure the layers alone, the input with the layers, and a step of the default model."""
    import tensorflow as tf

    from training.augment import augmentation_layers

    layers = augmentation_layers(AUGMENTATIONS[case], nodata=255, seed=0)

    @tf.function(jit_compile=False)
    def augment(images: Any, labels: Any) -> Any:
        images, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.int32)
        for layer in layers:
            images, labels = layer(images, labels)
        return images, labels

    epoch = shard_batches("memory", files, threads)
    first = next(iter(epoch(0)))
    augment(*first)
    alone = [timed(lambda: [augment(*first) for _ in range(8)])[0] / 8 for _ in range(rounds)]

    def augmented(number: int) -> Iterable[tuple[Any, Any]]:
        return (augment(*batch) for batch in islice(epoch(number), _AUGMENTED_BATCHES))

    together = [_timed_epoch(augmented, 1 + number)[0] for number in range(rounds)]
    return Augmentation(
        layers_s_per_tile=median(alone) / BATCH,
        tiles_per_s=min(files.tiles, _AUGMENTED_BATCHES * BATCH) / median(together),
        step_s_per_tile=_step_seconds(files, first, rounds) / _MODEL_BATCH,
    )


def _step_seconds(files: InputFiles, batch: tuple[Any, Any], rounds: int) -> float:
    """Return the seconds of a plain training step of the recipe's default model."""
    import keras

    model = model_of(Recipe().model, files.size, "float32")
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", jit_compile=False)
    images, labels = batch[0].numpy()[:_MODEL_BATCH], batch[1].numpy()[:_MODEL_BATCH] % N_CLASSES
    model.train_on_batch(images, labels)
    return median(timed(lambda: model.train_on_batch(images, labels))[0] for _ in range(rounds))


def _recipe(files: InputFiles, cache: str) -> Recipe:
    options = {"cache": cache, "folder": str(files.cache)}
    return Recipe.model_validate({"tiles": {"size": files.size}, "training": {"input": options}})


def _timed_epoch(epoch: Epoch, number: int) -> tuple[float, float]:
    """Return wall and processor seconds of an epoch, including the creation of its iterator."""
    return timed(lambda: deque(epoch(number), maxlen=0))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(report: str, case: str, folder: str, *numbers: str) -> None:
    """Measure one case and write its figures."""
    tiles, size, rounds, cores = map(int, numbers)
    # Limit the cores before TensorFlow counts them.
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, allowed)
    cv2.setNumThreads(len(allowed))
    import_tensorflow()
    threads = configure_devices(SingleProcess())
    files = InputFiles(Path(folder), tiles, size)
    measure = measure_augmentation if case in AUGMENTATIONS else measure_input
    figures = asdict(measure(case, files, rounds, threads))
    Path(report).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
