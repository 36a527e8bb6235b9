"""Stored numbers against each other: the page shows what is stored, and says what can't be true.

A number is never replaced by what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inference.evaluate.results import Group, MethodScore, Results
from polynya.recipe.classes import ClassScheme
from training.metrics.confusion import scores

_SAME = 5e-5
"""Greatest difference of two shares that are the same; tables have four digits."""


def differing(stored: Any, found: float) -> bool:
    """Whether a stored number is another one than was found; no numbers don't differ."""
    if stored is None or np.isnan(found):
        return False
    return not abs(float(stored) - found) <= _SAME


def check_scores(
    where: str, stored: Mapping[str, Any], confusion: Any, classes: ClassScheme
) -> list[str]:
    """Compare scores with the confusion matrix beside them.

    Args:
        where: What the scores are of, for the sentences.
        stored: Scores by name, and by class in `classes`, as in metrics.json.
        confusion: (C, C), or (C, 2, 2) for masks.
        classes: Scheme of the classes.

    Raises:
        ValueError: The matrix has another shape.
    """
    found = scores(matrix(confusion, classes))
    by_class = stored.get("classes", {})
    said = []
    for name, value in found.items():
        if np.ndim(value) == 0 and differing(stored.get(name), float(value)):
            said.append(_contradiction(where, name, stored[name], float(value)))
        if np.ndim(value):
            for code, title in enumerate(classes.names):
                own = by_class.get(title, {}).get(name)
                if differing(own, float(value[code])):
                    said.append(
                        _contradiction(where, f"{name} of {title}", own, float(value[code]))
                    )
    return said


def matrix(confusion: Any, classes: ClassScheme) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A stored confusion matrix as int64; ValueError if it doesn't fit the classes."""
    counts = np.asarray(confusion, np.int64)
    n = classes.n_classes
    if counts.shape != ((n, 2, 2) if classes.has_masks else (n, n)):
        raise ValueError(f"its confusion matrix has the shape {counts.shape} for {n} classes")
    return counts


def check_history(
    where: str, metrics: Mapping[str, Any], history: Sequence[Mapping[str, str]]
) -> list[str]:
    """Compare the scores of the best epoch with that epoch's row of the history."""
    epoch = metrics.get("epoch")
    row = next((row for row in history if row.get("epoch") == str(epoch)), None)
    if row is None:
        if epoch is None or not history:
            return []
        return [f"{where}: metrics.json is of epoch {epoch}, which history.csv doesn't have."]
    said = []
    for name, stored in metrics.get("validation", {}).items():
        known = row.get(f"val_{name}")
        if known and not isinstance(stored, (dict, list)) and differing(stored, float(known)):
            said.append(
                f"{where}: the stored {name} {float(stored):.4f} differs from the"
                f" {float(known):.4f} that history.csv has for epoch {epoch}."
            )
    return said


def check_results(where: str, results: Results) -> list[str]:
    """Compare the scores of an evaluation with its confusion matrices and with its scenes."""
    said = []
    for group in results.groups:
        for score in group.scores:
            place = f"{where}: {score.method}, {group.title}"
            said += _check_group(place, group, score, results.classes)
    every = results.group()
    if every is None or not results.scenes:
        return said
    pixels = sum(row.pixels for row in results.scenes)
    if every.tiles == 0 and pixels != every.pixels:
        said.append(
            f"{where}: its scenes have {pixels:,} pixels, and {every.pixels:,} are stored for all."
        )
    for score in every.scores:
        shares = [(row.right.get(score.method), row.pixels) for row in results.scenes]
        if all(share is not None for share, _ in shares):
            mean = sum(float(share or 0) * n for share, n in shares) / max(pixels, 1)
            if differing(score.right, mean):
                said.append(_contradiction(f"{where}: {score.method}", "right", score.right, mean,
                                           "its scenes together have"))  # fmt: skip
    return said


def _check_group(where: str, group: Group, score: MethodScore, classes: ClassScheme) -> list[str]:
    counts = matrix(score.confusion, classes)
    single = {k: v for k, v in score.values.items() if not isinstance(v, list)}
    by_class = {
        name: {k: v[code] for k, v in score.values.items() if isinstance(v, list)}
        for code, name in enumerate(classes.names)
    }
    said = check_scores(where, {**single, "classes": by_class}, counts, classes)
    counted = int((counts[0] if classes.has_masks else counts).sum()) + score.unlabelled
    if counted != group.pixels:
        said.append(
            f"{where}: the confusion matrix has {counted:,} pixels with those without a label, and"
            f" {group.pixels:,} are stored."
        )
    masks = classes.n_classes if classes.has_masks else 1
    right = float(np.trace(counts, axis1=-2, axis2=-1).sum()) / max(counted * masks, 1)
    if differing(score.right, right):
        said.append(_contradiction(where, "right", score.right, right))
    return said


def check_shares(where: str, row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Whether the shares of classes that exclude each other add up to one."""
    shares = [row.get(f"{name}_share") for name in names]
    if not all(shares):
        return []
    total = sum(float(share) for share in shares if share is not None)
    if abs(total - 1) <= 1e-4 or total == 0:
        return []
    return [f"{where}: the shares of the classes add up to {total:.4f}, not to 1."]


def check_speed_ups(where: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Whether speed-ups are the ratios of the rates beside them."""
    said, rate = [], "images/s"
    for row in rows:
        if not (row.get("speed-up") and row.get(rate) and rows[0].get(rate)):
            continue
        ratio = float(row[rate]) / float(rows[0][rate])
        if abs(float(row["speed-up"]) - ratio) > 0.02:
            first = next(iter(row))
            said.append(
                f"{where}: the stored speed-up {row['speed-up']} of {first} {row[first]}"
                f" differs from the {ratio:.2f} that its {rate} give."
            )
    return said


def _contradiction(
    where: str, name: str, stored: Any, found: float, source: str = "the confusion matrix gives"
) -> str:
    words = name.replace("_", " ")
    return (
        f"{where}: the stored {words} {float(stored):.4f} differs from the {found:.4f} that"
        f" {source}."
    )
