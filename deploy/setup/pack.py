"""Pack the environment of a Spark job, for clusters whose nodes have only Python 3.11.

    python deploy/setup/pack.py label predict --out runs/pack

writes `polynya-label.pex` and `polynya-predict.pex`, the locked packages of a stage in one file
that is a Python interpreter (docs/adr/0003), and `polynya.zip`, Polynya's own code. Environments
are kept outside the clone: they change with `requirements/` only and take a minute to build.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import build_horovod
from steps import ROOT, VENV, fail, inside_env, run, say

STAGES = ("label", "predict")
CODE = "polynya.zip"


def locked_packages(stage: str) -> Path:
    """The file that locks what a stage's workers need; Spark itself is the cluster's."""
    return ROOT / "requirements" / f"pack-{stage}.txt"


def cache_folder() -> Path:
    """Where packed environments are kept, outside the clone, beside Horovod's wheels."""
    return build_horovod.cache_folder().with_name("packs")


def pack_environment(stage: str) -> Path:
    """Build a stage's environment, or take it from the cache.

    Returns:
        The file, in the cache. It appears there whole or not at all.

    Raises:
        SystemExit: A package can't be fetched.
    """
    parts = [locked_packages(stage), Path(__file__).resolve()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in parts))
    digest.update(build_horovod.locked_version("pex", "lock.txt").encode())
    digest.update(platform.machine().encode())
    ready = cache_folder() / digest.hexdigest()[:16] / f"polynya-{stage}.pex"
    if ready.is_file():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    say(f"Packing the environment of {stage}: a minute, and some hundred MB to fetch")
    with tempfile.TemporaryDirectory(prefix="building-", dir=ready.parent) as work:
        built = Path(work) / ready.name
        run(
            [
                *(VENV / "bin/python", "-m", "pex", "--requirement", locked_packages(stage)),
                *("--use-pip-config", "--no-build", "--pex-root", Path(work) / "root"),
                # The wheels lie in the file as they were fetched, and so checked by their hashes.
                *("--no-pre-install-wheels", "--no-compress"),
                *("--interpreter-constraint", "CPython==3.11.*"),
                # Unpacked once into PEX_ROOT; then it starts as fast as any environment, and
                # takes PySpark and Polynya from the PYTHONPATH that Spark sets.
                *("--venv", "prepend", "--non-hermetic-venv-scripts"),
                *("--output-file", built),
            ],
            "The environment could not be packed; check the network connection and run it again.",
            env=inside_env(),
        )
        built.replace(ready)  # same file system: whole or not at all
    return ready


def pack_code(folder: Path) -> Path:
    """Zip Polynya's packages with their entry points, as `spark-submit --py-files` wants them."""
    with tempfile.TemporaryDirectory(prefix="polynya-code-") as work:
        # Built from a copy, because setuptools leaves a folder `build` and takes what lies there.
        source = Path(work) / "source"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            source.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, source)
        for name in ("polynya", "autolabel", "training", "inference"):
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        run(
            [
                *(VENV / "bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps"),
                *("--no-build-isolation", "--wheel-dir", work, source),
            ],
            "Polynya's code could not be packed.",
            env=inside_env() | {"SOURCE_DATE_EPOCH": "315532800"},  # 1980, the first year of zip
        )
        (wheel,) = Path(work).glob("*.whl")
        return Path(shutil.copy(wheel, folder / CODE))


def main() -> None:
    """Pack what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="+", choices=STAGES, help="whose environment")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/pack", help="folder for the files")
    wanted = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        fail("The environment is locked for Python 3.11: activate .venv.")
    wanted.out.mkdir(parents=True, exist_ok=True)
    files = []
    for stage in wanted.stages:
        ready = pack_environment(stage)
        file = wanted.out / ready.name
        file.unlink(missing_ok=True)
        try:
            os.link(ready, file)
        except OSError:  # the cache is on another disk
            shutil.copy(ready, file)
        files.append(file)
    for file in [*files, pack_code(wanted.out)]:
        say(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
