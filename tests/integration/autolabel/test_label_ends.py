"""How labelling runs end: killed, interrupted, beside another one, without the ranks they need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from conftest import ice_image

from helpers.programs.launch import launch
from helpers.shards.shard_files import checksums, manifest

BIN = Path(sys.executable).parent
MARK = "POLYNYA_TEST_MARK"
SECONDS = 120.0


@pytest.fixture
def mark() -> str:
    return uuid4().hex


def environment(mark: str) -> dict[str, str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, MARK: mark, "SPARK_LOCAL_IP": "127.0.0.1"}


def marked(mark: str) -> list[psutil.Process]:
    """Processes that came of a command, wherever they are and whoever is their parent now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def start(command: list[str], cwd: Path, mark: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(mark),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def scenes(tmp_path, write_scene) -> Path:
    """Enough work for a run to be killed in the middle of it, and small tiles to make it more."""
    (tmp_path / "recipe.yaml").write_text("tiles: {size: 16}\n")
    for seed in range(6):
        write_scene(f"scenes/s{seed}.tif", ice_image(1100, 1000, seed), compress="deflate")
    return tmp_path / "scenes"


def label(scenes: Path, out: str, *options: str) -> list[str]:
    arguments = ["--scenes", str(scenes), "--recipe", str(scenes.parent / "recipe.yaml")]
    return ["polynya", "label", *arguments, "--out", out, *options]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_no_worker_outlives_its_run_and_the_next_one_goes_on(tmp_path, scenes, mark, name):
    command = label(scenes, "out", "--workers", "2")
    process = start(command, tmp_path, mark)
    try:
        wait_until(lambda: list((tmp_path / "out/_work").glob("*.json")), "the first unit")
        assert len(marked(mark)) >= 3
        process.send_signal(getattr(signal, name))
        wait_until(lambda: not marked(mark), "all processes to end")
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        for left in marked(mark):
            left.kill()
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not (tmp_path / "out/_manifest.csv").exists()
    again = launch(command, cwd=tmp_path, env=environment(mark), timeout=SECONDS)
    assert "6 scenes labelled, 0 failed" in again.stdout, again.stderr
    if name != "SIGKILL":
        return  # One comparison of bytes is enough.
    fresh = label(scenes, "fresh", "--workers", "2")
    launch(fresh, cwd=tmp_path, env=environment(mark), timeout=SECONDS)
    assert checksums(tmp_path / "out") == checksums(tmp_path / "fresh")


def test_no_process_outlives_a_driver_of_spark(tmp_path, scenes, mark):
    process = start(label(scenes, "out", "--engine", "spark", "--workers", "2"), tmp_path, mark)
    try:
        wait_until(lambda: list((tmp_path / "out/_work").glob("*.json")), "the first unit")
        assert len(marked(mark)) >= 3
        process.kill()
        wait_until(lambda: not marked(mark), "all processes to end")
        process.communicate(timeout=SECONDS)
    finally:
        for left in marked(mark):
            left.kill()


def test_two_runs_into_one_folder_at_once_lose_nothing(tmp_path, scenes, mark):
    # The second one begins while the first works, and says so; after it, its scene is added.
    first = start(label(scenes, "out", "--workers", "1"), tmp_path, mark)
    other = label(scenes / "s0.tif", "out")
    other[other.index("--recipe") + 1] = str(tmp_path / "recipe.yaml")
    try:
        wait_until(lambda: (tmp_path / "out/.polynya.lock").exists(), "the first run")
        refused = launch(other, cwd=tmp_path, env=environment(mark), timeout=SECONDS)
        assert refused.returncode == 1
        assert "Another run uses the folder" in refused.stderr
        said, _ = first.communicate(timeout=SECONDS)
    finally:
        for left in marked(mark):
            left.kill()
    assert "6 scenes labelled, 0 failed" in said
    assert set(manifest(tmp_path / "out")) == {f"s{n}" for n in range(6)}
    again = launch(other, cwd=tmp_path, env=environment(mark), timeout=SECONDS)
    assert "1 scenes labelled (1 of them before)" in again.stdout


RANKS = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-n"]
PYTHON = [sys.executable, "-m", "mpi4py.futures"]
POLYNYA = str(BIN / "polynya")


@pytest.mark.parametrize(
    "start_with",
    [[], [sys.executable], PYTHON, [*RANKS, "1"], [*RANKS, "1", *PYTHON], [*RANKS, "2"]],
    ids=["alone", "python", "module", "one rank", "one rank, module", "no module"],
)
def test_mpi_without_ranks_is_one_sentence_with_a_command_that_works(
    tmp_path, write_scene, mark, start_with
):
    write_scene("s.tif", ice_image(64, 64))
    arguments = ["label", "--scenes", "s.tif", "--out", "out", "--engine", "mpi"]
    done = launch(
        [*start_with, POLYNYA, *arguments], cwd=tmp_path, env=environment(mark), timeout=SECONDS
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    (sentence,) = {line for line in said.splitlines() if "start it with: " in line}
    if start_with:
        return
    command = sentence.partition("start it with: ")[2].split()
    command[1:1] = ["--oversubscribe", "--allow-run-as-root"]
    done = launch(command, cwd=tmp_path, env=environment(mark), timeout=SECONDS)
    assert "1 scenes labelled, 0 failed" in done.stdout, done.stderr


def test_spark_without_java_is_one_sentence(tmp_path, write_scene, mark):
    write_scene("s.tif", ice_image(64, 64))
    nowhere = environment(mark) | {"JAVA_HOME": str(tmp_path / "none")}
    command = ["polynya", "label", "--scenes", "s.tif", "--out", "out", "--engine", "spark"]
    done = launch(command, cwd=tmp_path, env=nowhere, timeout=SECONDS)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Error: Spark can't start" in done.stderr


def test_workers_that_can_not_start_are_one_sentence(tmp_path, write_scene, mark):
    write_scene("s.tif", ice_image(64, 64))
    (tmp_path / "unguarded.py").write_text(
        "from polynya.engines.engines import open_engine\n"
        "with open_engine('processes', 1) as engine:\n"
        "    engine.run(abs, [1, 2], lambda n: None)\n"
    )
    root = str(Path(__file__).parents[3])
    done = launch(
        [sys.executable, "unguarded.py"],
        cwd=tmp_path,
        env=environment(mark) | {"PYTHONPATH": root},
        timeout=SECONDS,
    )
    assert "EngineError: Worker processes end before they take any work" in done.stderr


def test_threads_that_wait_for_workers_end_with_an_error_of_one(tmp_path):
    from polynya.engines.engines import open_engine

    began = threading.active_count()
    with open_engine("processes", 2) as engine, pytest.raises(TypeError):
        engine.run(len, [1, [2], [3, 4]], lambda n: None)
    assert threading.active_count() == began
