"""The recipes and programs in README and docs can be used as they stand."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import WriteScene, ice_image

from autolabel.importers.registry import KINDS, find_importer
from helpers.documents.blocks import ROOT, of
from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from inference.products.registry import PRODUCT_NAMES, find_product
from inference.studies.sweep.planning import check_study
from inference.studies.sweep.study import load_study
from polynya.recipe.recipe import load_recipe
from polynya.shards.manifest import SceneResult
from polynya.shards.schema import SCHEMA
from training.model_folder import folder

PUBLIC = ROOT / "polynya" / "__init__.pyi"

FIRST_TRY, SIXTEEN_BIT = (block.text for block in of("yaml") if block.document == "README.md")
(OWN_COLOURS,) = (block.text for block in of("yaml") if "blue-thin-ice" in block.text)
RECIPES = [pytest.param(block.text, id=str(block)) for block in of("yaml")]


@pytest.mark.parametrize("text", [*RECIPES, FIRST_TRY + SIXTEEN_BIT])
def test_each_recipe_is_one(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    if text.startswith("# study"):
        check_study(load_study(path), None)
    else:
        load_recipe(path)


@pytest.mark.parametrize("text", [FIRST_TRY, OWN_COLOURS])
def test_recipes_for_colours_label_a_photograph_and_a_scene(
    text: str, tmp_path: Path, write_scene: WriteScene
) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    write_scene("scenes/scene.tif", ice_image(300, 280), nodata=0)
    write_scene("scenes/chip.tif", ice_image(64, 64), crs=None)
    words = ["--recipe", tmp_path / "recipe.yaml", "--engine", "here"]
    run("label", "--scenes", tmp_path / "scenes", "--out", tmp_path / "shards", *words)


def test_the_recipe_for_16_bit_labels_a_stack_of_bands(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    (tmp_path / "recipe.yaml").write_text(SIXTEEN_BIT)
    bands = ice_image(128, 128)[..., [2, 2, 1, 0, 0, 0, 0, 0]].astype("uint16") * 39 + 1000
    write_scene("scenes/T01.tif", bands)
    write_scene("scenes/T01_SCL.tif", ice_image(128, 128)[..., 0] * 0)
    words = ["--recipe", tmp_path / "recipe.yaml", "--engine", "here"]
    run("label", "--scenes", tmp_path / "scenes/T01.tif", "--out", tmp_path / "shards", *words)


# What extends the code needs the other half of its change: test_extending.py. What reads a
# cross-validation needs one: test_cross_validation.py. What reads shards and maps comes after the
# commands that make them: test_getting_started.py.
ELSEWHERE = tuple(
    f"docs/{name}.md" for name in ("extending", "cross-validation", "getting-started", "formats")
)
PROGRAMS = [block for block in of("python") if block.document not in ELSEWHERE]


@pytest.mark.parametrize("program", [pytest.param(block.text, id=str(block)) for block in PROGRAMS])
def test_each_program_runs(
    program: str, tmp_path: Path, write_scene: WriteScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene("scenes/scene.tif", ice_image(300, 280), nodata=0)
    save_threshold_model(tmp_path / "model", make_recipe())
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "program", "exec"), {})
    for name in os.listdir(tmp_path):
        assert name in ("scenes", "model", "labels.tif", "map.tif")


@pytest.mark.parametrize("name", PRODUCT_NAMES)
def test_every_product_is_in_the_table_of_maps(name: str) -> None:
    product = find_product(name)
    first, *others = (file.ending for file in product.files)
    same = os.path.splitext(first)[0]
    files = [f"`SCENE{first}`", *(f"`{e.removeprefix(same)}`" for e in others if same in e)]
    files += [f"`SCENE{ending}`" for ending in others if same not in ending]
    row = f"| `{name}` | {', '.join(files)} | {product.about} |"
    assert row in (ROOT / "docs" / "maps.md").read_text("utf-8").splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_import_is_in_its_table(kind: str) -> None:
    beginning = f"| `{kind}` | {find_importer(kind).about} | "
    lines = (ROOT / "docs" / "import.md").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith(beginning)]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("Shards", [*SCHEMA.names, *(field.name for field in fields(SceneResult))]),
        ("Model folder", folder._FILES),
    ],
)
def test_the_page_of_formats_has_every_column_and_file(section: str, names: Sequence[str]) -> None:
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    _, _, after = text.partition(f"\n## {section}\n")
    rows = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(.+?)`", row.split(" | ")[0])}
    assert set(names) <= told


def test_the_api_has_every_public_name_and_every_kind_of_part() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    extending = (ROOT / "docs" / "extending.md").read_text("utf-8")
    # Third column: the class that a part is one of, and its file.
    parts = re.findall(r"^\|[^|]+\|[^|]+\| `(\w+)` in `([a-z_/]+)\.py` \|", extending, re.MULTILINE)
    assert len(parts) > 5
    names = [f"{path.replace('/', '.')}.{name}" for name, path in parts]
    (listed,) = re.findall(r"__all__ = \[(.+?)\]", PUBLIC.read_text("utf-8"), re.DOTALL)
    names += [f"polynya.{name}" for name in re.findall(r'"(\w+)"', listed)]
    assert [name for name in names if not re.search(rf"[ `]{re.escape(name)}[`\n]", text)] == []
