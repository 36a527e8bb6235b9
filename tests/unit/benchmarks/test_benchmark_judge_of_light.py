"""How the judge of light is grown and measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from autolabel.filters.illumination import judge as judging
from autolabel.filters.illumination.patches import NAMES
from benchmarks.labels.judge.command import judged_table
from benchmarks.labels.judge.examples import (
    RealCase,
    View,
    family_of,
    find_examples,
    list_examples,
    related,
)
from benchmarks.labels.judge.growing import Examples, grow, left_out, save
from benchmarks.labels.real.pictures import AQUA, GREENLAND, TERRA
from benchmarks.labels.sets import SceneSpec


def view(family: str, seed: int, count: int = 40, sky: str = "shadow") -> View:
    """Patches whose third number decides whether they make labels better."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(count, len(NAMES)))
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    benefit = np.where(numbers[:, 2] > 0, 2.0, -2.0)
    return View(family, sky, 0, False, numbers, benefit, np.abs(benefit))


def test_families_that_share_their_ground_are_left_out_together() -> None:
    assert related("blobs") == {"blobs"}
    assert related("spectral-young") == {"spectral-young", "spectral-mixed"}
    assert {"spectral-mixed", "spectral-young", "spectral-pack"} <= related("spectral-mixed")
    assert family_of(SceneSpec("noisy", 1, "clear", 64)) == "samples"
    assert family_of(SceneSpec("spectral-jpeg", 1, "clear", 64)) == "spectral-mixed"
    real = [RealCase(Path(), name, 1.0, "clear", 1) for name in (TERRA, AQUA, GREENLAND)]
    assert [family_of(case) for case in real] == ["modis_terra_aqua"] * 2 + [GREENLAND]


def test_scenes_with_examples_are_generated_and_real() -> None:
    generated = list_examples(None, 1)
    assert all(isinstance(spec, SceneSpec) for spec in generated)
    both = list_examples(Path("data"), 1)
    assert both[: len(generated)] == generated
    assert {spec.kind for spec in both if isinstance(spec, RealCase)} == {
        "clear", "shadow", "cloud", "both"
    }  # fmt: skip


def test_examples_of_a_scene_count_what_light_does_to_labels() -> None:
    views = find_examples(SceneSpec("spectral-pack", 2601, "both", 512))
    assert {(v.crop, v.infrared) for v in views} == {
        (crop, seen) for crop in (0, 256, 400) for seen in (False, True)
    }
    whole = views[0]
    assert whole.numbers.shape == (len(whole.benefit), len(NAMES))
    assert (np.abs(whole.benefit) <= whole.changed + 1e-9).all()
    assert whole.changed.sum() <= 101
    clear = find_examples(SceneSpec("spectral-nilas", 2501, "clear", 512))
    assert all((v.benefit <= 1.0).all() for v in clear)


def test_the_judge_says_what_its_forests_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = Examples.of([view("a", 1, 300), view("b", 2, 300)])
    forests = []
    fit = HistGradientBoostingClassifier.fit

    def remember(forest: HistGradientBoostingClassifier, *args: object, **kept: object) -> object:
        forests.append(forest)
        return fit(forest, *args, **kept)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", remember)
    grown = grow(examples, np.ones(600, np.bool_))
    odds = np.mean([forest.decision_function(examples.numbers) for forest in forests], axis=0)
    assert grown.chance(examples.numbers) == pytest.approx(1 / (1 + np.exp(-odds)))
    save(grown, tmp_path / "judge.npz")
    monkeypatch.setattr(judging, "files", lambda _: tmp_path)
    judging.load_judge.cache_clear()
    loaded = judging.load_judge()
    judging.load_judge.cache_clear()
    assert (loaded.chance(examples.numbers) == grown.chance(examples.numbers)).all()
    better = examples.benefit > 0
    assert np.mean((grown.chance(examples.numbers) > 0.5) == better) > 0.98


def test_a_family_is_judged_by_trees_that_have_not_seen_it() -> None:
    # In family c everything is the other way round, so whoever has seen only a and b errs there.
    odd = view("c", 3, 300)
    views = [view("a", 1, 300), view("b", 2, 300), View("c", "shadow", 0, False, odd.numbers,
             -odd.benefit, odd.changed)]  # fmt: skip
    examples = Examples.of(views)
    chance = left_out(examples)
    of_c = examples.family == "c"
    assert np.mean((chance > 0.5) == (examples.benefit > 0), where=of_c) < 0.1


def test_effects_by_hand() -> None:
    numbers = np.zeros((2, len(NAMES)))
    numbers[:, NAMES.index("thick_patch")] = 0.5
    shadow = View("a", "shadow", 0, False, numbers, np.array([3.0, -1.0]), np.array([3.0, 1.0]))
    clear = View("a", "clear", 256, True, numbers, np.array([-2.0, 0.0]), np.array([2.0, 4.0]))
    table = judged_table([shadow, clear], np.array([0.99, 0.2, 0.1, 0.96]))
    rows = {row[:3]: row[3:] for row in table.rows}
    assert set(rows) == {("a", "colours", "whole"), ("a", "infrared", "crops")}
    assert rows["a", "colours", "whole"][2:4] == ("2.00 (2.0)", "3.00 (3.0)")
    assert rows["a", "infrared", "crops"][:2] == ("6.00 (6.0)", "4.00 (4.0)")
