"""The comparison of networks: recipes, IoU by hand, tables that say what is noise."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.networks.faster_unet import Plan, image_iou, pictured
from benchmarks.networks.results import TABLE_4, Trained
from benchmarks.networks.tables import claims_table, iou_table, pairs_table, speed_table
from benchmarks.networks.timing import NetworkCosts
from polynya.recipe.recipe import load_recipe

CLASSES = load_recipe("land_cover").classes


@pytest.mark.parametrize("name", TABLE_4)
def test_each_network_trains_as_in_the_study_with_fewer_filters(name: str) -> None:
    recipe = Plan(64, 8, 4, epochs=2, seeds=2, divisor=8, rounds=1).recipe(name, 3)
    assert recipe.model.name == name
    assert (recipe.seed, recipe.tiles.size, recipe.training.epochs) == (3, 64, 2)
    assert (recipe.training.loss.name, recipe.training.optimizer.decay) == ("jdt", "coupled")
    if name == "unet_skinny":
        assert recipe.model.filters == (4, 8, 16, 32, 64, 64, 64)


def test_iou_is_the_mean_over_the_images_that_have_the_class() -> None:
    truths = [np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 0, 0]], np.uint8)]
    found = [np.array([[0, 1, 1, 1]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)]
    iou = image_iou(truths, found, CLASSES)
    # The second image has class 1 in the prediction only, so it says nothing of class 1.
    assert iou[:2] == pytest.approx([(1 / 2 + 3 / 4) / 2, 2 / 3])
    assert np.isnan(iou[2:]).all()
    assert pictured(truths) == 0


def trained(mean: float, seconds: float) -> list[Trained]:
    labels = np.zeros((2, 2), np.uint8)
    return [Trained(np.full(5, mean + noise), seconds, 4, labels) for noise in (0.0, 0.001, -0.001)]


def test_tables_tell_noise_from_the_study_s_order() -> None:
    found = {
        "unet_base": trained(0.32, 4.0),
        "unet_skinny": trained(0.40, 2.0),
        "unet_pp": [
            Trained(np.full(5, m), 3.0, 4, np.zeros((2, 2), np.uint8)) for m in (0.2, 0.6, 0.5)
        ],
    }
    costs = {
        name: NetworkCosts(1000, TABLE_4[name].pass_mb, step, step / 3)
        for name, step in (("unet_base", 4.0), ("unet_skinny", 1.0), ("unet_pp", 2.0))
    }
    verdicts = {row[0]: row[3] for row in pairs_table(found).rows}
    assert verdicts["unet_base - unet_skinny"] == "as in the study"
    assert verdicts["unet_base - unet_pp"] == "inside the noise"
    claims = dict(claims_table(found, costs).rows)
    assert claims["3 pairs by mean IoU"].startswith("1 as in the study, 2 inside the noise")
    assert claims["order of times: epoch in the study, step here"] == "Kendall's tau +1.00"
    speed = speed_table(found, costs)
    ratio = speed.columns.index("step, ratio")
    assert [row[ratio] for row in speed.rows] == ["1.00", "0.25", "0.50"]
    assert iou_table(found, CLASSES.titles).rows[1][1] == "40.00 ± 0.25"
