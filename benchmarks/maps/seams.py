"""Whether maps show the borders of their windows: comparison with a map in one piece.

At a seam, the class changes more often than elsewhere. So change rates on the borders of windows
are compared with change rates elsewhere. Scenes also change by themselves, so both rates are
divided by the rates at the same places of the map from one window over the whole scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.common.cli import ModelOption
from benchmarks.common.models import DEMO
from benchmarks.common.report import Report, table_of
from data_samples import make_scene
from data_samples.write import write_scene
from inference.predict.predict import Prediction, open_model, predict_scene, scene_windows
from inference.predict.windows import Axis, Windows
from polynya.progress import track
from polynya.recipe.inference import Blend, InferenceOptions
from polynya.report.tables import Table
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene
from polynya.storage.files import output_folder
from training.model_folder.folder import TrainedModel

SEED = 9801
"""Seed of the scenes; no other benchmark uses it."""

CUTS: tuple[tuple[Blend, int, float], ...] = (
    ("hann", 896, 0.0625),
    ("hann", 1024, 0.25),
    ("hann", 512, 0.25),
    ("hann", 512, 0.5),
    ("hann", 256, 0.5),
    ("trimmed", 512, 0.5),
    ("trimmed", 256, 0.5),
    ("trimmed", 256, 0.0),
)
"""Blend, window and overlap; the first is the default, the last has no overlap at all."""


def seams(
    report: Report,
    model: ModelOption = DEMO / "model",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes to map.")] = 6,
    size: Annotated[int, typer.Option(min=256, help="Height and width of a scene.")] = 2048,
) -> None:
    """Compare maps from windows with maps in one piece: probabilities, classes, seams."""
    work = output_folder(report.folder / "work/seams")
    runs = measure_seams(open_model(model), CUTS, work, scenes=scenes, size=size)
    title = f"{scenes} scenes of {size} x {size} pixels against one piece"
    about = f"Model: {model}. Rates of class changes are over those of the map in one piece."
    report.write("seams", "Maps: seams", about, {"seams": seams_table(runs, title)})


@dataclass(frozen=True)
class SeamRun:
    """Results of one way to cut windows, over all scenes."""

    blend: Blend
    window: int
    overlap: float
    largest: float
    """Greatest difference of a probability from the map in one piece."""
    mean: float
    """Mean difference of probabilities."""
    same: float
    """Share of pixels with the same class as in the map in one piece."""
    on_borders: float
    """Rate of class changes across the borders of windows, divided by the rate of the map in one
    piece at the same places; NaN if no window ends inside the scenes."""
    elsewhere: float
    """The same ratio at all other places."""

    @property
    def excess(self) -> float:
        """How much more often classes change on borders than elsewhere; 0 without seams."""
        return self.on_borders / self.elsewhere - 1.0


def border_lines(axis: Axis) -> NDArray[np.intp]:
    """Return positions of window borders inside the scene, where a window starts or ends."""
    ends = [start + axis.size for start in axis.starts]
    lines = {line for line in (*axis.starts, *ends) if 0 < line < axis.length}
    return np.array(sorted(lines), np.intp)


def change_counts(codes: NDArray[np.uint8], rows: Axis, columns: Axis) -> NDArray[np.float64]:
    """Count class changes between neighbours on borders of windows and elsewhere: float64 (2,)."""
    counts = np.zeros(2)
    for axis, changed in (
        (rows, (codes[1:] != codes[:-1]).sum(axis=1)),
        (columns, (codes[:, 1:] != codes[:, :-1]).sum(axis=0)),
    ):
        on_border = np.zeros(axis.length - 1, np.bool_)
        on_border[border_lines(axis) - 1] = True
        counts += changed[on_border].sum(), changed[~on_border].sum()
    return counts


def measure_seams(
    model: TrainedModel,
    cuts: Sequence[tuple[Blend, int, float]],
    folder: Path,
    *,
    scenes: int,
    size: int,
) -> list[SeamRun]:
    """Compare maps of windows with maps in one piece on generated scenes under mixed skies.

    Their size must be a multiple of the model's tiles.
    """
    sums = np.zeros((len(cuts), 2))
    whole_counts, counts = np.zeros((len(cuts), 2)), np.zeros((len(cuts), 2))
    largest, pixels = np.zeros(len(cuts)), 0
    for index in track(range(scenes), "Predicting scenes"):
        scene = _make_scene(index, size, folder, model)
        whole, _ = _predict(model, scene, InferenceOptions(window=size, overlap=0.0))
        pixels += whole.codes.size
        for way, (blend, window, overlap) in enumerate(cuts):
            options = InferenceOptions(window=window, overlap=overlap, blend=blend)
            part, windows = _predict(model, scene, options)
            difference = np.abs(_probabilities(part) - _probabilities(whole))
            largest[way] = max(largest[way], difference.max())
            sums[way] += difference.sum() / difference.shape[2], (part.codes == whole.codes).sum()
            counts[way] += change_counts(part.codes, windows.rows, windows.columns)
            whole_counts[way] += change_counts(whole.codes, windows.rows, windows.columns)
    return [
        SeamRun(
            blend,
            window,
            overlap,
            float(largest[way]),
            float(sums[way, 0] / pixels),
            float(sums[way, 1] / pixels),
            *_ratios(counts[way], whole_counts[way]),
        )
        for way, (blend, window, overlap) in enumerate(cuts)
    ]


def _ratios(counts: NDArray[np.float64], whole: NDArray[np.float64]) -> list[float]:
    return [float(n / of) if of else float("nan") for n, of in zip(counts, whole, strict=True)]


def _make_scene(index: int, size: int, folder: Path, model: TrainedModel) -> Scene:
    sample = make_scene(SEED, index, (size, size), "mixed", wedge=0.0)
    paths = write_scene(sample, folder)
    (observed,) = [path for path in paths if path.stem.endswith(f"_{sample.sky.kind}")]
    return open_scene(str(observed), model.recipe.scene)


def _predict(
    model: TrainedModel, scene: Scene, options: InferenceOptions
) -> tuple[Prediction, Windows]:
    recipe = model.recipe.model_copy(update={"inference": options})
    cut = replace(model, recipe=recipe)
    return predict_scene(cut, scene, with_probabilities=True), scene_windows(cut, scene)


def _probabilities(prediction: Prediction) -> NDArray[np.float32]:
    assert prediction.probabilities is not None  # They were asked for.
    return prediction.probabilities


def _number(value: float, form: str) -> str:
    """Format a number; empty if it is NaN, because a scene has no border inside."""
    return "" if np.isnan(value) else format(value, form)


def seams_table(runs: Sequence[SeamRun], title: str) -> Table:
    """One row per way to cut windows."""
    return table_of(
        title,
        runs,
        {
            "blend": lambda run: run.blend,
            "window": lambda run: str(run.window),
            "overlap": lambda run: f"{run.overlap:g}",
            "same class %": lambda run: f"{100 * run.same:.3f}",
            "largest difference": lambda run: f"{run.largest:.3f}",
            "mean difference": lambda run: f"{run.mean:.5f}",
            "changes on borders": lambda run: _number(run.on_borders, ".4f"),
            "elsewhere": lambda run: _number(run.elsewhere, ".4f"),
            "excess on borders %": lambda run: _number(100 * run.excess, "+.2f"),
        },
    )
