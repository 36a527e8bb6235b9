"""Folders of a run as Polynya's commands leave them, made without a training."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conftest import ice_image

from autolabel import label_image
from helpers.maps.made_maps import box_scene, write_all
from inference.evaluate.results import (
    Bin,
    Comparison,
    Group,
    Measure,
    Method,
    MethodScore,
    Results,
    SceneRow,
    Settings,
    write_results,
)
from inference.products.class_map import write_map
from inference.run.scenes import SUMMARY_FILE
from inference.stac.collection import write_collection
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.scenes.scene import Scene
from polynya.storage.output_folder import open_output
from training.metrics.base import Sample
from training.metrics.tally import Tally
from training.model_folder.card import scores_record
from training.model_folder.folder import write_json, write_recipe

EVIL = "<script>document.title='run'<"
"""Name of a scene; names of files can hold everything but a slash."""
EVIL_TITLE = "<img src=x onerror=document.title='run'>"
EVIL_CLASSES = SEA_ICE.model_copy(
    update={"classes": (*SEA_ICE.classes[:2], SEA_ICE.classes[2].model_copy(
        update={"title": EVIL_TITLE}))}
)  # fmt: skip
SCENES = ("site1_clear", "site2_cloud", EVIL)
SIZE = 96


def write_scenes(folder: Path, classes: ClassScheme = EVIL_CLASSES) -> list[Scene]:
    """Scenes in the Ross Sea, the first two with their truth."""
    folder.mkdir(parents=True)
    scenes = []
    for number, name in enumerate(SCENES):
        left = -200_000 + 40_000 * number
        scene = box_scene(left, -1_800_000, left + 10 * SIZE, -1_800_000 - 10 * SIZE)
        scene = replace(scene, id=name, uri=str(folder / f"{name}.tif"), height=SIZE, width=SIZE)
        scenes.append(scene)
        _write_colors(scene, ice_image(SIZE, SIZE, number))
        if name != EVIL:
            truth = folder / f"{name.partition('_')[0]}_truth.tif"
            write_map(truth, _labels(number), scene, classes, {})
    return scenes


def _write_colors(scene: Scene, image: np.ndarray) -> None:
    import rasterio

    with rasterio.open(
        scene.uri, "w", driver="GTiff", height=SIZE, width=SIZE, count=3, dtype="uint8",
        crs=scene.crs, transform=rasterio.Affine(*scene.transform),
    ) as target:  # fmt: skip
        target.write(np.moveaxis(image, -1, 0))


def _labels(number: int) -> np.ndarray:
    return label_image(ice_image(SIZE, SIZE, number), method="none")


def _predicted(number: int) -> np.ndarray:
    """The truth with some wrong pixels, more in later scenes."""
    codes = _labels(number).copy()
    rows = 4 + 8 * number
    codes[:rows] = (codes[:rows] + 1) % 3
    return codes


def recipe_of(classes: ClassScheme = EVIL_CLASSES) -> Recipe:
    return parse_recipe({"classes": classes.model_dump(mode="json")}, "test")


def tally_of(numbers: list[int], classes: ClassScheme = EVIL_CLASSES) -> Tally:
    tally = Tally(classes)
    for number in numbers:
        tally.add(Sample(_labels(number), _predicted(number), classes))
    return tally


def write_model(folder: Path, recipe: Recipe | None = None) -> Path:
    """What `polynya train` leaves, without the network."""
    recipe = recipe or recipe_of()
    with open_output(folder, "model"):
        write_recipe(folder, recipe)
        validation = {"loss": 0.05, **scores_record(tally_of([0, 1]), recipe.classes)}
        content = {"epoch": 2, "training": {"loss": 0.04}, "validation": validation}
        write_json(folder / "metrics.json", content)
        names = ("accuracy", "mean_iou", "mean_f1")
        rows = [
            {"epoch": epoch, "learning_rate": 0.1**epoch, "loss": 1.0 / 8**epoch,
             "val_loss": 0.05 if epoch == 2 else 0.5 / epoch, "images_per_second": 20.0 + epoch,
             "waiting_share": 0.1, "seconds": 3.5,
             **{f"val_{n}": validation[n] - (0.02 if epoch != 2 else 0) for n in names}}
            for epoch in (1, 2, 3)
        ]  # fmt: skip
        write_rows(folder / "history.csv", rows)
        write_json(folder / "provenance.json", {"ranks": 2, "polynya_version": "0"})
        split = {"training": ["a", "b"], "validation": ["c"], "training_digests": {}}
        write_json(folder / "split.json", split)
        (folder / "README.md").write_text("# card\n")
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_maps(folder: Path, scenes: list[Scene], classes: ClassScheme = EVIL_CLASSES) -> Path:
    """What `polynya predict` leaves."""
    rows = []
    with open_output(folder, "maps"):
        for number, scene in enumerate(scenes):
            paths = write_all(folder, scene, _predicted(number), classes=classes)
            properties = json.loads(paths.item.read_text())["properties"]
            shares = {
                key.removeprefix("polynya:"): value
                for key, value in properties.items()
                if key.endswith(("_share", "_km2"))
            }
            rows.append(
                {"scene": scene.id, "status": "done", "reason": "", "height": SIZE,
                 "width": SIZE, **shares}
            )  # fmt: skip
        write_rows(folder / SUMMARY_FILE, rows)
        write_collection(folder, classes)
    return folder


def write_evaluation(folder: Path, classes: ClassScheme = EVIL_CLASSES) -> Path:
    """What `polynya evaluate` leaves of the scenes with truth, for two methods."""
    folder.mkdir(parents=True)
    tallies = [tally_of([number], classes) for number in (0, 1)]
    total = tally_of([0, 1], classes)
    pixels = 2 * SIZE * SIZE
    measures = [
        Measure(name=m.name, title=m.title, unit="", per_class=m.per_class, less_is_better=False)
        for m in total.metrics
    ]
    scores = [
        MethodScore(
            method=name, right=total.together()["accuracy"], unlabelled=0,
            confusion=total.confusion.tolist(), values=_plain(total.together()),
            per_sample=_plain(total.per_image()), intervals={"right": (0.8, 0.99)},
            calibration=[
                Bin(low=k / 5, high=k / 5 + 0.2, pixels=9, confidence=k / 5 + 0.1, right=k / 5)
                for k in range(2, 5)
            ] if name == "model" else None,
        )
        for name in ("thresholds alone", "model")
    ]  # fmt: skip
    results = Results(
        polynya="0", samples="scenes", classes=classes,
        settings=Settings(tile_size=None, cover="true", cover_limit=0.1, seed=0, resamples=9,
                          resampled="site"),
        metrics=measures,
        methods=[Method(name=s.method, kind="model", family="m", images="") for s in scores],
        groups=[Group(name="all", title="all scenes", tiles=0, scenes=2, pixels=pixels,
                      scores=scores)],
        comparisons=[Comparison(group="all", score="right", first="model", second="thresholds",
                                difference=0.0, interval=(-0.1, 0.1), verdict="inside the noise")],
        scenes=[
            SceneRow(scene=name, site=name[:5], sky="clear", pixels=pixels // 2, cover=0.5,
                     trained=[], right={s.method: tally.together()["accuracy"] for s in scores})
            for name, tally in zip(SCENES, tallies, strict=False)
        ],
        missed=[], notes=["A note with <b>bold</b>."], figures=[],
    )  # fmt: skip
    write_results(folder / "evaluation.json", results)
    return folder


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if np.ndim(v) else float(v) for k, v in values.items()}


def write_sweep(folder: Path) -> Path:
    """Tables, a figure and texts as `polynya sweep` leaves them."""
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text("{}")
    row = {"trial": "0001", "<b>rate</b>": "0.1", "seeds": "2", "mean IoU, %": "71.25 ± 1.00",
           "verdict": "best"}  # fmt: skip
    for name in ("trials", "parameters", "trainings"):
        write_rows(folder / f"{name}.csv", [row])
    (folder / "trials.md").write_text("**Trials**\n\n| a |\n|---|\n| 1 |\n\nBest: trial 0001.\n")
    cv2.imwrite(str(folder / "sizes.png"), np.full((60, 90, 3), 200, np.uint8))
    (folder / "study.yaml").write_text("name: <script>\n")
    (folder / "recipe.yaml").write_text("seed: 1\n")
    return folder


def write_benchmark(folder: Path) -> Path:
    """A page of tables with speed-ups, and a result in JSON."""
    folder.mkdir(parents=True)
    (folder / "table.md").write_text(
        "# Training on <ranks>\n\nAbout.\n\nCommand: `python -m benchmarks.training`\n\n"
        "Machine: Intel Xeon, 2 cores\n\n**Ranks**\n\n| ranks | images/s | speed-up |\n"
        "|--:|--:|--:|\n| 1 | 10.0 | 1.00 |\n| 2 | 19.0 | 1.90 |\n"
    )
    content = {
        "format": 1, "name": "maps", "command": "python -m benchmarks.maps", "about": "About.",
        "origin": "measured", "machine": {"processor": "Intel Xeon"},
        "measurements": [{"name": "a scene", "unit": "s", "values": [2.0, 2.5, 2.0],
                          "better": "lower", "paper": None,
                          "baseline": {"name": "published", "values": [8.0, 8.0, 9.0]}}],
        "tables": [{"title": "Ways", "columns": ["way", "times published"],
                    "rows": [["ours", "4.00"], ["<i>theirs</i>", "1.00"]]}],
        "statements": ["A sentence."],
    }  # fmt: skip
    (folder / "maps.json").write_text(json.dumps(content))
    return folder


def write_run(folder: Path) -> Path:
    """A run with model, maps and evaluation of the same scenes."""
    scenes = write_scenes(folder / "scenes")
    write_model(folder / "model")
    write_maps(folder / "maps", scenes)
    write_evaluation(folder / "evaluation")
    return folder
