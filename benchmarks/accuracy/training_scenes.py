"""The scenes that models are trained on, as files that `polynya label` reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.common.scenes import write_image
from benchmarks.common.workers import for_each_scene
from data_samples import make_scene
from data_samples.mosaic import make_mosaic
from polynya.storage.files import output_folder


class Kind(StrEnum):
    """What a training scene shows."""

    CLEAR = "clear"
    """A scene of `data_samples` under a clear sky."""
    MOSAIC = "mosaic"
    """Ice of any shape and class under a clear sky."""
    CLOUDY = "cloudy"
    """A scene of `data_samples` under its own sky, for models that train on cloudy scenes."""


FIRST_SEEDS = {Kind.CLEAR: 70_000, Kind.MOSAIC: 80_000, Kind.CLOUDY: 90_000}
"""First seed of each kind; far from the seeds of scored scenes (`benchmarks.labels.sets`)."""


@dataclass(frozen=True)
class TrainingSpec:
    """Description of one scene; small enough to send to the worker that makes the scene."""

    kind: Kind
    seed: int
    size: int
    """Height and width in pixels."""
    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.kind}-{self.seed}.tif"


def write_training_scenes(
    folder: Path, kinds: dict[Kind, int], size: int, jobs: int | None = None
) -> None:
    """Write the missing scenes, up to a number of scenes of each kind."""
    output_folder(folder)
    specs = [
        TrainingSpec(kind, FIRST_SEEDS[kind] + i, size, folder)
        for kind, count in kinds.items()
        for i in range(count)
    ]
    missing = [spec for spec in specs if not spec.path.is_file()]
    for_each_scene(write_training_scene, missing, "Making scenes to train on", jobs)


def write_training_scene(spec: TrainingSpec) -> None:
    """Make a scene and write it as GeoTIFF, nodata 0."""
    shape = (spec.size, spec.size)
    if spec.kind is Kind.MOSAIC:
        image = make_mosaic(spec.seed, shape)
    elif spec.kind is Kind.CLEAR:
        image = make_scene(spec.seed, 0, shape, "clear").clear
    else:
        image = make_scene(spec.seed, spec.seed, shape, "mixed").observed
    write_image(spec.path, image, zlevel=1)
