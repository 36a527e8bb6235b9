"""docs/getting-started.md from its recipe to its map: each block, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.documents.blocks import BLOCKS, ROOT, SHELL, blocks_of
from helpers.documents.command_lines import lines_of, words_of
from helpers.programs.launch import launch
from helpers.training.ranks import BIN, environment

PAGE = ROOT / "docs" / "getting-started.md"
# The parser of all command lines checks these, which are about the installation itself.
INSTALLED = ("make setup", "source .venv/bin/activate", "polynya doctor --quick")


def follow(document: Path, folder: Path) -> list[str]:
    """Do what a page says, in a folder; what its commands and programs printed."""
    printed = []
    for block in blocks_of(document):
        if block.language == "yaml":
            (name,) = re.findall(r"^# (\S+\.yaml)\n", block.text)
            (folder / name).write_text(block.text, "utf-8")
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), {})
        else:
            assert block.language in SHELL
            for line in lines_of(block.text):
                if line not in INSTALLED:
                    ((program, *words),) = words_of(line)
                    assert program == "polynya"
                    # Programs of their own: a training can't set up TensorFlow where it has run.
                    done = launch(
                        [str(BIN / program), *words], cwd=folder, env=environment(), timeout=600
                    )
                    assert done.returncode == 0, done.stdout + done.stderr
                    printed.append(done.stdout)
    return printed


@pytest.mark.slow
def test_each_step_of_the_page_works(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    *_, scores = follow(PAGE, tmp_path)
    assert capsys.readouterr().out.startswith("EPSG:3031 (600, 500)\n")
    for name in re.findall(r"^- `(ross\S+)`", PAGE.read_text("utf-8"), re.MULTILINE):
        assert (tmp_path / "maps" / name).is_file()
    for name in ("shards-pictures", "model/README.md", "maps/summary.csv", "evaluation"):
        assert (tmp_path / name).exists()
    (right,) = re.findall(r"^ +model +([0-9.]+)", scores, re.MULTILINE)
    assert float(right) > 70

    # What formats.md reads is there now.
    (reading,) = (b for b in BLOCKS if b.document == "docs/formats.md" and b.language == "python")
    found: dict[str, object] = {}
    exec(compile(reading.text, str(reading), "exec"), found)
    assert found["image"].shape == (128, 128, 3)
    assert found["label"].shape == (128, 128)
