"""What a labelling run or an import prints: warnings, failures and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer

from autolabel.filters.registry import filter_of
from autolabel.words import Words
from polynya.errors import ScenesFailedError, failed_of
from polynya.names import printable
from polynya.progress import console
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene
from polynya.shards.manifest import MANIFEST_FILE, SceneResult
from polynya.storage.folder import Folder


def warn_of_small_scenes(scenes: Sequence[Scene], recipe: Recipe) -> None:
    """Warn of small scenes: the filter needs many surfaces to tell light from surface."""
    chosen = filter_of(recipe.label)
    small = [scene for scene in scenes if max(scene.height, scene.width) < chosen.least_size]
    if small:
        say(
            f"Warning: {len(small)} of {len(scenes)} scenes have less than {chosen.least_size}"
            f" pixels a side, where the {chosen.title} may take surfaces for cloud or shadow;"
            " give it whole scenes, or set label.method to none in the recipe.",
            "yellow",
        )


def say_what_is_black(scenes: Sequence[Scene], results: Sequence[SceneResult]) -> None:
    """Report black pixels that count as nodata: deep water may be black, and users may not know."""
    doubtful = {scene.id for scene in scenes if scene.zero_is_nodata and scene.land is None}
    sizes = [(r.height * r.width, r.valid_pixels) for r in results if r.scene_id in doubtful]
    black = [(of, of - valid) for of, valid in sizes if 0 < valid < of]
    if black:
        share = 100 * sum(missing for _, missing in black) / sum(of for of, _ in black)
        is_edge = any(scene.zero_is_nodata == "edge" for scene in scenes)
        where = "black, from their edges inwards or in large blocks," if is_edge else "black"
        say(
            f"{len(black)} scenes mark no pixel as nodata: {share:.1f} % of their pixels are"
            f" {where} and are left out. If black is a colour there, for example deep water, set"
            " scene.zero_is_nodata to false in the recipe.",
            "yellow",
        )


def report(results: Sequence[SceneResult], folder: Folder, words: Words, history: str = "") -> None:
    """Print a summary to stdout, and each failure to stderr.

    Args:
        results: Results of all scenes that the user asked for.
        folder: The data set.
        words: Words of the run.
        history: Results of earlier runs in words, from `Work.history`.

    Raises:
        ScenesFailedError: Some scenes failed.
    """
    counts = Counter(result.status for result in results)
    failed = [result for result in results if result.status == "failed"]
    for result in sorted(failed, key=lambda r: r.scene_id):
        say(f"Failed: {result.reason}", "red")
    tiles, labelled, lost = (
        sum(getattr(r, name) for r in results) for name in ("tiles", "labelled", "failed")
    )
    empty = f" and {counts['nodata']} without a valid pixel" if counts["nodata"] else ""
    things = f"{words.things} {words.done}{empty}{history}, {len(failed)} failed"
    typer.echo(
        f"{counts['done']} {things}; {tiles} tiles = {labelled} labelled +"
        f" {tiles - labelled - lost} nodata + {lost} failed; shards and {MANIFEST_FILE} in {folder}"
    )
    without = sorted(r.scene_id for r in results if r.status == "done" and not r.n_class_pixels)
    check = (
        "check scene.scale, and the limits in label.profile, the files of label.raster or the"
        " section imports"
    )
    if without and len(without) == counts["done"]:
        problem = f"not one pixel of the {labelled} tiles has a class, so they can train nothing"
        say(f"Warning: {problem}; {check}, with 'polynya look {folder}'.", "yellow")
    elif without:
        names = f"{', '.join(without[:5])}{', ...' if len(without) > 5 else ''}"
        problem = (
            f"no pixel of {len(without)} of {counts['done']} {words.things} has a class ({names})"
        )
        say(f"Note: {problem}; if that is wrong, {check}.", "yellow")
    if failed:
        said = failed_of(len(failed), len(results), words.things)
        raise ScenesFailedError(f"{said}; {folder}/{MANIFEST_FILE} has the reasons.")


def say(text: str, color: str) -> None:
    """Print a line to stderr."""
    console.print(printable(text), style=color, markup=False, soft_wrap=True)
