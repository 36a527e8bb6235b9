"""From probabilities to labels: test-time augmentation, weights or thresholds, then tidying.

All of this is off by default. `polynya tune` finds the settings that help on validation scenes and
saves them in the model's folder, so that prediction uses the same settings. What the recipe or a
command says (`inference.tta`, `merge`, `threshold`) takes their place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, ValidationError
from rasterio.features import sieve

from inference.predict.otsu import otsu_labels, otsu_thresholds
from inference.predict.windows import Band, Codes, Forward, Image, Probabilities
from polynya.errors import ModelError
from polynya.recipe.base import Options
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text
from training.ballots import HALF, ballots
from training.model_folder.folder import DECISION_FILE

_BLOCK_ROWS = 2048
"""Rows of a map for one morphological opening or closing; they decide the memory needed."""

TestTime = Literal["none", "flips", "dihedral"]
Merge = Literal["mean", "max", "vote"]
Radii = tuple[Annotated[int, Field(ge=0, le=64)], ...]
"""One radius per class, in pixels, in the order of codes; empty: no radius for any class."""
Pixels = tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]
"""One number of pixels per class, in the order of codes; empty: 0 for every class."""
Factor = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
"""Factor on a probability. A product of 0 or infinity would decide alone, so limits exclude it."""
Threshold = Annotated[float, Field(ge=1e-6, le=1 - 1e-6, allow_inf_nan=False)]
"""Least probability of a mask, between 0 and 1."""
Connectivity = Literal[4, 8]

_BY_KIND = {"exclusive": "weights", "masks": "thresholds"}
"""Key of the decision on probabilities, by `ClassScheme.kind`."""


class Decision(Options):
    """The steps from probabilities to labels, in order.

    Each mask is decided and tidied separately: the mask is one class, and the pixels outside the
    mask are the other class.
    """

    tta: Annotated[TestTime, Field(validation_alias=AliasChoices("tta", "turns"))] = "none"
    """Test-time augmentation: probabilities are merged over the window and its flips (4 calls of
    the model), or over all eight flips and right-angle turns. Older files call it 'turns'."""
    merge: Merge = "mean"
    """How they are merged: `polynya.recipe.inference.InferenceOptions.merge`."""
    smooth: Annotated[float, Field(ge=0.0, le=16.0, allow_inf_nan=False)] = 0.0
    """Standard deviation of a Gaussian over the probabilities of a window, in pixels."""
    weights: tuple[Factor, ...] = ()
    """Factor on the probability of each class before the largest decides; empty: 1. Only for
    classes that exclude each other."""
    thresholds: tuple[Threshold, ...] = ()
    """Least probability of each mask; empty: 0.5. Only for masks."""
    threshold: Literal["fixed", "otsu"] = "fixed"
    """otsu: found for each scene (`inference.predict.otsu`), in place of weights and thresholds."""
    closing: Radii = ()
    """Radius in pixels of a morphological closing of each class: narrower gaps become the class."""
    opening: Radii = ()
    """Radius in pixels of an opening: narrower parts of the class become the nearest other
    class."""
    least_hole: Pixels = ()
    """Least size of a hole in pixels; smaller holes in a class become the class."""
    least_region: Pixels = ()
    """Least size of a region in pixels; a smaller one becomes its largest neighbouring region. A
    smaller region of a mask is removed."""
    connectivity: Connectivity = 4
    """Neighbours of a pixel in a region or hole. 4: pixels that share an edge. 8: also pixels that
    share a corner."""

    def check_classes(self, classes: ClassScheme, source: str) -> None:
        """Raise ModelError if the decision doesn't fit the classes.

        Args:
            classes: Classes of the model.
            source: Source of the decision, for the error.
        """
        right = _BY_KIND[classes.kind]
        for kind, key in _BY_KIND.items():
            if kind != classes.kind and getattr(self, key):
                raise ModelError(
                    f"{source} has '{key}', which are for classes of the kind {kind}, but the"
                    f" model's classes are {classes.kind}; give '{right}' instead, or leave them"
                    " out."
                )
        if self.threshold == "otsu" and not classes.is_binary:
            raise ModelError(
                f"{source} has 'threshold: otsu', which divides in two, but the model has"
                f" {classes.n_classes} classes; remove the key."
            )
        for name in (right, "closing", "opening", "least_hole", "least_region"):
            length = len(getattr(self, name))
            if length not in (0, classes.n_classes):
                raise ModelError(
                    f"{source} has {length} values for '{name}' but the model has"
                    f" {classes.n_classes} classes; give one for each or none."
                )

    def labels(self, band: Band, classes: ClassScheme) -> Codes:
        """Turn the probabilities of a strip into labels, before tidying: uint8 (N, W).

        Thresholds by Otsu's method are those of the strip, so it must be a whole image. For scenes
        there is `inference.predict.otsu.OtsuLabels`.
        """
        if self.threshold == "otsu":
            return otsu_labels(band, otsu_thresholds(band, classes), classes)
        thresholds: tuple[float, ...] = ()
        if classes.has_masks:
            thresholds = self.thresholds or (HALF,) * classes.n_classes
        return band.codes(classes.nodata, self.weights, thresholds)


def said(options: InferenceOptions) -> dict[str, str]:
    """Keys of a decision that the recipe or a command sets, so that nothing is searched for."""
    keys = {"tta": options.tta, "merge": options.merge, "threshold": options.threshold}
    return {key: value for key, value in keys.items() if value != "as-tuned"}


def read_decision(folder: Path, recipe: Recipe) -> Decision:
    """Read the decision of a model: what the recipe says, then the result of `polynya tune`.

    By default, the most probable class decides; a mask is present if its probability is at least
    0.5.

    Args:
        folder: Folder of the model.
        recipe: Its recipe, changed by options of a command.

    Raises:
        ModelError: The file can't be used.
        RecipeError: The recipe's threshold doesn't suit the classes.
    """
    recipe.inference.check_classes(recipe.classes)
    return _tuned(folder / DECISION_FILE, recipe.classes).model_copy(update=said(recipe.inference))


def _tuned(path: Path, classes: ClassScheme) -> Decision:
    """Read decision.yaml; the default decision if there is no such file."""
    if not path.is_file():
        return Decision()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    # Deeply nested brackets raise RecursionError, invalid dates raise ValueError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        raise ModelError(f"{path} can't be read as YAML; fix or remove it.") from None
    if not isinstance(content, dict | None):
        raise ModelError(
            f"{path} must be a mapping of keys, such as 'smooth: 0'; fix or remove it."
        )
    try:
        decision = Decision.model_validate(content or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"{path} has a wrong value for '{key}': {first['msg']}; fix or remove it."
        ) from None
    decision.check_classes(classes, str(path))
    return decision


def write_decision(folder: Path, decision: Decision) -> None:
    """Write a decision into a model's folder."""
    content = decision.model_dump(mode="json")
    write_text(folder / DECISION_FILE, yaml.safe_dump(content, sort_keys=False))


def decided(forward: Forward, decision: Decision, has_masks: bool) -> Forward:
    """Add test-time augmentation and smoothing to a model.

    Args:
        forward: The model.
        decision: Says what to add.
        has_masks: Whether the probabilities are for masks.
    """
    result = forward
    if decision.tta != "none":
        result = augmented(forward, decision.tta, decision.merge, has_masks)
    return smoothed(result, decision.smooth) if decision.smooth > 0 else result


def augmented(forward: Forward, tta: TestTime, merge: Merge, has_masks: bool) -> Forward:
    """Merge the probabilities over a window and its flips, or over its eight symmetries.

    Args:
        forward: The model.
        tta: Versions of the window.
        merge: See `polynya.recipe.inference.InferenceOptions.merge`.
        has_masks: Whether the probabilities are for masks.
    """
    transposes = (False, True) if tta == "dihedral" else (False,)
    changes = [(t, rows, columns) for t in transposes for rows in (1, -1) for columns in (1, -1)]

    def merged(images: Image) -> Probabilities:
        total: Probabilities | None = None
        for transpose, rows, columns in changes:
            seen = images[:, ::rows, ::columns]
            if transpose:
                seen = seen.swapaxes(1, 2)
            found = forward(np.ascontiguousarray(seen))
            if transpose:
                found = found.swapaxes(1, 2)
            found = found[:, ::rows, ::columns]
            if merge == "vote":
                found = ballots(found, has_masks)
            if total is None:
                total = found.copy()
            else:
                total = np.maximum(total, found) if merge == "max" else total + found
        assert total is not None
        if merge != "max":
            return np.asarray(total / len(changes), np.float32)
        return total if has_masks else total / total.sum(axis=-1, keepdims=True)

    return merged


def smoothed(forward: Forward, sigma: float) -> Forward:
    """Smooth probabilities with a Gaussian; probabilities of classes still add up to 1."""

    def blurred(images: Image) -> Probabilities:
        found = forward(images)
        return np.stack(
            [
                # OpenCV drops the last axis if there is one mask only.
                cv2.GaussianBlur(window, (0, 0), sigma, borderType=cv2.BORDER_REFLECT).reshape(
                    window.shape
                )
                for window in found
            ]
        )

    return blurred


def tidy_labels(labels: Codes, decision: Decision, classes: ClassScheme) -> Codes:
    """Open and close classes or each mask, fill holes, remove small regions; see `Decision`.

    Args:
        labels: uint8 (H, W); changed in place.
        decision: The steps.
        classes: Scheme of the labels. Nodata stays, and no other pixel becomes nodata.

    Returns:
        uint8 (H, W), `labels`.
    """
    if not classes.has_masks:
        return tidy(labels, decision, classes.nodata)
    for code in classes.codes:
        # Pixels outside the mask are class 0, which is not tidied.
        of_mask = {
            key: (0, numbers[code])
            for key in ("closing", "opening", "least_hole")
            if (numbers := getattr(decision, key))
        }
        least = decision.least_region[code] if decision.least_region else 0
        if least > 1 or any(number for _, number in of_mask.values()):
            plane = classes.where(labels, code).astype(np.uint8)
            plane[labels == classes.nodata] = classes.nodata
            steps = Decision.model_validate({**of_mask, "connectivity": decision.connectivity})
            tidy(plane, steps, classes.nodata)
            if least > 1:
                # Not by `tidy`: if what lies outside is small too, a region there may stay.
                plane[small_regions(plane == 1, least, decision.connectivity)] = 0
            valid = labels != classes.nodata
            labels[valid & (plane == 1)] |= 1 << code
            labels[valid & (plane == 0)] &= 0xFF ^ (1 << code)
    return labels


def small_regions(
    mask: NDArray[np.bool_], pixels: int, connectivity: Connectivity
) -> NDArray[np.bool_]:
    """Find the pixels, bool (H, W), of a mask's regions with fewer pixels than a number."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=connectivity
    )
    small = stats[:, cv2.CC_STAT_AREA] < pixels
    small[0] = False  # The pixels outside of the mask.
    return np.asarray(small[regions])


def tidy(codes: Codes, decision: Decision, nodata: int) -> Codes:
    """Open and close classes that exclude each other, fill holes, remove small regions.

    Args:
        codes: uint8 (H, W), class codes; changed in place.
        decision: The steps.
        nodata: Code of pixels without a class. They stay, and no other pixel becomes nodata.

    Returns:
        uint8 (H, W), `codes`.
    """
    valid = codes != nodata
    for code, radius in enumerate(decision.closing):
        if radius:
            _by_blocks(codes, code, radius, valid, _close)
    for code, radius in enumerate(decision.opening):
        if radius:
            _by_blocks(codes, code, radius, valid, _open)
    for code, pixels in enumerate(decision.least_hole):
        if pixels > 1:
            of_class = (codes == code).astype(np.uint8)
            filled = _sieved(of_class, pixels, valid, decision.connectivity)
            codes[(filled == 1) & (of_class == 0) & valid] = code
    for code, pixels in enumerate(decision.least_region):
        if pixels > 1:
            merged = _sieved(codes, pixels, valid, decision.connectivity)
            change = (codes == code) & (merged != nodata)
            codes[change] = merged[change]
    return codes


def _sieved(
    codes: Codes, pixels: int, valid: NDArray[np.bool_], connectivity: Connectivity
) -> Codes:
    """Turn regions with fewer pixels into the largest region beside them."""
    if codes.size < 3:
        return codes  # GDAL can't remove regions as large as the image.
    least = min(pixels, codes.size - 1)
    return np.asarray(sieve(codes, least, mask=valid, connectivity=connectivity), np.uint8)


Change = Callable[[Codes, int, int, NDArray[np.bool_]], Codes]


def _by_blocks(
    codes: Codes, code: int, radius: int, valid: NDArray[np.bool_], change: Change
) -> None:
    """Change a map in blocks of rows, each with the neighbouring rows that the change needs."""
    halo = 4 * radius + 2
    before = codes.copy()
    for row in range(0, len(codes), _BLOCK_ROWS):
        stop = min(row + _BLOCK_ROWS, len(codes))
        seen = slice(max(row - halo, 0), min(stop + halo, len(codes)))
        changed = change(before[seen], code, radius, valid[seen])
        codes[row:stop] = changed[row - seen.start : stop - seen.start]


def _disk(radius: int) -> Codes:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _close(codes: Codes, code: int, radius: int, valid: NDArray[np.bool_]) -> Codes:
    of_class = (codes == code).astype(np.uint8)
    closed = cv2.morphologyEx(of_class, cv2.MORPH_CLOSE, _disk(radius))
    result = codes.copy()
    result[(closed == 1) & valid] = code
    return result


def _open(codes: Codes, code: int, radius: int, valid: NDArray[np.bool_]) -> Codes:
    # Nodata is not an edge: pixels under nodata may belong to the class.
    maybe = ((codes == code) | ~valid).astype(np.uint8)
    opened = cv2.morphologyEx(maybe, cv2.MORPH_OPEN, _disk(radius))
    narrow = (opened == 0) & (codes == code)
    others = valid & (codes != code)
    if not narrow.any() or not others.any():
        return codes
    _, nearest = cv2.distanceTransformWithLabels(
        (~others).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(nearest.max()) + 1, np.uint8)
    of_label[nearest[others]] = codes[others]
    result = codes.copy()
    result[narrow] = of_label[nearest[narrow]]
    return result
