"""`polynya tune`: finds the best way from probabilities to labels, on scenes with truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.predict.decision import write_decision
from inference.predict.predict import open_model
from inference.tune.known import known_samples, known_scenes
from inference.tune.search import default_score, find_decision, trials_table
from inference.tune.thresholds import Score
from polynya.errors import ScenesFailedError
from polynya.sizes import parse_size
from polynya.storage.locks import locked
from polynya.storage.ownership import check_free
from training.model_folder.folder import DECISION_FILE, TUNING_FILE


def tune(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    scenes: Annotated[
        list[str] | None,
        typer.Option("--scenes", metavar="PATTERN...", help="Scenes X_Y.tif beside X_truth.tif."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="SOURCE...",
            help="Data set of a model that was trained on imported labels, as 'polynya import'"
            " takes it; in place of --scenes.",
        ),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)] = None,
    score: Annotated[
        Score | None,
        typer.Option(help="Score to maximise; default: mean_iou, or mean_f1 for masks."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            help="Size at which the score is taken, such as 350x525; default: that of each scene.",
        ),
    ] = None,
    connectivity: Annotated[
        int,
        typer.Option(
            min=4, max=8, help="Neighbours of a pixel in a region: 4, or 8 with those at corners."
        ),
    ] = 4,
) -> None:
    """Find test-time augmentation, weights of classes or thresholds of masks, and tidying.

    The result is saved in the model's folder (decision.yaml), and every later prediction uses it.
    Give scenes that the model was not trained on; scenes of the training are left out.
    """
    if connectivity not in (4, 8):
        raise typer.BadParameter("it is 4 or 8", param_hint="--connectivity")
    if bool(scenes) == bool(labels):
        raise typer.BadParameter("give one of the two", param_hint="--scenes, --labels")
    shape = parse_size(size) if size else None
    opened = open_model(model)
    places = [model / DECISION_FILE, model / TUNING_FILE]
    failed = 0
    # Lock and check the folder before and during the search, because the search takes long.
    with locked(model):
        check_free(places)
        if labels:
            known, failed = known_samples(opened, [*labels, *(more or [])])
        else:
            known = known_scenes(opened, [*(scenes or []), *(more or [])])
        decision, trials = find_decision(opened, known, score, 8 if connectivity == 8 else 4, shape)
        table = trials_table(trials, score or default_score(opened.recipe.classes))
        table.print()
        check_free(places)
        table.write_csv(model / TUNING_FILE)
        write_decision(model, decision)
    plain = "0.5 for each mask" if opened.recipe.classes.has_masks else "the most probable class"
    kept = decision.model_dump(exclude_defaults=True) or f"{plain}, as before"
    typer.echo(f"Kept in {model}: {kept}")
    if failed:
        raise ScenesFailedError(
            f"{failed} of {failed + len(known)} samples can't be used and took no part in the"
            " search; the reasons are above."
        )
