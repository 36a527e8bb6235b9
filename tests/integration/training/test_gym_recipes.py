"""Configurations of Segmentation Gym train as they are on a data set of the Gym."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autolabel.run import run_import
from helpers.shards.gym_sets import PUBLISHED, write_gym_set
from polynya.recipe.gym.convert import from_gym
from polynya.recipe.gym.keys import KEYS
from training.model_folder.folder import load_model
from training.models import build_from
from training.ranks.port import SingleProcess
from training.run.start import start_run

TINY: dict[str, Any] = {
    "TARGET_SIZE": [32, 32], "BATCH_SIZE": 2, "FILTERS": 2, "KERNEL": 3, "STRIDE": 2,
    "MAX_EPOCHS": 1, "ROOT_STRING": "coast", "RAMPUP_EPOCHS": 0,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "the published example": {},
    "coast, five bands, Dice": {
        **TINY, "MODEL": "unet", "N_DATA_BANDS": 5, "LOSS": "dice", "LOSS_WEIGHTS": True,
    },
    "binary, one class": {
        **TINY, "MODEL": "unet", "NCLASSES": 1, "LOSS": "dice", "OTSU_THRESHOLD": True,
        "TESTTIMEAUG": True,
    },
    "one band, spatial dropout": {
        **TINY, "MODEL": "unet", "N_DATA_BANDS": 1, "NCLASSES": 2, "DROPOUT_TYPE": "spatial",
        "LOSS": "kld",
        "DROPOUT_CHANGE_PER_LAYER": 0.05, "USE_DROPOUT_ON_UPSAMPLING": True,
    },
    "hinge, four bands": {**TINY, "MODEL": "unet", "N_DATA_BANDS": 4, "LOSS": "hinge"},
    "given weights": {
        **TINY, "MODEL": "unet", "LOSS": "dice", "LOSS_WEIGHTS": [6, 2, 1, 1], "SUSTAIN_EPOCHS": 2,
    },
    "small U-Net": {**TINY, "MODEL": "simple_unet", "LOSS": "cat", "KERNEL": 9},
    "small residual U-Net": {**TINY, "MODEL": "simple_resunet", "LOSS": "dice", "NCLASSES": 3},
    "SegFormer": {**TINY, "MODEL": "segformer", "LOSS": "cat", "NCLASSES": 3},
    "images that are not square": {**TINY, "TARGET_SIZE": [32, 48], "MODEL": "unet"},
    "later epochs, augmented by training": {
        **TINY, "MODEL": "unet", "INITIAL_EPOCH": 4, "MAX_EPOCHS": 5, "RAMPUP_EPOCHS": 8,
        "AUG_ROT": 5, "AUG_HFLIP": True, "HOT_START": "first.keras",
    },
}  # fmt: skip
SMALLER = {
    "the published example": [
        "tiles.size=32", "inference.size=[32, 32]", "inference.window=32", "training.batch_size=2",
        "model.filters=2", "training.epochs=1", "model.kernel=3",
    ],
    "SegFormer": ["model.decoder_filters=8"],
}  # fmt: skip
"""Values of --set where a configuration can't be small."""


@pytest.mark.parametrize("name", CASES)
def test_a_configuration_trains_as_it_is_on_a_data_set_of_the_gym(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PUBLISHED | CASES[name]
    assert set(config) <= set(KEYS)
    classes = max(config["NCLASSES"], 2)
    source = write_gym_set(
        tmp_path / "data", bands=config["N_DATA_BANDS"], classes=classes,
        shape=CASES[name].get("TARGET_SIZE", (32, 32)), root=config["ROOT_STRING"],
        one_band=config["NCLASSES"] == 1,
    )  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    data = "originals" if "AUG_HFLIP" in CASES[name] else "npz"
    recipe = tmp_path / "recipe.yaml"
    converted = from_gym(file, data, SMALLER.get(name, []))
    recipe.write_text(converted.text())
    if "HOT_START" in config:
        monkeypatch.chdir(tmp_path)
        shape = (None, None, config["N_DATA_BANDS"])
        first = build_from(converted.recipe.model, input_shape=shape, n_classes=classes)
        first.save(config["HOT_START"])

    run_import("gym", [str(source)], str(tmp_path / "shards"), recipe, False, "here")
    run = start_run(tmp_path / "shards", tmp_path / "model", recipe, SingleProcess())
    summary = run.train()
    (epoch,) = summary.history
    assert 0 < epoch.loss < 20
    assert epoch.val_loss == epoch.val_loss  # The file in val_data has validated.
    tiles = 2 if data == "originals" else 4
    assert len(run.data.training) == tiles
    if name == "later epochs, augmented by training":
        share = 1e-3 + 4 * (1 - 1e-3) / 8
        assert epoch.learning_rate == pytest.approx(1e-4 * share, rel=1e-6)
        about = json.loads((tmp_path / "model" / "provenance.json").read_text())
        assert about["started_from"]
    trained = load_model(tmp_path / "model")
    assert trained.keras_model.output_shape[-1] == classes
    assert trained.keras_model.input_shape[-1] == config["N_DATA_BANDS"]
