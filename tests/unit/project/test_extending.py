"""What docs/extending.md says works as it stands, in a copy of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteScene

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
LONGEST = 40
"""Lines that an example may not have."""
COPIED = (
    "polynya", "autolabel", "training", "inference", "deploy", "requirements", "tests",
    "pyproject.toml",
)  # fmt: skip

EXAMPLES = {
    # Of each kind its module, where its name is, its conformance test, and which of those tests.
    "A product": (
        "inference/products/margin.py",
        "polynya/recipe/inference.py",
        "tests/unit/inference/products/test_product_conformance.py",
        "margin or agree or share",
    ),
    "A filter": (
        "autolabel/filters/dark_object.py",
        "polynya/recipe/label.py",
        "tests/unit/autolabel/test_filter_conformance.py",
        "dark-object or agree or share",
    ),
    "An importer": (
        "autolabel/importers/points.py",
        "polynya/recipe/imports.py",
        "tests/unit/autolabel/importers/test_importer_conformance.py",
        "points or agree",
    ),
    "A source": (
        "polynya/sources/folders/source.py",
        "polynya/recipe/acquire.py",
        "tests/unit/sources/test_source_conformance.py",
        "folders",
    ),
    "A model": (
        "training/models/dilated.py",
        "polynya/recipe/model.py",
        "tests/unit/training/models/test_model_conformance.py",
        "dilated",
    ),
    "A loss": (
        "training/losses/brier.py",
        "polynya/recipe/loss.py",
        "tests/unit/training/losses/test_training_losses_on_ranks.py",
        "brier",
    ),
    "A metric": (
        "training/metrics/specificity.py",
        "polynya/recipe/metrics.py",
        "tests/unit/training/metrics/test_metric_conformance.py",
        "specificity and not definition or ranks",
    ),
    "A check": (
        "training/inspection/checks/dark.py",
        "training/inspection/checks/registry.py",
        "tests/unit/training/inspection/test_check_conformance.py",
        "dark",
    ),
}

FETCH = """
from pathlib import Path
from polynya.sources.run import acquire_options, fetch_scenes, list_items
options = acquire_options(Path("recipe.yaml"))
print([item.problem for item in list_items(options)])
rows = fetch_scenes(list_items(options), options, Path("out")).results
print([row.status for row in sorted(rows, key=lambda row: row.scene)])
"""


def example(section: str) -> tuple[str, list[tuple[str, str]]]:
    """The module of a section, and the text that becomes another one, block by block."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    changes = []
    for block in re.findall(r"```diff\n(.*?)```", text, flags=re.DOTALL):
        sides = ([line[1:] for line in block.splitlines() if line[0] == side] for side in "-+")
        before, after = ("\n".join(lines) for lines in sides)
        changes.append((before, after))
    return program, changes


def apply(section: str, place: Path) -> None:
    """Copy the code, and change it as the page says: two files."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)
    module, names, _, _ = EXAMPLES[section]
    program, changes = example(section)
    (place / module).parent.mkdir(exist_ok=True)
    (place / module).write_text(program, "utf-8")
    text = (place / names).read_text("utf-8")
    for before, after in changes:
        text = text.replace(before, after)
    (place / names).write_text(text, "utf-8")


@pytest.mark.parametrize("section", EXAMPLES)
def test_an_example_is_short_and_is_in_its_place(section: str) -> None:
    module, names, test, _ = EXAMPLES[section]
    program, changes = example(section)
    assert len(program.splitlines()) < LONGEST
    for before, _ in changes:
        assert before in (ROOT / names).read_text("utf-8")
    for path in (module, names, test):
        assert f"`{path}`" in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("section", EXAMPLES)
def test_what_a_section_adds_in_two_files_conforms(section: str, tmp_path: Path) -> None:
    apply(section, tmp_path)
    _, _, test, chosen = EXAMPLES[section]
    words = ["-q", "-p", "no:cacheprovider", test, "-k", chosen, "--durations=0", "-vv"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert f"[{chosen.partition(' ')[0]}" in done.stdout  # All tests are named.


@pytest.mark.slow
def test_the_source_of_the_page_fetches_scenes(tmp_path: Path, write_scene: WriteScene) -> None:
    apply("A source", tmp_path)
    for name in ("B04", "B03", "B02"):
        write_scene(f"products/a/{name}.tif", np.full((8, 8, 1), 90, np.uint8))
    (tmp_path / "products" / "b").mkdir()
    (tmp_path / "recipe.yaml").write_text(
        f"acquire: {{source: folders, parent: {tmp_path / 'products'}, bands: [B04, B03, B02]}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", FETCH], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    problems, rows = done.stdout.splitlines()[-2:]
    assert problems.startswith("['', ")
    assert "has no B04.tif; fetch it again." in problems
    assert rows == "['done', 'failed']"
