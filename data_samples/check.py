"""Measure the accuracy of thresholds alone on the samples: `python -m data_samples.check`."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from data_samples.ice import VALUE_RANGES
from data_samples.scene import SampleScene, make_scene
from data_samples.sky import SKY_KINDS
from polynya.progress import track


def threshold_accuracy(scene: SampleScene) -> float:
    """Return the share of valid pixels under the sky that thresholds on V label correctly."""
    value = scene.observed.max(axis=-1)[scene.valid]
    limits = [low for low, _ in VALUE_RANGES[1:]]
    return float(np.mean(np.digitize(value, limits) == scene.truth[scene.valid]))


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    count: Annotated[int, typer.Option(min=1, help="Number of sites.")] = 12,
    size: Annotated[int, typer.Option(min=1, help="Size in pixels.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sites.")] = 100,
) -> None:
    """Print the share of pixels that thresholds alone label correctly under each sky, per site."""
    row = "{:>5}  {:9}" + "  {:>7}" * len(SKY_KINDS) + "  {:>5}  {:>5}  {:>5}"
    typer.echo(row.format("site", "ice", *SKY_KINDS, "water", "thin", "thick"))
    table = []
    for index in track(range(count), "Checking samples"):
        scenes = [make_scene(seed, index, (size, size), kind) for kind in SKY_KINDS]
        truth = scenes[0].truth[scenes[0].valid]
        shares = [float(np.mean(truth == code)) for code in range(len(VALUE_RANGES))]
        table.append([*map(threshold_accuracy, scenes), *shares])
        typer.echo(row.format(index, scenes[0].regime, *_percent(table[-1])))
    typer.echo(row.format("", "mean", *_percent(np.mean(table, axis=0).tolist())))


def _percent(shares: list[float]) -> list[str]:
    skies = len(SKY_KINDS)
    return [f"{100 * s:.2f}" if i < skies else f"{100 * s:.0f}" for i, s in enumerate(shares)]


if __name__ == "__main__":
    app()
