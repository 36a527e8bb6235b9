"""What docs/extending.md says works as it stands, in a copy of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
LONGEST = 40
"""Lines that an example may not have."""
COPIED = (
    "polynya", "autolabel", "training", "inference", "deploy", "requirements", "tests",
    "pyproject.toml",
)  # fmt: skip

EXAMPLES = {
    "A product": (
        "inference/products/margin.py",
        "polynya/recipe/inference.py",
        "tests/unit/inference/products/test_product_conformance.py",
        "margin",
    ),
    "A filter": (
        "autolabel/filters/dark_object.py",
        "polynya/recipe/recipe.py",
        "tests/unit/autolabel/test_filter_conformance.py",
        "dark-object",
    ),
}


def example(section: str) -> tuple[str, str, str]:
    """The module of a section, and the line that becomes another one."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (before, after) = re.findall(r"```diff\n-(.*?)\n\+(.*?)\n```", text)[0]
    return program, before, after


@pytest.mark.parametrize("section", EXAMPLES)
def test_an_example_is_short_and_is_in_its_place(section: str) -> None:
    module, names, test, _ = EXAMPLES[section]
    program, before, _ = example(section)
    assert len(program.splitlines()) < LONGEST
    assert before in (ROOT / names).read_text("utf-8").splitlines()
    for path in (module, names, test):
        assert f"`{path}`" in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("section", EXAMPLES)
def test_what_a_section_adds_in_two_files_conforms(section: str, tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    module, names, test, name = EXAMPLES[section]
    program, before, after = example(section)
    (tmp_path / module).write_text(program, "utf-8")
    text = (tmp_path / names).read_text("utf-8")
    (tmp_path / names).write_text(text.replace(before, after), "utf-8")
    words = ["-q", "-p", "no:cacheprovider", test, "-k", f"{name} or agree or share"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert f"[{name}" in done.stdout  # The slowest tests are named.
