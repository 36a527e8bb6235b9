"""What the meter of commands counts: processors, memory, the first shard."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.common.commands import CommandFailedError, run_measured
from benchmarks.common.meter import Cost, kind_of

BURN = """
import os, signal, sys, time
def burn(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
"""


def run_program(tmp_path: Path, program: str) -> Cost:
    return run_measured([sys.executable, "-c", BURN + program], tmp_path / "run")


def test_the_meter_counts_children_orphans_and_processes_too_short_to_be_sampled(tmp_path):
    program = """
burn(0.3)
if os.fork() == 0:
    if os.fork() == 0:  # Its parent ends first.
        os.setsid()
        burn(1.5)
    os._exit(0)
os.wait()
for _ in range(10):
    if os.fork() == 0:
        burn(0.03)
        os._exit(0)
    os.wait()
"""
    # What the interpreter takes to start isn't burnt. A fork takes up to 0.1 s where much else
    # runs; the orphan counted twice makes 3.6 s.
    started = run_program(tmp_path / "started", "")
    cost = run_program(tmp_path / "burnt", program)
    assert 2.05 < cost.cpu_s - started.cpu_s < 3.5
    assert cost.exit_code == 0


@pytest.mark.slow
def test_the_meter_counts_workers_that_their_parent_does_not_wait_for(tmp_path):
    program = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # As PySpark's daemon does.
for _ in range(2):
    if os.fork() == 0:
        burn(0.5)
        time.sleep(0.5)  # As a worker that waits for more.
        os._exit(0)
time.sleep(2.5)
"""
    assert 0.95 < run_program(tmp_path, program).cpu_s < 1.4


def test_the_meter_tells_peak_memory_also_of_what_has_ended_and_kinds(tmp_path):
    program = """
if os.fork() == 0:
    content = bytearray(200 * 2**20)
    del content
    time.sleep(0.5)
    os._exit(0)
time.sleep(0.8)  # Not waiting for it at once.
"""
    cost = run_program(tmp_path, program)
    assert 200 * 2**20 < cost.peak_by_kind["python"] < 300 * 2**20
    assert kind_of("java", "/usr/bin/java -cp x") == "java"
    assert kind_of("python3.11", "python\0-m\0pyspark.daemon") == "worker"
    assert kind_of("bash", "bash spark-submit") == "other"


def test_the_meter_adds_up_memory_that_processes_have_at_the_same_time(tmp_path):
    program = """
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        content = bytes(os.urandom(1)) * (100 * 2**20)
        time.sleep(1.0)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""
    cost = run_program(tmp_path, program)
    assert max(cost.peak_by_kind.values()) < 150 * 2**20
    assert 200 * 2**20 < cost.peak_together < 350 * 2**20


def test_the_meter_tells_when_the_first_whole_shard_is_there(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    program = f"""
folder = {str(shards)!r}
open(folder + "/.a.parquet", "w").close()
time.sleep(0.7)
os.rename(folder + "/.a.parquet", folder + "/a.parquet")
time.sleep(0.5)
"""
    cost = run_measured([sys.executable, "-c", BURN + program], tmp_path, watched=shards)
    assert cost.first_file_s is not None
    assert 0.7 <= cost.first_file_s < cost.wall_s


def test_a_command_that_fails_is_named_with_what_it_said(tmp_path):
    with pytest.raises(CommandFailedError, match=r"(?s)code 3.*something is wrong"):
        run_program(tmp_path, "print('something is wrong'); sys.exit(3)")
