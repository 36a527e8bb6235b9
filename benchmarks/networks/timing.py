"""Size and time of networks, measured in turn in one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from benchmarks.common.timing import timed
from polynya.progress import track

PASS_EDGE = 512
"""Edge in pixels of the image for which the study counts the pass size."""


@dataclass(frozen=True)
class NetworkCosts:
    """Size and time of a network as published."""

    parameters: int
    pass_mb: float
    """Pass size for an image of `PASS_EDGE` pixels, MB."""
    step_s: float
    """Median time of a training step, seconds."""
    inference_s: float
    """Median time of inference, seconds."""


def costs_of(
    names: Sequence[str], *, size: int, n_classes: int, batch: int, rounds: int
) -> dict[str, NetworkCosts]:
    """Count and time networks as published, for images with three bands.

    Args:
        names: Families of models.
        size: Edge of the images that are timed, in pixels.
        n_classes: Number of classes.
        batch: Images in a step and in a call of inference.
        rounds: How often each is timed, after one call that is not.
    """
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.model_facts.facts import facts_of
    from training.models import build

    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (batch, size, size, 3)).astype(np.float32)
    labels = rng.integers(0, n_classes, (batch, size, size))
    facts, models = {}, {}
    for name in names:
        shape = (PASS_EDGE, PASS_EDGE, 3)
        facts[name] = facts_of(build(name, input_shape=shape, n_classes=n_classes))
        models[name] = build(name, input_shape=(size, size, 3), n_classes=n_classes)
        models[name].compile("adam", "sparse_categorical_crossentropy")
    steps: dict[str, list[float]] = {name: [] for name in names}
    calls: dict[str, list[float]] = {name: [] for name in names}
    # Networks take turns, so that a busy minute of the machine slows all of them.
    for turn in track(range(rounds + 1), "Timing networks"):
        for name, model in models.items():
            step = timed(partial(model.train_on_batch, images, labels))[0]
            call = timed(partial(model.predict_on_batch, images))[0]
            if turn:  # The first one also traces the graphs.
                steps[name].append(step)
                calls[name].append(call)
    return {
        name: NetworkCosts(
            facts[name].parameters, facts[name].pass_mb, median(steps[name]), median(calls[name])
        )
        for name in names
    }
