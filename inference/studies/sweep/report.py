"""Tables, figures and the page of a sweep.

trainings.csv, .md    a row for each training
trials.csv, .md       a row for each trial, best first, with its difference to the best one
parameters.csv, .md   a row for each value of each parameter, with its difference to the best one
evaluations.csv, .md  a row for each trial and score, if the study names further tiles
sweep.html            all of it, with the figures
"""

from __future__ import annotations

from collections.abc import Sequence

from inference.studies.sweep.comparison import (
    Compared,
    answer,
    compared,
    effects_table,
    evaluations_table,
    trainings_table,
    trials_table,
)
from inference.studies.sweep.figures import FIGURES, MODELS, draw_figures
from inference.studies.sweep.importance import importances
from inference.studies.sweep.planning import Plan
from inference.studies.sweep.scores import Result, read_result
from polynya import __version__
from polynya.report.html import Html, document, element, table_element
from polynya.report.parts import cards, file_figure, section
from polynya.report.side_by_side import draw_side_by_side
from polynya.report.tables import Table
from polynya.storage.files import write_text
from polynya.storage.ownership import check_free

PAGE = "sweep.html"
_TABLES = ("trainings", "trials", "parameters", "evaluations")


def check_reports(plan: Plan) -> None:
    """Make sure that tables, figures and page can be written; OutputError if not."""
    names = [f"{name}.{suffix}" for name in _TABLES for suffix in ("csv", "md")]
    check_free(plan.folder.path / name for name in (*names, *FIGURES, PAGE))


def read_results(plan: Plan) -> list[Result]:
    """Read what is known of all trainings."""
    return [read_result(plan.folder, one, plan.scores) for one in plan.trainings()]


def write_tables(plan: Plan, results: Sequence[Result]) -> tuple[list[Compared], str]:
    """Write the tables.

    Returns:
        Trials, best first, and the sentence that answers which is the best.
    """
    trials = compared(results, plan.scores, plan.options.seeds)
    sentence = answer(trials, plan.scores[0])
    for name, table in _tables(plan, results, trials).items():
        table.write_csv(plan.folder.path / f"{name}.csv")
        more = f"\n{sentence}\n" if name == "trials" else ""
        write_text(plan.folder.path / f"{name}.md", f"{table.markdown()}{more}")
    return trials, sentence


def _tables(plan: Plan, results: Sequence[Result], trials: Sequence[Compared]) -> dict[str, Table]:
    tables = (
        trainings_table(results, plan.scores),
        trials_table(trials, plan.scores),
        effects_table(trials, plan.scores[0], plan.options),
        evaluations_table(trials, plan.scores),
    )
    return {name: table for name, table in zip(_TABLES, tables, strict=True) if table is not None}


def write_page(
    plan: Plan, results: Sequence[Result], trials: Sequence[Compared], sentence: str
) -> None:
    """Draw the figures and write the page."""
    found = importances(trials, plan.options)
    shares, about = (None, found) if isinstance(found, str) else found
    figures = draw_figures(plan, trials, shares)
    if any(result.state == "finished" for result in results):
        figures += _draw_models(plan, trials)
    by_name = dict(figures)

    def shown(names: Sequence[str]) -> list[Html]:
        there = [name for name in names if name in by_name]
        return [file_figure(plan.folder.path / name, by_name[name]) for name in there]

    tables = _tables(plan, results, trials)
    failed = [f"Trial {r.training.name}: {r.reason}" for r in results if r.state == "failed"]
    options = plan.options
    page = document(
        f"{plan.study.name}: sweep",
        element("h1", plan.study.name),
        *([element("p", options.about)] if options.about else []),
        element("p", sentence),
        *([element("p", f"Known before: {options.found}")] if options.found else []),
        _cards(results, trials),
        *section("Trials", table_element(tables["trials"]), note=_note(plan)),
        *shown(FIGURES[:2]),
        *(
            section("Further tiles", table_element(tables["evaluations"]), note=_TILES)
            if "evaluations" in tables
            else ()
        ),
        *section("Parameters", table_element(tables["parameters"]), note=_PAIRS),
        *shown(FIGURES[2:4]),
        element("p", about, _class="quiet"),
        element("h2", "Trainings"),
        *shown(FIGURES[4:]),
        *(element("p", text) for text in failed),
        element("details", element("summary", "All trainings"), table_element(tables["trainings"])),
        element(
            "p",
            f"Recipe {plan.base.digest()}, {plan.shards.folder}, Polynya {__version__}. The same"
            " sweep again: polynya sweep study.yaml, with the files of this folder.",
            _class="quiet",
        ),
    )
    write_text(plan.folder.path / PAGE, page)


_TILES = (
    "Scores of the same models on other tiles than those that validate: against the first tiles"
    " with the same score, and against the trial that is the best on the same tiles."
)
_PAIRS = (
    "A value is compared with the best one by the trials that differ in nothing else. Each verdict"
    " is a paired Student's t at 95 %, so of 20 values that do the same, one is called better or"
    " worse by chance."
)


def _note(plan: Plan) -> str:
    if plan.options.seeds == 1:
        return "Every trial has one seed, so the noise of a single trial is not known."
    return (
        f"± is the 95 % interval of the mean of {plan.options.seeds} seeds. A trial is compared"
        " with the best one by the differences with the same seed; the best of many is partly luck."
    )


def _cards(results: Sequence[Result], trials: Sequence[Compared]) -> Html:
    states = [result.state for result in results]
    seconds = sum(result.seconds or 0 for result in results)
    shown = [
        (f"{len(trials):,}", "trials", False),
        (f"{states.count('finished'):,}", "finished trainings", False),
        *([(f"{n:,}", s, s == "failed") for s in ("pruned", "failed") if (n := states.count(s))]),
        (f"{seconds / 60:,.1f}", "minutes of training", False),
    ]
    return cards(shown)


def _draw_models(plan: Plan, trials: Sequence[Compared]) -> list[tuple[str, str]]:
    # They load TensorFlow.
    from inference.studies.sweep.models import chosen_models, compare_models

    chosen = chosen_models(trials, plan)
    if not chosen:
        return []
    titles = [title for title, _ in chosen]
    tiles = compare_models(plan, [training for _, training in chosen])
    classes = plan.base.shown_classes
    draw_side_by_side(plan.folder.path / MODELS, tiles, titles, classes)
    caption = (
        f"Models side by side on validation tiles, {plan.scores[0].heading} of the whole model. The"
        " insets are at 200 %, where models differ most."
    )
    return [(MODELS, caption)]
