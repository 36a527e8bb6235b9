"""Packed environments and a Spark cluster of one's own, with the real Spark."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyspark
import pytest

import build_horovod
import pack
from helpers.programs.deploy_clone import BIN, ROOT, make_clone
from helpers.programs.launch import launch
from polynya.shards.dataset import open_shards

SPARK_HOME = str(Path(pyspark.__file__).parent)
SCENE = ROOT / "data_samples/scenes/heldout/ross0002-0000_clear.tif"
CLUSTER = str(ROOT / "deploy/standalone/cluster.sh")
LOCAL = {"SPARK_LOCAL_HOSTNAME": "localhost", "SPARK_LOCAL_IP": "127.0.0.1"}


def bare_environment(home: Path) -> dict[str, str]:
    """What a node of a cluster has: the system's programs and Spark, none of the clone's packages.

    The interpreter and Java are those of the tests; their folders hold no packages of Polynya.
    """
    python = Path(sys.base_prefix) / "bin"
    kept = {key: os.environ[key] for key in ("JAVA_HOME",) if key in os.environ}
    java = Path(shutil.which("java", path=f"{BIN}:{os.environ['PATH']}") or "java").parent
    (home / "bin").mkdir(parents=True)
    (home / "bin/java").symlink_to(java / "java")
    path = f"{home / 'bin'}:{python}:/usr/bin:/bin"
    return {**kept, **LOCAL, "PATH": path, "HOME": str(home), "SPARK_HOME": SPARK_HOME}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with environment and code of the labelling job, far from the clone."""
    folder = tmp_path_factory.mktemp("pack")
    subprocess.run(
        [sys.executable, ROOT / "deploy/setup/pack.py", "label", "--out", folder], check=True
    )
    yield folder
    shutil.rmtree(folder)  # a GB once it is unpacked


def test_the_pack_is_a_python_with_all_that_labelling_needs(packed: Path, tmp_path: Path) -> None:
    ask = (
        "import polynya, autolabel.labels, rasterio, cv2, numba, pyarrow, pandas, sys;"
        "from importlib.metadata import entry_points;"
        "print(sys.version_info[:2], polynya.__file__);"
        "print(sorted(entry_points(group='polynya.commands').names));"
        "import importlib.util as u; print(u.find_spec('pyspark'), u.find_spec('tensorflow'))"
    )
    environment = bare_environment(tmp_path / "home")
    environment |= {
        "PEX_ROOT": str(packed / "root"),
        "PYTHONPATH": str(packed / "polynya.zip"),
    }
    done = launch(
        [str(packed / "polynya-label.pex"), "-c", ask], cwd=tmp_path, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    version, commands, absent = done.stdout.splitlines()
    assert version == f"(3, 11) {packed / 'polynya.zip/polynya/__init__.py'}"
    assert "'label'" in commands
    assert absent == "None None"


def test_spark_labels_a_scene_with_nothing_but_the_pack(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_bytes((ROOT / "autolabel/job.py").read_bytes())
    (tmp_path / "recipe.yaml").write_text("label: {method: published}\n")
    environment = bare_environment(tmp_path / "home")
    environment |= {
        "PEX_ROOT": str(packed / "root"),
        "PYSPARK_PYTHON": str(packed / "polynya-label.pex"),
    }
    done = launch(
        [
            f"{SPARK_HOME}/bin/spark-submit",
            *("--master", "local[2]", "--conf", "spark.ui.enabled=false"),
            *("--py-files", str(packed / "polynya.zip"), "job.py"),
            *("--scenes", str(SCENE), "--out", "shards", "--recipe", "recipe.yaml"),
        ],
        cwd=tmp_path,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "1 scenes labelled, 0 failed; 4 tiles = 4 labelled + 0 nodata" in done.stdout
    assert len(open_shards(tmp_path / "shards").load([SCENE.stem], 256)[0]) == 4


def test_the_same_sources_give_the_same_zip(packed: Path, tmp_path: Path) -> None:
    again = pack.pack_code(tmp_path)
    assert again.read_bytes() == (packed / "polynya.zip").read_bytes()


def test_environments_are_kept_outside_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYNYA_CACHE", "/somewhere")
    assert pack.cache_folder() == Path("/somewhere/packs")
    assert build_horovod.cache_folder() == Path("/somewhere/horovod")


def free_ports(count: int) -> list[str]:
    """Ports that nobody listened at a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a running master with two workers; they are stopped in the end."""
    port, ui_port = free_ports(2)
    environment = os.environ | LOCAL
    environment |= {"SPARK_HOME": SPARK_HOME, "STATE": str(tmp_path / "spark"), "WORKERS": "2"}
    environment |= {"CORES": "1", "MEMORY": "1g", "PORT": port, "UI_PORT": ui_port}
    environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "PYSPARK_PYTHON": sys.executable}
    started = launch([CLUSTER, "start"], cwd=tmp_path, env=environment, timeout=180)
    try:
        assert started.returncode == 0, started.stderr
        assert started.stdout == (f"Ready: spark://localhost:{port}, http://localhost:{ui_port}\n")
        yield environment
    finally:
        launch([CLUSTER, "stop"], cwd=tmp_path, env=environment, timeout=60)


def is_alive(number: int) -> bool:
    """Whether a process runs; one that ended may wait for a parent that never asks for it."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_own_cluster_runs_jobs_and_ends_what_it_started_alone(cluster, tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "import os\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "folder = lambda part: [os.path.basename(os.path.dirname(os.path.dirname(os.getcwd())))]\n"
        "found = spark.sparkContext.parallelize(range(64), 64).mapPartitions(folder)\n"
        "print('on', sorted(set(found.collect())))\n"
    )

    def run(*words: str) -> str:
        done = launch([CLUSTER, *words], cwd=tmp_path, env=cluster, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    submit = [f"{SPARK_HOME}/bin/spark-submit", "--master", f"spark://localhost:{cluster['PORT']}"]
    submit += ["--conf", "spark.ui.enabled=false", "--executor-memory", "512m", str(job)]
    submit[3:3] = ["--conf", "spark.scheduler.minRegisteredResourcesRatio=1"]
    done = launch(submit, cwd=tmp_path, env=cluster, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "on ['work-1', 'work-2']" in done.stdout

    # A second start is refused, and another cluster's stop leaves this one alone.
    again = launch([CLUSTER, "start"], cwd=tmp_path, env=cluster, timeout=60)
    assert again.returncode == 1
    assert again.stderr == "Error: 3 of its processes run already; see status, stop.\n"
    other = cluster | {"STATE": str(tmp_path / "other")}
    done = launch([CLUSTER, "start"], cwd=tmp_path, env=other, timeout=60)
    assert "choose another PORT" in done.stderr
    (tmp_path / "other").mkdir(exist_ok=True)
    shutil.copy(tmp_path / "spark/master.pid", tmp_path / "other/master.pid")
    done = launch([CLUSTER, "stop"], cwd=tmp_path, env=other, timeout=60)
    assert done.stdout == "Stopped 0.\n"

    names = dict(line.split() for line in run("status").splitlines())
    assert sorted(names) == ["master", "worker-1", "worker-2"]
    assert run("stop", "--dry-run").split("\n")[0] == f"kill {names['master']}"
    assert run("stop") == "Stopped 3.\n"
    assert run("status") == ""
    assert not any(is_alive(int(number)) for number in names.values())


def test_a_cluster_that_cannot_start_says_why(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    spark_class = clone.root / "bin/spark-class"
    spark_class.parent.mkdir()
    spark_class.write_text("#!/bin/sh\necho no java here\nexit 1\n")
    spark_class.chmod(0o755)
    done = clone.run("standalone/cluster.sh", "start", SPARK_HOME=str(clone.root), PORT="1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "no java here",
        "Stopped 0.",
        f"Error: The master didn't start: {clone.root}/runs/spark/master.log says why.",
    ]
