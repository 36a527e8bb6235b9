"""A copy of deploy/ in a clone of nothing else, so that scripts print paths that tests know."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Clone:
    """Where the scripts are, and how they are run."""

    root: Path
    """Folder with `deploy`, the jobs, a recipe `my ice.yaml`,
    and the recipe `ice` and the study `gym_30_models`, which ship."""

    def run(self, script: str, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/ in the clone, with settings as variables of the environment."""
        return self.run_with({"PATH": "/usr/bin:/bin", **settings}, script, *words)

    def run_with(
        self, environment: Mapping[str, str], script: str, *words: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/ with this environment alone."""
        return subprocess.run(
            [self.root / "deploy" / script, *words],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def printed(self, script: str, *words: str, **settings: str) -> list[str]:
        """Commands that a dry run prints, with the clone's path as CLONE."""
        done = self.run(script, *words, "--dry-run", **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(str(self.root), "CLONE").splitlines()

    def error(self, script: str, *words: str, **settings: str) -> str:
        """The one sentence with which a script stops, without 'Error: '."""
        done = self.run(script, *words, **settings)
        assert done.returncode == 1, done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: "), line
        return line.removeprefix("Error: ").replace(str(self.root), "CLONE")


def make_clone(folder: Path) -> Clone:
    """Copy deploy/ and what its scripts look for; the packs hold a few bytes."""
    root = folder / "clone"
    shutil.copytree(ROOT / "deploy", root / "deploy")
    jobs = ("autolabel/job.py", "autolabel/import_job.py", "inference/job.py")
    shipped = ("polynya/recipes/ice.yaml", "polynya/recipes/studies/gym_30_models.yaml")
    for name in (*jobs, "my ice.yaml", *shipped):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "runs/pack").mkdir(parents=True)
    for name in ("polynya-label.pex", "polynya-predict.pex", "polynya.zip"):
        (root / "runs/pack" / name).write_text(name)
    return Clone(Path(os.path.realpath(root)))
