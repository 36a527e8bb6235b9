"""The studies that ship: each can be trained, at full size and in its small version."""

from __future__ import annotations

import shlex

import pytest

from benchmarks.networks.results import TABLE_4
from benchmarks.studies.small import shard_words
from inference.studies.sweep.data_sets import DataSets, read_places
from inference.studies.sweep.planning import check_study, find_recipe
from inference.studies.sweep.study import Study, load_study
from inference.studies.sweep.trials import check_trials, listed_trials
from polynya.recipe.overrides import with_settings
from polynya.recipe.recipe import load_recipe
from polynya.recipe.shipped import shipped_studies
from polynya.shards.dataset import ShardSet
from polynya.storage.folder import Folder

pytestmark = pytest.mark.slow  # TensorFlow's import, and networks.

TRIALS = {
    "cloud_search": 10,
    "faster_unet": 6,
    "gym_30_models": 30,
    "kelp_ladder": 6,
    "kelp_search": 0,
    "man_against_auto": 2,
    "sea_ice_batch": 36,
    "uncertain_labels": 4,
}
"""Trials that are known beforehand."""


def _data(study: Study, small: bool) -> DataSets:
    """Data sets as the study's own commands make them, without tiles; checks look at recipes."""
    made: dict[str, ShardSet] = {}
    assert study.options.small is not None
    for command in study.options.small.data:
        words = shlex.split(command)
        values = [(words[n], words[n + 1]) for n in range(len(words) - 1)]
        if "--recipe" in words:
            settings = [value for option, value in values if option == "--set"]
            settings = [text for text in settings if small or text.startswith("label.")]
            recipe = with_settings(load_recipe(dict(values)["--recipe"]), settings)
            name = dict(values)["--out"]
            made[name] = ShardSet(Folder.at(name), recipe, {})
    given = [word for word in shard_words(study.options) if word != "--shards"]
    places = read_places(given, study.options)
    assert places is not None
    named = {name: made[place] for name, place in places.named.items()}
    return DataSets(made[places.main], named)


@pytest.mark.parametrize("name", shipped_studies())
def test_each_study_can_be_trained(name: str) -> None:
    for small in (False, True):
        study = load_study(name, small=small)
        _, scores = check_study(study, _data(study, small))
        assert len(scores) == len(study.options.metrics)
        assert small or len(listed_trials(study.options)) == TRIALS[name]
    assert study.options.about
    assert study.options.found
    assert study.options.seeds >= 3


@pytest.mark.parametrize("name", shipped_studies())
def test_each_kind_of_network_builds(name: str) -> None:
    from training.models import build_from
    from training.run.build import seen_size

    study = load_study(name, small=True)
    data = _data(study, True)
    models = {
        recipe.model.name: recipe
        for _, recipe in check_trials(find_recipe(study, data.main), study)
    }
    for recipe in models.values():
        size, bands = seen_size(recipe), len(recipe.scene.seen_bands)
        network = build_from(
            recipe.model,
            input_shape=(size, size, bands),
            n_classes=recipe.classes.n_classes,
            activation="sigmoid" if recipe.classes.has_masks else "softmax",
        )
        assert network.output_shape == (None, size, size, recipe.classes.n_classes)


def test_numbers_of_a_paper_are_written_once() -> None:
    assert TABLE_4["unet_skinny"].mean_iou == pytest.approx(0.3983)
    ladder = load_study("kelp_ladder").options
    (numbers,) = ladder.published["ladder"].values()
    assert list(numbers) == list(ladder.parameters["ladder"].levels("ladder"))
