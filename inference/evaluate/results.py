"""What an evaluation found: `evaluation.json`, from which tables, figures and pages are made.

The file holds one `Results` as JSON. Its format has a number, `VERSION`; a reader refuses others.
Numbers that are undefined (0 / 0) are null. Shares are 0..1, never percent.

version, polynya     of the format, and of the program
samples              "scenes" or "tiles": what one row of samples.csv or tiles.csv is
classes              the class scheme, as in classes.json of a model
settings             tile size, limit of cover, seed and number of resamples
metrics              what was measured: name, title, unit, and whether less is better
methods              what was compared, in the order of tables
groups               tiles by true cover; "all" comes first. `scores` has an entry for each method
comparisons          differences of two methods, with interval and verdict
scenes               one entry for each scene
missed               scenes without a score, with the reason
notes                sentences that a reader of the figures must know
figures              pictures in the same folder, with their titles
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from polynya.errors import SceneError, reason_of
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.storage.files import write_text

VERSION: Final = 1
RESULTS_FILE = "evaluation.json"
ALL = "all"
"""Name of the group of all tiles."""


def _defined(value: Any) -> Any:
    """None in place of a number that is none; JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_defined)]
Interval = tuple[Number, Number]
"""Ends of an interval of 95 %."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(_Part):
    """What the figures depend on beside methods and truth."""

    tile_size: int | None
    """Edge of the tiles in pixels; None if scenes were not cut."""
    cover: Literal["true", "estimated", "unknown"]
    """Where the cover of tiles comes from: a raster that knows it, or the filter that labelled."""
    cover_limit: float
    """Share of a tile under cloud or shadow that divides the groups."""
    seed: int
    """Of the bootstrap."""
    resamples: int
    """Number of bootstrap samples; 0: no intervals."""
    resampled: Literal["scene", "site"]
    """What is drawn with replacement."""


class Measure(_Part):
    """One metric."""

    name: str
    """Key in `values` and `intervals`; metrics of classes also have the key mean_NAME."""
    title: str
    unit: str
    """Empty for shares."""
    per_class: bool
    less_is_better: bool


class Method(_Part):
    """A source of labels that was compared with the truth."""

    name: str
    kind: Literal["thresholds", "model", "maps", "labels"]
    family: str
    """What it is without its images: name of the model, of the maps or of the labels."""
    images: str
    """Images that the family saw, such as "original" or "illumination"; empty if unknown."""
    folder: str | None = None
    digest: str | None = None
    """Digest of the model file."""


class Bin(_Part):
    """Pixels with a probability in one bin of a reliability diagram."""

    low: float
    high: float
    pixels: int
    """For masks, pairs of a pixel and a mask."""
    confidence: Number
    """Mean probability of the class that was chosen; for masks, of the mask."""
    right: Number
    """Share that is right; for masks, share under the mask."""


class MethodScore(_Part):
    """Scores of one method in one group, over all pixels together."""

    method: str
    right: Number
    """Share of the pixels with known truth that are right; a pixel without a label isn't."""
    unlabelled: int
    """Pixels with known truth without a label; they count in no other score."""
    confusion: list[Any]
    """Pixels: rows are the truth, columns the prediction, both in the order of the classes; for
    masks, a matrix for each with the order absent, present."""
    values: dict[str, Number | list[Number]]
    """By name: a number, or one for each class."""
    per_sample: dict[str, Number | list[Number]]
    """The same as means over samples."""
    intervals: dict[str, Interval | list[Interval]]
    """By name, also of "right"; empty without bootstrap."""
    calibration: list[Bin] | None = None
    """None without probabilities."""


class Group(_Part):
    """Tiles with something in common."""

    name: str
    """"all", "more" or "less": by true cover of cloud and shadow."""
    title: str
    tiles: int
    """0 if scenes were not cut into tiles."""
    scenes: int
    pixels: int
    """Pixels with data and known truth."""
    scores: list[MethodScore]


class Comparison(_Part):
    """The difference of two methods on the same scenes: the first minus the second."""

    group: str
    score: str
    first: str
    second: str
    difference: Number
    interval: Interval
    verdict: str
    """"better" or "worse" (the first), "inside the noise", or "noise unknown" (too few scenes)."""


class SceneRow(_Part):
    """One scene."""

    scene: str
    site: str
    sky: str
    pixels: int
    cover: Number
    """True share of its pixels under cloud or shadow; None if unknown."""
    trained: list[str]
    """Methods whose model learnt from this scene."""
    right: dict[str, Number]
    """By method."""


class Missed(_Part):
    """A scene without a score."""

    scene: str
    reason: str


class Figure(_Part):
    """A picture in the folder."""

    file: str
    title: str


class Results(_Part):
    """All of an evaluation."""

    version: Literal[1] = VERSION
    polynya: str
    samples: Literal["scenes", "tiles"]
    classes: ClassScheme
    settings: Settings
    metrics: list[Measure]
    methods: list[Method]
    groups: list[Group]
    comparisons: list[Comparison]
    scenes: list[SceneRow]
    missed: list[Missed]
    notes: list[str]
    figures: list[Figure]

    def group(self, name: str = ALL) -> Group | None:
        """The group of a name; None if no tile is in it."""
        return next((group for group in self.groups if group.name == name), None)


def write_results(path: Path, results: Results) -> None:
    """Write `evaluation.json`; OutputError if it can't be written."""
    write_text(path, results.model_dump_json(indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read `evaluation.json`.

    Raises:
        SceneError: The file is missing, damaged, or of another version.
    """
    try:
        return Results.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise SceneError(
            f"{printable(path)} can't be read ({reason_of(error)}); run 'polynya evaluate' again."
        ) from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        raise SceneError(
            f"{printable(path)} is no evaluation of version {VERSION} (wrong: {where}); run"
            " 'polynya evaluate' again."
        ) from None
