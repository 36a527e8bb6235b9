"""Every command line of README and docs is one that its program takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.documents.blocks import BLOCKS, LANGUAGES, SHELL, Block, of
from helpers.documents.command_lines import (
    WrongLineError,
    check_line,
    lines_of,
    split_settings,
    words_of,
)
from helpers.programs.deploy_clone import Clone, make_clone

MARKED = [block for block in BLOCKS if block.not_run is not None]
"""Blocks that are neither run nor checked, and say why."""
MOST_MARKED = 6
PATCHED = "docs/extending.md"
"""Its changes are made in a copy of the code: test_extending.py."""


def exports(text: str) -> dict[str, str]:
    """Variables that a block exports."""
    commands = [words for line in lines_of(text) for words in words_of(line)]
    found = [split_settings(words[1:])[0] for words in commands if words[:1] == ["export"]]
    return {name: value for settings in found for name, value in settings.items()}


# What somebody who runs scripts of deploy/ has set before, as their page says.
SETTINGS = {
    name: value
    for block in of(*SHELL)
    if block.document == "docs/deploy.md"
    for name, value in exports(block.text).items()
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = make_clone(tmp_path_factory.mktemp("deploy"))
    for name in ("recipe.yaml", ".venv/bin/activate", "spark/bin/spark-class"):
        (made.root / name).parent.mkdir(parents=True, exist_ok=True)
        (made.root / name).touch(mode=0o755)
    return made


def check(line: str, clone: Clone) -> None:
    for command in words_of(line):
        own, words = split_settings(command)
        if words and words[0].startswith("deploy/"):
            settings = {"SPARK_HOME": str(clone.root / "spark"), **SETTINGS, **own}
            clone.printed(words[0].removeprefix("deploy/"), *words[1:], **settings)
        elif words and words[0] != "export":
            check_line(words)


# This program loads TensorFlow before it reads its options.
WITH_TENSORFLOW = "benchmarks.training.gpu"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block, marks=[pytest.mark.slow] * (WITH_TENSORFLOW in block.text), id=str(block)
        )
        for block in of(*SHELL)
    ],
)
def test_each_command_line_is_one(block: Block, clone: Clone, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in lines_of(block.text):
        check(line, clone)


@pytest.mark.parametrize(
    "line",
    [
        "polynya label --scenes scenes --out shards --recpie recipe.yaml",
        "polynya label --scenes scenes --out shards --recipe no_such_recipe",
        "polynya train --shards shards --out model --set training.batchsize=16",
        "polynya train --shards shards",
        "polynya predict model scenes --out maps --products polygon",
        "polynya import masks data --out shards",
        "polynya lable",
        "python -m benchmarks.labels speeed",
        "python -m data_samples --cout 4",
        "python training/training.py --shards shards --out model",
        "horovodrun -np 2 python training/train.py --shards shards --output model",
        "make chekc",
        "pip install '.[trian]'",
        "pip install --no-dependencies-please .",
        "docker build -f deploy/container/Dockerfile --target server .",
        "docker run --rm image polynya lable",
        "somebody-elses-program --help",
    ],
)
def test_a_line_with_a_mistake_is_found(line: str, clone: Clone) -> None:
    with pytest.raises(WrongLineError):
        check(line, clone)


def test_every_block_is_run_or_checked_or_says_why_not() -> None:
    for block in BLOCKS:
        known = block.language in LANGUAGES and (
            block.language != "diff" or block.document == PATCHED
        )
        assert known or block.not_run, (
            f"{block}: no test checks blocks in '{block.language}': indent command lines, name the"
            " language of others, or put <!-- not run: why --> before the block"
        )
    assert len(MARKED) <= MOST_MARKED
