"""Time and memory of a training step and of inference, measured on this machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from polynya.recipe.recipe import Recipe
from training.losses.registry import build_loss
from training.optimisation.registry import build_optimizer, build_schedule
from training.ranks.port import SingleProcess
from training.step.graph import StepOptions
from training.step.trainer import Trainer

_LEAST_RUNS, _LEAST_SECONDS = 3, 2.0
_GPU = "GPU:0"


@dataclass(frozen=True)
class Measured:
    """What a model took on one device."""

    device: str
    batch: int
    """Images at once."""
    step_s: float
    """Seconds of a training step: median of some, after the first one."""
    inference_s: float
    """Seconds of a prediction: median of some, after the first one."""
    step_mb: float | None
    """Greatest memory that steps took, in MB of 2^20 bytes, with weights, optimizer and
    activations; None where the system doesn't say it."""
    inference_mb: float | None


def measure(model: keras.Model, recipe: Recipe, batch: int) -> Measured:
    """Predict and train with one batch of random images, without augmentation.

    Memory on processors is what the process takes in addition to what it took before; libraries
    keep some of what they free. On a GPU it is what TensorFlow has in use.

    Args:
        model: Model with a fixed height and width; its weights change.
        recipe: Loss, optimizer and classes.
        batch: Number of images at once.
    """
    rng = np.random.default_rng(0)
    shape = (batch, *model.input_shape[1:])
    images = tf.constant(rng.uniform(1.0, 255.0, shape).astype(np.float32))
    labels = tf.constant(rng.integers(recipe.classes.n_labels, size=shape[:3]).astype(np.uint8))
    gpus = tf.config.list_physical_devices("GPU")
    memory = _GpuMemory() if gpus else _ProcessMemory()

    predict = tf.function(lambda x: model(x, training=False), autograph=False)
    inference_s = _seconds(lambda: predict(images).numpy())
    inference_mb = memory.peak_mb()

    options = recipe.training
    schedule = build_schedule(
        options.schedule, options.learning_rate, warmup_steps=0, epoch_steps=1, epochs=1
    )
    trainer = Trainer(
        model,
        build_optimizer(options.optimizer, schedule, clip_norm=options.clip_norm),
        SingleProcess(),
        classes=recipe.classes,
        loss=build_loss(options.loss, n_classes=recipe.classes.n_classes, class_weights=None),
        options=StepOptions(
            jit=options.jit,
            loss_scaling=options.precision == "float16",
            pixels=batch * shape[1] * shape[2],
        ),
    )
    step_s = _seconds(lambda: list(trainer.train([(images, labels)])))
    return Measured(_device(gpus), batch, step_s, inference_s, memory.peak_mb(), inference_mb)


def _seconds(run: Callable[[], Any]) -> float:
    run()  # The first time, the graph is built.
    times: list[float] = []
    while len(times) < _LEAST_RUNS or sum(times) < _LEAST_SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def _device(gpus: list[Any]) -> str:
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return f"{len(os.sched_getaffinity(0))} cores of a processor"


class _GpuMemory:
    def __init__(self) -> None:
        tf.config.experimental.reset_memory_stats(_GPU)

    def peak_mb(self) -> float | None:
        peak: int = tf.config.experimental.get_memory_info(_GPU)["peak"]
        return peak / 2**20


class _ProcessMemory:
    """Resident memory of this process, as Linux counts it (man 5 proc)."""

    def __init__(self) -> None:
        self._can_tell = True
        try:
            # "5" sets the greatest memory so far to what it is now.
            Path("/proc/self/clear_refs").write_text("5")
            self._before = self._read("VmRSS")
        except OSError:
            self._can_tell = False

    def peak_mb(self) -> float | None:
        return self._read("VmHWM") - self._before if self._can_tell else None

    def _read(self, name: str) -> float:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 2**10
