"""What a worker does first: it checks the study, and writes or finds the plan of the sweep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from inference.studies.held_out import keep_split, validating_split
from inference.studies.sweep.data_sets import DataSets, Places, open_data
from inference.studies.sweep.folder import ABOUT_FILE, SweepFolder
from inference.studies.sweep.scores import Score, find_scores
from inference.studies.sweep.study import Study, StudyOptions, TpeOptions
from inference.studies.sweep.trials import (
    Training,
    base_recipe,
    check_trials,
    listed_trials,
    training_recipe,
    trainings,
    trial_recipe,
)
from polynya.errors import OutputError, RecipeError, ShardError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.yaml_files import write_yaml
from polynya.shards.dataset import ShardSet
from polynya.shards.manifest import read_manifest
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder
from training.ranks.devices import import_tensorflow
from training.tracking.registry import check_trackers

if TYPE_CHECKING:
    from polynya.splits.split_file import TileSplit

_STUDY, _RECIPE = "study.yaml", "recipe.yaml"
_ANOTHER = "give the same as before, or another --out"


@dataclass(frozen=True)
class Plan:
    """Everything that the workers of a sweep have in common."""

    folder: SweepFolder
    study: Study
    base: Recipe
    """Recipe of all trials, with the study's key `set`."""
    scores: tuple[Score, ...]
    data: DataSets
    name: str
    """Name that no other sweep has."""

    @property
    def shards(self) -> ShardSet:
        """Labelled tiles of all trials, or the first of those in which they differ."""
        return self.data.main

    @property
    def options(self) -> StudyOptions:
        """The study's options."""
        return self.study.options

    def recipe(self, training: Training) -> Recipe:
        """Make the recipe of a training; RecipeError if the trial has one that can't be used."""
        from training.run.several import by_split

        own = trial_recipe(self.base, self.study, training.trial)
        own = self.data.fit(own, training.trial)
        return training_recipe(own, self.base, by_split(own, self.folder.split), training.repeat)

    def trainings(self) -> list[Training]:
        """List the trainings: of a grid or random search all, else those that were begun."""
        if not isinstance(self.options.search, TpeOptions):
            return trainings(listed_trials(self.options), self.options.seeds)
        known = [one for one in self.folder.known() if one.repeat < self.options.seeds]
        over = {one.name: (one, self.folder.over(one)) for one in known}
        ended = {one.trial.number for one, how in over.values() if how and how[0] != "finished"}
        # What failed or was pruned isn't trained with further seeds.
        return [one for one in known if over[one.name][1] or one.trial.number not in ended]


def find_recipe(study: Study, shards: ShardSet | None) -> Recipe:
    """Read the recipe of all trials, and put the study's key `set` into it.

    Args:
        study: The study.
        shards: Gives the recipe if the study names none; None for a recipe with all defaults.
    """
    if study.recipe is not None or shards is None:
        return base_recipe(load_recipe(study.recipe), study)
    return base_recipe(shards.recipe, study)


def check_study(study: Study, data: DataSets | None) -> tuple[Recipe, list[Score]]:
    """Check everything of a study that can be wrong before its first training.

    Args:
        study: The study.
        data: Labelled tiles; None if they are not known yet.

    Returns:
        Recipe of all trials, and the scores to compare.

    Raises:
        PolynyaError: A trial can't be trained, or doesn't measure a score.
    """
    base = find_recipe(study, None if data is None else data.main)
    trials = check_trials(base, study)
    if data is not None:
        import_tensorflow()
        from training.run.build import check_recipe

        for trial, recipe in trials:
            check_recipe(data.fit(recipe, trial), data.of(trial))
        check_trackers(base.training.tracking)
    for _, recipe in trials:
        _check_evaluations(study.options, recipe)
        scores = find_scores(study.options.metrics, recipe, tuple(study.options.evaluate))
    return base, scores


def _check_evaluations(options: StudyOptions, recipe: Recipe) -> None:
    """Make sure that the models of a trial can be evaluated.

    Raises:
        RecipeError: Tiles are to be changed as the recipe says, and it asks for no change.
    """
    names = [name for name, one in options.evaluate.items() if one.augment]
    if names and recipe.training.augment == type(recipe.training.augment)():
        raise RecipeError(
            f"The study's 'evaluate.{names[0]}' changes tiles as 'training.augment' of each trial"
            " says, and that asks for no change; set it, for example 'training.augment.dihedral'"
            " to true."
        )


def make_plan(study: Study, places: Places, out: Path, *, retry: bool = False) -> Plan:
    """Plan a sweep in a folder, or find the plan that is there.

    Args:
        study: The study.
        places: Where the labelled tiles are.
        out: Folder of the sweep.
        retry: Take failed trainings again.

    Raises:
        PolynyaError: A trial can't be trained; or the folder is of another sweep, or holds files of
            others.
    """
    data = open_data(places)
    base, scores = check_study(study, data)
    split = validating_split(data.main, base, "A sweep")
    _check_tiles(split, data, study.options.trained_names)
    folder = SweepFolder(make_folder(out))
    with folder.in_turn():
        name = _keep_about(folder.path / ABOUT_FILE, study, base, data)
        keep_split(split, folder.split, "a sweep", _ANOTHER)
        plan = Plan(folder, study, base, tuple(scores), data, name)
        _write_study(plan)
        for training in trainings(listed_trials(study.options), study.options.seeds):
            folder.add(training, plan.recipe(training))
        if retry:
            _forget_failures(folder, plan.trainings())
    return plan


def _check_tiles(split: TileSplit, data: DataSets, names: Sequence[str]) -> None:
    """Make sure that the split has all tiles that trials learn from; ShardError if not."""
    from training.input.split import tile_keys

    for name in names:
        for scene, row, column in tile_keys(data.named[name]):
            if (scene, row, column) not in split.tiles:
                raise ShardError(
                    f"The tiles '{name}' in {data.named[name].folder} have one that those in"
                    f" {data.main.folder} lack: scene {scene}, row {row}, column {column}; make"
                    " both from the same scenes."
                )


def _keep_about(path: Path, study: Study, base: Recipe, data: DataSets) -> str:
    """Write what the sweep is made from, or compare it; return the sweep's name."""
    options = study.options.model_dump(mode="json")
    search = options["search"]
    search.pop("trials", None)  # More trials may be added.
    if isinstance(study.options.search, TpeOptions):
        search["score"] = study.options.metrics[0]
    parts = {
        "study": [options["parameters"], search],
        "recipe": base.digest(),
        "shards": _data_digest(data),
    }
    digests = {key: _digest(part) for key, part in parts.items()}
    if not path.exists():
        name = f"polynya-{uuid4().hex}"
        write_text(path, json.dumps({"name": name, **digests}, indent=2) + "\n")
        return name
    try:
        known = json.loads(path.read_text("utf-8"))
        name, before = str(known["name"]), {key: known[key] for key in digests}
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"{path} is damaged; give another --out.") from None
    for key, digest in digests.items():
        if before[key] != digest:
            another = "other shards" if key == "shards" else f"another {key}"
            raise OutputError(f"{path.parent} holds a sweep with {another}; {_ANOTHER}.")
    return name


def _data_digest(data: DataSets) -> list[Any]:
    named = {name: _shards_digest(shards) for name, shards in sorted(data.named.items())}
    return [*_shards_digest(data.main), *([named] if named else [])]


def _shards_digest(shards: ShardSet) -> list[Any]:
    scenes = sorted((row.scene_id, row.digest) for row in read_manifest(shards.folder))
    return [shards.recipe.labels_digest(), shards.dropped.digest, scenes]


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _write_study(plan: Plan) -> None:
    """Write study and recipe, so that the sweep can be repeated from its folder."""
    options = plan.options.model_dump(mode="json", exclude_defaults=True, exclude={"set", "small"})
    study = write_yaml({**options, "recipe": _RECIPE})
    for name, text in ((_STUDY, study), (_RECIPE, plan.base.text())):
        path = plan.folder.path / name
        if not path.is_file() or path.read_text("utf-8") != text:
            write_text(path, text)


def _forget_failures(folder: SweepFolder, known: Sequence[Training]) -> None:
    for training in known:
        over = folder.over(training)
        if over is not None and over[0] == "failed":
            folder.forget_end(training)
