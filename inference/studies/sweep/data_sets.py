"""The labelled tiles of a sweep: those of all trials, and further ones that the study names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference.studies.sweep.study import DATA, StudyOptions
from inference.studies.sweep.trials import Trial
from polynya.errors import ShardError
from polynya.names import printable
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards


@dataclass(frozen=True)
class Places:
    """Folders or URIs of labelled tiles, as the command names them."""

    main: str
    """Those of all trials; the first named ones if trials differ in them."""
    named: Mapping[str, str] = field(default_factory=dict)

    def of(self, trial: Trial) -> str:
        """Those that a trial learns from."""
        return self.named[str(trial.levels[DATA])] if DATA in trial.levels else self.main


def read_places(shards: Sequence[str], options: StudyOptions) -> Places | None:
    """Read the options --shards of a command.

    Args:
        shards: FOLDER, or NAME=FOLDER with a name that the study has.
        options: The study.

    Returns:
        None if nothing is given.

    Raises:
        ShardError: Something is missing, or given twice.
    """
    named: dict[str, str] = {}
    others: list[str] = []
    for text in shards:
        name, is_there, place = text.partition("=")
        if not is_there or name not in options.data_names:
            others.append(text)
        elif named.setdefault(name, place) != place:
            raise ShardError(f"--shards {name}= is given twice; leave one out.")
    if not others and not named:
        return None
    for name in options.data_names:
        if name not in named:
            raise ShardError(
                f"The study names the labelled tiles '{name}', and nobody says where they are; add"
                f" --shards {name}=FOLDER."
            )
    varied = DATA in options.parameters
    if len(others) > (0 if varied else 1):
        known = ", ".join(options.data_names) or "none"
        raise ShardError(
            f"--shards {printable(others[-1])} is neither one of the names that the study has"
            f" ({known}), each as NAME=FOLDER, nor the only other one; leave it out."
        )
    if not varied and not others:
        raise ShardError("Nobody says what the trials learn from; add --shards FOLDER.")
    return Places(named[options.data_names[0]] if varied else others[0], named)


@dataclass(frozen=True)
class DataSets:
    """The same, opened."""

    main: ShardSet
    named: Mapping[str, ShardSet]

    def of(self, trial: Trial) -> ShardSet:
        """Those that a trial learns from."""
        return self.named[str(trial.levels[DATA])] if DATA in trial.levels else self.main

    def fit(self, recipe: Recipe, trial: Trial) -> Recipe:
        """Give the recipe of a trial the section `label` of its tiles, if trials differ in them."""
        if DATA not in trial.levels:
            return recipe
        return recipe.model_copy(update={"label": self.of(trial).recipe.label})


def open_data(places: Places) -> DataSets:
    """Open labelled tiles.

    Raises:
        ShardError: Some can't be opened, or named ones are of other classes, bands or sizes.
    """
    main = open_shards(places.main)
    named = {name: open_shards(place) for name, place in places.named.items()}
    for name, shards in named.items():
        for section in ("classes", "scene", "tiles"):
            if getattr(shards.recipe, section) != getattr(main.recipe, section):
                raise ShardError(
                    f"The tiles '{name}' in {shards.folder} were made with another section"
                    f" '{section}' of the recipe than those in {main.folder}; make them again with"
                    " the same one."
                )
    return DataSets(main, named)
