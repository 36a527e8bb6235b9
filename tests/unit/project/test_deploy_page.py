"""The commands of docs/deploy.md can be run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from helpers.programs.deploy_clone import ROOT, make_clone


def test_commands_of_the_page_can_be_run(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    (clone.root / "recipe.yaml").touch()
    settings = {"SPARK_HOME": str(clone.root)}
    (clone.root / "bin").mkdir()
    (clone.root / "bin/spark-class").touch()
    (clone.root / ".venv/bin").mkdir(parents=True)
    (clone.root / ".venv/bin/activate").touch()
    tried = 0
    text = (ROOT / "docs/deploy.md").read_text().replace("\\\n", "")
    for line in text.splitlines():
        words = shlex.split(line, comments=True) if line.startswith("    ") else []
        if words[:1] == ["export"]:
            settings |= dict(word.split("=", 1) for word in words[1:])
        before = [word for word in words if re.match("[A-Z_]+=", word)]
        script = words[len(before) :]
        if script and script[0].startswith("deploy/"):
            own = settings | dict(word.split("=", 1) for word in before)
            assert clone.printed(script[0].removeprefix("deploy/"), *script[1:], **own) or (
                script[1] == "stop"
            )
            tried += 1
    assert tried == 22
