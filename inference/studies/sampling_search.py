"""Random search over the factors of a sampler's features: trials, table and answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.studies.gains import NOISE, interval, points, verdict
from polynya.recipe.recipe import Recipe
from polynya.recipe.sampling import COMPLEMENT, EachOptions, FeatureSamplingOptions, feature_of
from polynya.report.tables import Table

PRESENCE = (0.0, 0.5, 1.0, 2.0, 3.0)
"""Factors of `has:CLASS`, which tells most."""
OTHERS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
"""Factors of all other features. The kelp study has chosen from about the same numbers."""

Weights = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """A training and its score."""

    name: str
    weights: Weights | None
    """Factors of features; None draws each tile once."""
    score: float
    """Mean IoU on the validation tiles, 0..1; NaN if undefined."""


def feature_names(recipe: Recipe) -> list[str]:
    """Names of the features that get factors.

    They are those of the recipe, if it draws by features. Otherwise they are those of the kelp
    study for all classes, as far as the bands `qa` and `elevation` are there.
    """
    sampling = recipe.training.sampling
    if isinstance(sampling, FeatureSamplingOptions):
        return list(sampling.weights)
    names = [text for c in recipe.classes.names for text in (f"has:{c}", f"{COMPLEMENT}share:{c}")]
    bands = recipe.scene.seen_bands
    names += ["qa_ok", f"{COMPLEMENT}bad"] if "qa" in bands else []
    names += [f"{COMPLEMENT}{n}" for n in ("water", "nan", "zero")] if "elevation" in bands else []
    return names


def draw_weights(names: Sequence[str], trials: int, seed: int) -> list[Weights]:
    """Draw factors for each trial, independently from a short list of numbers.

    Random search (Bergstra and Bengio, 2012): all trials are known before the first one, so they
    are the same for any number of ranks, and a search that was cut goes on. More trials with the
    same seed begin with the same ones.

    Args:
        names: Features, with `1 - ` before a complement.
        trials: Number of trials.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(trials):
        lists = [PRESENCE if feature_of(name).startswith("has:") else OTHERS for name in names]
        chosen = [float(rng.choice(numbers)) for numbers in lists]
        found.append(dict(zip(names, chosen, strict=True)))
    return found


def sampling_of(weights: Weights | None, recipe: Recipe) -> EachOptions | FeatureSamplingOptions:
    """Key `training.sampling` of a trial; other keys of the recipe's sampling stay."""
    if weights is None:
        return EachOptions()
    own = recipe.training.sampling
    if isinstance(own, FeatureSamplingOptions):
        return own.model_copy(update={"weights": weights})
    return FeatureSamplingOptions(weights=weights)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best score among those that draw by factors; the first of equal ones."""
    drawn = [trial for trial in trials if trial.weights is not None and trial.score == trial.score]
    return max(drawn, key=lambda trial: trial.score, default=None)


def trials_table(trials: Sequence[Trial], names: Sequence[str]) -> Table:
    """One row per trial, best first."""
    ordered = sorted(trials, key=lambda t: -t.score if t.score == t.score else np.inf)
    rows = [
        (
            trial.name,
            "" if trial.score != trial.score else f"{100 * trial.score:.2f}",
            *("" if trial.weights is None else f"{trial.weights[name]:g}" for name in names),
        )
        for trial in ordered
    ]
    columns = ("trial", "mean IoU", *names)
    return Table("Weights of tiles, mean IoU on validation tiles in %", columns, tuple(rows))


def answer(without: Sequence[float], best: Sequence[float]) -> str:
    """Say in one sentence whether the best factors gain, by trainings with other seeds.

    The score by which the best trial was chosen doesn't count: the best of many is partly luck.

    Args:
        without: Scores of trainings that see each tile once, one per seed.
        best: Scores with the best factors, with the same seeds.
    """
    gains = np.array(best) - np.array(without)
    change = f"{points(gains, '+')} % mean IoU with {len(gains)} other seeds"
    if not np.isfinite(interval(gains)[0]):
        return "Nobody can tell whether the weights help: trainings have no score on validation."
    found = verdict(gains)
    if found == NOISE:
        return f"The best weights against each tile once: {change}, inside the noise; keep `each`."
    if found == "loss":
        return f"The best weights make it worse: {change}; keep `each`."
    return f"The best weights help: {change}."
