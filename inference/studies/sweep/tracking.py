"""The run of a sweep in experiment trackers, above the runs of its trainings."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from inference.studies.sweep.comparison import Compared
from inference.studies.sweep.planning import Plan
from inference.studies.sweep.scores import Result
from training.tracking.groups import begin_group, end_group
from training.tracking.sink import RunFacts

_KEY_DIGITS = 8


def group_key(plan: Plan) -> str:
    """Key of the sweep's run, the same for all its workers; "" if the recipe names no tracker."""
    if not plan.base.training.tracking:
        return ""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", plan.study.name)
    return f"{name}-{plan.name[-_KEY_DIGITS:]}"


def begin_run(plan: Plan) -> None:
    """Begin the sweep's run, so that its trainings find it; workers do so one after the other."""
    if plan.base.training.tracking:
        with plan.folder.in_turn():
            begin_group(plan.base.training.tracking, _facts(plan))


def end_run(plan: Plan, results: Sequence[Result], trials: Sequence[Compared]) -> None:
    """End the sweep's run with its tables, figures and page.

    Args:
        plan: The sweep.
        results: What is known of all trainings.
        trials: Its trials, best first.
    """
    score, folder = plan.scores[0], plan.folder.path
    values = {"trials": float(len(trials)), "trainings": float(len(results))}
    if trials and np.isfinite(trials[0].means[0]):
        values[f"best/{score.name.replace('.', '/')}"] = float(trials[0].means[0])
    files = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".md", ".png", ".html"))
    files = [path for path in files if not path.name.startswith("_")]
    end_group(plan.base.training.tracking, _facts(plan), values, files)


def _facts(plan: Plan) -> RunFacts:
    options, folder = plan.options, plan.folder.path
    parameters = {"search": options.search.kind, "seeds": str(options.seeds)}
    parameters |= {name: one.model_dump_json() for name, one in options.parameters.items()}
    texts = {name: (folder / name).read_text("utf-8") for name in ("study.yaml", "recipe.yaml")}
    return RunFacts(group_key(plan), plan.study.name, None, parameters, texts)
