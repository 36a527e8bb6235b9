"""Measure how much of its cores a machine can give at the moment."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np

from autolabel import label_image

SECONDS_TO_BURN = 2.0


def slow_down(workers: int, seconds: float = SECONDS_TO_BURN) -> float:
    """Return how much longer the same work takes if several processes do it at once; 1: no longer.

    The measurement uses no engine, and a tile that fits into caches.
    """
    if workers == 1:
        return 1.0
    # A fresh interpreter per worker: a forked one may inherit locked locks.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        list(pool.map(_labels_per_second, [0.0] * workers))
        alone = pool.submit(_labels_per_second, seconds).result()
        together = list(pool.map(_labels_per_second, [seconds] * workers))
    return max(alone / (sum(together) / workers), 1.0)


def _labels_per_second(seconds: float) -> float:
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(1, 256, (256, 256, 3), np.uint8)
    start, done = time.perf_counter(), 0
    while not done or time.perf_counter() - start < seconds:
        label_image(image, method="published")
        done += 1
    return done / (time.perf_counter() - start)
