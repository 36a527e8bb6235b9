"""The recipes in the README can be used as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import WriteScene, ice_image
from inference_commands import run

from polynya.recipe import load_recipe

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("text", [*BLOCKS, BLOCKS[0] + BLOCKS[1]])
def test_each_recipe_is_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("number", [0, 2])
def test_recipes_for_colours_label_a_photograph_and_a_scene(
    number: int, tmp_path: Path, write_scene: WriteScene
) -> None:
    (tmp_path / "recipe.yaml").write_text(BLOCKS[number])
    write_scene("scenes/scene.tif", ice_image(300, 280), nodata=0)
    write_scene("scenes/chip.tif", ice_image(64, 64), crs=None)
    words = ["--recipe", tmp_path / "recipe.yaml", "--engine", "here"]
    run("label", "--scenes", tmp_path / "scenes", "--out", tmp_path / "shards", *words)


def test_the_recipe_for_16_bit_labels_a_stack_of_bands(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    (tmp_path / "recipe.yaml").write_text(BLOCKS[1])
    bands = ice_image(128, 128)[..., [2, 2, 1, 0, 0, 0, 0, 0]].astype("uint16") * 39 + 1000
    write_scene("scenes/T01.tif", bands)
    write_scene("scenes/T01_SCL.tif", ice_image(128, 128)[..., 0] * 0)
    words = ["--recipe", tmp_path / "recipe.yaml", "--engine", "here"]
    run("label", "--scenes", tmp_path / "scenes/T01.tif", "--out", tmp_path / "shards", *words)
