"""The wheel in fresh environments, as those install it who have no clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.programs.deploy_clone import BIN, ROOT
from helpers.programs.launch import launch
from polynya.recipe.recipe import load_recipe, parse_recipe
from polynya.recipe.yaml_files import parse_yaml
from steps import inside_env

SCENE = ROOT / "data_samples/scenes/heldout/ross0002-0000_clear.tif"
SMALL = """
label: {method: none}
tiles: {size: 64}
split: {validation: 0}
model: {filters: [4, 8], dropout: [0, 0]}
training: {epochs: 1, batch_size: 8}
"""
UV = BIN / "uv"


@dataclass(frozen=True)
class Environment:
    """A fresh environment of its own, and a folder in which its commands run."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "env/bin/python"

    def install(self, *what: str) -> None:
        """Install in locked versions, as hard links to what `make setup` has fetched."""
        words = [UV, "pip", "install", "--quiet", "--python", self.python]
        words += ["--constraint", ROOT / "requirements/lock.txt", *what]
        env = inside_env()  # where packages come from
        # Only where the cache lacks something is an index asked.
        cached = subprocess.run([*words, "--offline"], env=env, capture_output=True, check=False)
        if cached.returncode:
            subprocess.run(words, env=env, check=True)

    def run(self, *words: str | Path, expect: int = 0) -> str:
        """Run `polynya` with nothing of this machine's environment; its output, both streams."""
        environment = {
            # A folder with Java and nothing else comes before the system's.
            "PATH": f"{self.python.parent}:{self.folder}/java:/usr/bin:/bin",
            "HOME": str(self.folder),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "COLUMNS": "200",
            **{key: os.environ[key] for key in ("JAVA_HOME",) if key in os.environ},
        }
        command = [str(self.python.with_name("polynya")), *map(str, words)]
        done = launch(command, cwd=self.folder, env=environment, timeout=300)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def packages(self) -> set[str]:
        """Names of what is installed."""
        return {info.name.split("-")[0] for info in self.folder.glob("env/lib/*/*/*.dist-info")}


NewEnvironment = Callable[..., Environment]


@pytest.fixture(scope="module")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewEnvironment]:
    """Makes a fresh environment in which something is installed."""
    folders = []

    def make(*what: str) -> Environment:
        folder = tmp_path_factory.mktemp("user")
        folders.append(folder)
        words = [UV, "venv", "--quiet", "--python", sys.executable, folder / "env"]
        subprocess.run(words, check=True)
        (folder / "small.yaml").write_text(SMALL)
        (folder / "java").mkdir()
        java = shutil.which("java", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
        (folder / "java/java").symlink_to(java or "/usr/bin/java")
        made = Environment(folder)
        made.install(*what)
        return made

    yield make
    for folder in folders:
        shutil.rmtree(folder)  # a GB each, where the cache is on another disk


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built without what runs and builds have left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("polynya", "autolabel", "training", "inference", "data_samples", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    words = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *words], check=True)
    (built,) = folder.glob("polynya-*.whl")
    return built


@pytest.fixture(scope="module")
def plain(wheel: Path, new_environment: NewEnvironment) -> Environment:
    """An environment for labels alone."""
    return new_environment(str(wheel))


def test_the_wheel_holds_the_stages_and_the_recipes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
        assert tops == {"polynya", "autolabel", "training", "inference"}
        recipes = {name for name in names if name.endswith(".yaml")}
        shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "recipes").rglob("*.yaml")}
        assert recipes == {f"polynya/{path}" for path in shipped}
        for path in shipped:
            assert content.read(f"polynya/{path}") == (ROOT / path).read_bytes()


def test_labels_and_pictures_need_no_extra(plain: Environment) -> None:
    assert not {"tensorflow_cpu", "keras", "pyspark", "pandas", "horovod"} & plain.packages()
    for command in ("label", "predict", "train", "scenes", "doctor"):
        assert re.search(rf"\b{command}\b", plain.run("--help"))
    printed = parse_yaml(plain.run("recipe", "after_filter"))
    assert parse_recipe(printed, "printed") == load_recipe("after_filter")
    shards = ["--scenes", SCENE, "--out", "shards"]
    assert "4 labelled" in plain.run("label", *shards, "--recipe", "through_cloud")
    plain.run("look", "shards")
    assert list((plain.folder / "shards-pictures").glob("*.png"))
    assert "Ready: label. Not installed: spark, train," in plain.run("doctor")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("predict", "model", SCENE, "--out", "maps"), "train"),
        (("train", "--shards", "shards", "--out", "model"), "train"),
        (("label", "--scenes", SCENE, "--out", "other", "--engine", "spark"), "spark"),
    ],
)
def test_what_an_extra_brings_is_named_in_one_sentence(
    words: tuple[str | Path, ...], extra: str, plain: Environment
) -> None:
    (sentence,) = (line for line in plain.run(*words, expect=1).splitlines() if "rror" in line)
    assert sentence.endswith(f"install it with: {plain.python} -m pip install 'polynya[{extra}]'")


def test_models_and_maps_need_the_extra_train(wheel: Path, new_environment: NewEnvironment) -> None:
    made = new_environment(f"{wheel}[train]")
    assert not {"pyspark", "pandas", "horovod"} & made.packages()
    made.run("label", "--scenes", SCENE, "--out", "shards", "--recipe", "small.yaml")
    assert "identical on 1 rank" in made.run("train", "--shards", "shards", "--out", "model")
    assert "1 scenes mapped" in made.run("predict", "model", SCENE, "--out", "maps")
    assert (made.folder / "maps" / SCENE.name).is_file()


def test_labels_on_spark_need_the_extra_spark(wheel: Path, new_environment: NewEnvironment) -> None:
    made = new_environment(str(wheel))
    # As the sentence says that names the extra: Polynya is there and is not asked for again.
    made.install("polynya[spark]")
    assert not {"tensorflow_cpu", "keras", "horovod"} & made.packages()
    words = ["--recipe", "small.yaml", "--engine", "spark"]
    assert "64 labelled" in made.run("label", "--scenes", SCENE, "--out", "shards", *words)
    assert "Ready: spark." in made.run("doctor", "spark")  # by spark-submit
