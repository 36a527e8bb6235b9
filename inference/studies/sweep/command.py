"""`polynya sweep`: many trainings of one study file, on any number of workers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from inference.studies.sweep.data_sets import Places, open_data, read_places
from inference.studies.sweep.folder import SweepFolder
from inference.studies.sweep.planning import Plan, check_study, make_plan
from inference.studies.sweep.scores import Result
from inference.studies.sweep.study import Study, TpeOptions, load_study
from inference.studies.sweep.tracking import begin_run, end_run, group_key
from inference.studies.sweep.trials import listed_trials, shown, trainings
from inference.studies.sweep.worker import Command, ListedSupply, Supply, Worker
from polynya.errors import ModelError, OutputError, failed_of
from polynya.progress import console
from polynya.recipe.overrides import Settings, read_settings
from polynya.recipe.shipped import shipped_studies
from polynya.recipe.tracking import Track, track_settings
from polynya.report.tables import Table
from training.run.ending import STOPPED_EXIT_CODE


def sweep(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="Study: a YAML file or the name of one that ships"
            f" ({', '.join(shipped_studies())}).",
        ),
    ],
    shards: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Labelled tiles, from `polynya label` or `polynya import`: a folder or URI. Tiles"
            " that the study names: NAME=FOLDER, for each name.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep; all its workers give the same.")
    ] = None,
    list_only: Annotated[
        bool,
        typer.Option("--list", "--dry-run", help="Print the trials, and train nothing."),
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Trainings at once; they share the cores.")
    ] = 1,
    settings: Settings = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="KEY=VALUES",
            help="Give a parameter other values, such as 'training.epochs=[2, 4]'; may be"
            " repeated.",
        ),
    ] = None,
    small: Annotated[
        bool,
        typer.Option("--small", help="Train the study's small version, if it has one."),
    ] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials; default: the study's.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each trial; default: the study's.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train what has failed once more.")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database for a search that learns from its trials; default: SQLite in --out.",
        ),
    ] = None,
    launcher: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Command that starts the ranks of a training, such as 'horovodrun --gloo -np 2'.",
        ),
    ] = "",
    track: Track = None,
) -> None:
    """Train all trials of a study, and compare them; the same command joins in or goes on."""
    known = load_study(
        study,
        settings=read_settings([*(settings or []), *track_settings(track or [])]),
        varied=read_settings(vary or [], "--vary", "'training.batch_size=[16, 32]'"),
        trials=trials,
        seeds=seeds,
        small=small,
    )
    places = read_places(shards or [], known.options)
    if list_only:
        _list(known, places, out)
        return
    if places is None or out is None:
        raise OutputError(
            "A sweep needs labelled tiles and a folder; give --shards and --out, or --list to only"
            " see the trials."
        )
    command = Command(places, tuple(shlex.split(launcher)))
    try:
        run_sweep(known, command, out, jobs=jobs, retry=retry_failed, storage=storage)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is finished stays, and the same command goes on.") from None


def run_sweep(
    study: Study,
    command: Command,
    out: Path,
    *,
    jobs: int = 1,
    retry: bool = False,
    storage: str | None = None,
) -> list[Result]:
    """Work on a sweep until nothing is left for this worker; then write its tables.

    Args:
        study: The study.
        command: Command of a training, with the labelled tiles.
        out: Folder of the sweep.
        jobs: Trainings at once.
        retry: Take failed trainings again.
        storage: URL of a database for a search that learns from its trials.

    Returns:
        What is known of all trainings.

    Raises:
        PolynyaError: The sweep can't be planned, or a training failed.
        typer.Exit: This worker was told to stop.
    """
    from inference.studies.sweep.evaluation import evaluate_models
    from inference.studies.sweep.report import check_reports, read_results

    plan = make_plan(study, command.places, out, retry=retry)
    check_reports(plan)
    begin_run(plan)
    command = replace(command, group=group_key(plan))
    worker = Worker(plan.folder, command, plan.scores[0], jobs)
    if not worker.run(_supply(plan, storage)):
        console.print("Stopped; the same command goes on.")
        raise typer.Exit(STOPPED_EXIT_CODE)
    with plan.folder.in_turn():
        evaluate_models(plan)
        results = read_results(plan)
        _report(plan, results)
    failed = [result for result in results if result.state == "failed"]
    if failed:
        first = failed[0]
        raise ModelError(
            f"{failed_of(len(failed), len(results), 'trainings')}; fix the cause, and give the"
            f" same command with --retry-failed. Trial {first.training.name}: {first.reason}"
        )
    return results


def _supply(plan: Plan, storage: str | None) -> Supply:
    search = plan.options.search
    if isinstance(search, TpeOptions):
        from inference.studies.sweep.tpe import TpeSupply

        return TpeSupply(plan, search, storage)
    if storage is not None:
        raise OutputError(
            f"The option --storage is for searches that learn from their trials, and 'search' is"
            f" {search.kind}; leave it out."
        )
    return ListedSupply(plan.folder, plan.trainings())


def _report(plan: Plan, results: Sequence[Result]) -> None:
    """Write the tables; and figures and page, if no other worker will."""
    from inference.studies.sweep.report import PAGE, write_page, write_tables

    trials, sentence = write_tables(plan, results)
    left = [r.training.name for r in results if r.state in ("running", "waiting")]
    typer.echo(sentence)
    if left:
        typer.echo(
            f"Trainings of other workers: {', '.join(left)}. The last of them writes the page; if"
            " one was killed, the same command goes on with its training."
        )
        return
    write_page(plan, results, trials, sentence)
    end_run(plan, results, trials)
    typer.echo(f"Tables: {plan.folder.path / 'trials.csv'}; page: {plan.folder.path / PAGE}")


def _list(study: Study, places: Places | None, out: Path | None) -> None:
    """Print the trials, and how far they are if there is a folder."""
    options = study.options
    compared = options.metrics[0]
    # Without its tiles, a study may have no recipe that its trials could be checked with.
    is_checked = places is not None or study.recipe is not None
    if is_checked:
        _, scores = check_study(study, None if places is None else open_data(places))
        compared = scores[0].heading
    folder = None if out is None else SweepFolder(out)
    if isinstance(options.search, TpeOptions):
        _print_parameters(study)
        known = [] if folder is None else folder.known()
        count = options.search.trials
    else:
        listed = listed_trials(options)
        known, count = trainings(listed, options.seeds), len(listed)
    names = list(options.parameters)
    rows = [
        (
            one.name,
            *(shown(one.trial.levels[name]) for name in names),
            str(one.repeat),
            *([folder.state(one)[0]] if folder is not None else []),
        )
        for one in known
    ]
    if rows:
        columns = ("trial", *names, "seed", *(["state"] if folder is not None else []))
        Table(f"Trials of {study.name}", columns, tuple(rows)).print()
    seeds = f"{options.seeds} seed{'s'[: options.seeds != 1]}"
    typer.echo(f"{count} trials ({options.search.kind}) with {seeds}, compared by {compared}")
    if options.small is not None:
        for command in options.small.data:
            typer.echo(f"Tiles for its small version: {command}")
    if not is_checked:
        typer.echo("Not checked, as the recipe is that of the labelled tiles; give --shards.")


def _print_parameters(study: Study) -> None:
    """Print what a search chooses from."""
    rows = []
    for name, parameter in study.options.parameters.items():
        ends = parameter.ends
        if ends is None:
            rows.append((name, ", ".join(parameter.levels(name))))
        else:
            scale = ", logarithmic" if parameter.log_range is not None else ""
            rows.append((name, f"{shown(ends[0])} to {shown(ends[1])}{scale}"))
    Table(f"Parameters of {study.name}", ("parameter", "values"), tuple(rows)).print()
