"""Boosted decision trees by XGBoost; the only module that imports it.

T. Chen, C. Guestrin, "XGBoost: A scalable tree boosting system", KDD 2016.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, reason_of
from polynya.recipe.model import XgboostOptions

CLASSES_OBJECTIVE, MASKS_OBJECTIVE = "multi:softprob", "binary:logistic"

Floats = NDArray[np.float32]


def library() -> Any:
    """Import XGBoost.

    Raises:
        MissingDependencyError: It is not installed, or its libraries can't be loaded.
    """
    # Its threads would wait for each other at full speed. On a busy machine, that takes longer than
    # the work. It reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xgboost
    # It has an error of its own for libraries of the system that are missing.
    except (ImportError, OSError, ValueError) as error:
        raise MissingDependencyError(
            f"Decision trees need XGBoost ({reason_of(error)}); install it with:"
            f" {install_command('baseline')}"
        ) from None
    # It would print about what can't be changed here, such as old formats.
    xgboost.set_config(verbosity=0)
    return xgboost


def check_installed() -> None:
    """Raise MissingDependencyError if XGBoost isn't installed."""
    library()


def library_version() -> str:
    """Version of XGBoost."""
    return str(library().__version__)


def grow(
    features: Floats,
    targets: NDArray[Any],
    weights: NDArray[np.float64] | None,
    options: XgboostOptions,
    *,
    n_classes: int,
    seed: int,
    after_round: Callable[[int], None],
    facts: Mapping[str, str],
) -> bytes:
    """Grow trees: in each round one for each class or mask.

    They grow on one thread. So the same pixels give the same bytes on every machine, and with the
    few pixels of a baseline it takes seconds.

    Args:
        features: (N, F), NaN where missing.
        targets: uint8 (N,) class codes, or bool (N, C) masks.
        weights: (N,), factor of each pixel in the loss; None for 1.
        options: Section `model` of the recipe.
        n_classes: C.
        seed: Seed of XGBoost's random numbers.
        after_round: Function that is called with the number of each finished round, from 1.
        facts: Texts to keep in the file, by name.

    Returns:
        XGBoost's own file of the model, JSON.
    """
    xgboost = library()
    has_masks = targets.ndim == 2
    matrix = xgboost.QuantileDMatrix(
        features, targets.astype(np.float32), weight=weights, nthread=1
    )
    parameters = {
        "objective": MASKS_OBJECTIVE if has_masks else CLASSES_OBJECTIVE,
        **({} if has_masks else {"num_class": n_classes}),
        "tree_method": "hist",
        "max_depth": options.depth,
        "eta": options.learning_rate,
        "nthread": 1,
        "seed": seed,
    }
    booster = xgboost.Booster(parameters, [matrix])
    for number in range(options.rounds):
        booster.update(matrix, number)
        after_round(number + 1)
    booster.set_attr(**facts)
    return bytes(booster.save_raw("json"))


def open_booster(content: bytes) -> Any:
    """Open the file of a model that `tree_file` has checked.

    Raises:
        ValueError: XGBoost can't open it.
    """
    xgboost = library()
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": _threads()})
    except xgboost.core.XGBoostError as error:
        # Lines after the first are about its own code.
        raise ValueError(str(error).strip().splitlines()[0]) from None
    return booster


def _threads() -> int:
    """As many as TensorFlow has in this process."""
    own = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    return own or len(os.sched_getaffinity(0))


def probabilities(booster: Any, features: Floats, n_classes: int) -> Floats:
    """Compute probabilities of rows, (N, F) to (N, C); the same for any number of threads."""
    found = booster.inplace_predict(np.ascontiguousarray(features))
    return np.asarray(found, np.float32).reshape(len(features), n_classes)


def gains(booster: Any, features: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of the gain of all splits of each feature, and their number: both (F,)."""
    total, count = (booster.get_score(importance_type=kind) for kind in ("total_gain", "weight"))
    names = booster.feature_names or [f"f{number}" for number in range(features)]
    return (
        np.array([total.get(name, 0.0) for name in names], np.float64),
        np.array([count.get(name, 0) for name in names], np.int64),
    )
