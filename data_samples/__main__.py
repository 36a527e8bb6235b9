"""Command line of the generator: `python -m data_samples --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_samples.scene import MIXED_KINDS
from data_samples.seasons import SEASONS
from data_samples.spectral import STRUCTURES
from polynya.cli import run_script
from polynya.progress import track
from polynya.sizes import parse_size

ANY = "any"
"""Value of `--structure` that draws a kind of ground for each site."""

_MOST_SITES = 10_000
"""Most spectral sites of one seed, so that the sites of two seeds are never the same."""


def main(
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")],
    count: Annotated[int, typer.Option(min=1, help="Number of sites.")] = 1,
    size: Annotated[
        str | None,
        typer.Option(
            help="Size in pixels: H, or HxW (rows x columns); default: 512, of clouds 1400x2100, of"
            " kelp 350, of land cover 512."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; each seed gives different sites.")] = 0,
    sky: Annotated[
        str, typer.Option(help="clear, shadow, cloud, both, or mixed (the last three in turn).")
    ] = "mixed",
    season: Annotated[str, typer.Option(help=f"Light of the scenes: {', '.join(SEASONS)}.")] = next(
        iter(SEASONS)
    ),
    structure: Annotated[
        str | None,
        typer.Option(
            help="Scenes with infrared bands and real spectra, of this kind of ground:"
            f" {', '.join(STRUCTURES)}, or any (drawn for each site); ignores --season."
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Also write the truth as labels of the scene with a sky: <site>_<sky>_labels.tif.",
        ),
    ] = False,
    shipped: Annotated[
        bool,
        typer.Option(
            "--shipped",
            help="Make the samples that ship with Polynya; ignores all options except --out.",
        ),
    ] = False,
    clouds: Annotated[
        bool,
        typer.Option(
            "--clouds",
            help="Make pictures of four cloud structures (JPEG) with their masks as run-length"
            " codes in a CSV file; ignores --sky.",
        ),
    ] = False,
    landcover: Annotated[
        bool,
        typer.Option(
            "--landcover",
            help="Make --count tiles of countryside (JPEG) with five classes, a fifth of them to"
            " validate and a fifth to test; ignores --sky.",
        ),
    ] = False,
    kelp: Annotated[
        bool,
        typer.Option(
            "--kelp",
            help="Make --count tiles of coasts with kelp (seven bands), with duplicates and faults"
            " that planted.csv lists; ignores --sky.",
        ),
    ] = False,
) -> None:
    """Make polar scenes with truth: clear scene, cloudy scene, classes, cloud and shadow fields.

    With --structure, make scenes with infrared bands; with --clouds, pictures of cloud structures
    and their masks; with --kelp, tiles of kelp forests; with --landcover, tiles of countryside.
    """
    from data_samples.clouds import SHAPE, write_clouds
    from data_samples.kelp import FAULTS, SIZE, write_kelp
    from data_samples.landcover import share_out, write_landcover
    from data_samples.scene import make_scene
    from data_samples.shipped import SHIPPED, make_shipped
    from data_samples.spectral import make_spectral
    from data_samples.write import write_scene, write_spectral
    from polynya.storage.output_folder import open_output

    shape = parse_size(size) if size else SHAPE if clouds else (512, 512)
    if sum((clouds, kelp, landcover, shipped)) > 1:
        hint = "--clouds, --kelp, --landcover, --shipped"
        raise typer.BadParameter("give one of them", param_hint=hint)
    if structure not in (None, ANY, *STRUCTURES):
        known = ", ".join((*STRUCTURES, ANY))
        raise typer.BadParameter(f"give one of {known}", param_hint="--structure")
    if structure is not None and count > _MOST_SITES:
        raise typer.BadParameter(f"give at most {_MOST_SITES}", param_hint="--count")
    with open_output(out, "samples"):
        if kelp:
            edge = parse_size(size)[0] if size else SIZE
            write_kelp(out, seed, count, edge, each=count // (8 * len(FAULTS)))
            return
        if landcover:
            write_landcover(out, seed, share_out(count), shape[0])
            return
        if clouds:
            write_clouds(out, seed, count, shape)
            return
        if shipped:
            for sample in track(SHIPPED, "Making samples"):
                make_shipped(sample, out)
            return
        for index in track(range(count), "Making samples"):
            if structure is not None:
                kind = MIXED_KINDS[index % len(MIXED_KINDS)] if sky == "mixed" else sky
                ground = None if structure == ANY else structure
                site = make_spectral(_MOST_SITES * seed + index, shape, kind, structure=ground)
                write_spectral(site, out, labels)
                continue
            write_scene(make_scene(seed, index, shape, sky, season=season), out, labels)


if __name__ == "__main__":
    run_script(main)
