"""The training benchmark: its arithmetic where the answer is known, and small measurements."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
from dataclasses import replace
from math import nan
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import keras
import pytest
from typer.testing import CliRunner

from benchmarks.training import gpu, predict
from benchmarks.training.__main__ import app
from benchmarks.training.efficiency import (
    ALONE,
    APART,
    GLOO,
    Repetition,
    efficiency_table,
    summarize,
)
from benchmarks.training.flops import LayerCost, layer_costs, training_bytes, training_flops
from benchmarks.training.options import resized
from benchmarks.training.predict import (
    ETHERNET_25,
    INFINIBAND_HDR,
    NVLINK,
    PAPER_RUNS,
    PCIE,
    Cluster,
    PaperRun,
    Prediction,
    Training,
    allreduce_s,
    bend,
    from_throughput,
    predict_global,
    reduced_s,
    ring_traffic,
    undivided_s,
)
from benchmarks.training.ranks.jobs import Job, JobFailedError, Measured, start_job
from benchmarks.training.ranks.rank import Rank, serve
from benchmarks.training.ranks.sockets import sent_bytes
from benchmarks.training.ranks.workload import LARGE, PAPER, Workload, build_model, gradient_bytes
from benchmarks.training.table import Row, Traffic, scaling_table, traffic_table
from training.ranks.port import SingleProcess

TINY = Workload("tiny", (4, 8), batch=2, tile=32)
DOCS = Path(__file__).parents[3] / "docs"


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# === What layers cost ===


def test_layers_cost_what_counting_by_hand_says():
    image = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="a")(image)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2DTranspose(5, 2, strides=2, name="b")(x)
    a, b = layer_costs(keras.Model(image, x))
    assert a == LayerCost("a", 2 * 8 * 6 * 9 * 3 * 4, 9 * 3 * 4 + 4, 8 * 6 * (3 + 4))
    assert b == LayerCost("b", 2 * 4 * 3 * 4 * 4 * 5, 4 * 4 * 5 + 5, 4 * 3 * 4 + 8 * 6 * 5)
    assert training_flops((a, b)) == 3 * (a.forward_flops + b.forward_flops)
    assert training_bytes((a, b), 2) == 6 * (a.values + b.values)


def test_all_parameters_of_the_models_are_in_their_convolutions():
    for workload, millions in ((PAPER, 7.8), (LARGE, 31.0)):
        model = build_model(workload)
        parameters = sum(cost.parameters for cost in layer_costs(model))
        assert parameters == model.count_params() == gradient_bytes(model) / 4
        assert parameters / 1e6 == pytest.approx(millions, abs=0.1)
        assert workload.name == f"{millions:g} M"


# === The model of large runs ===

EVEN = tuple(LayerCost(f"layer{i}", 1000, 1_000_000, 0) for i in range(10))
TRAINING = Training(image_s=1e-3, fixed_s=2e-3, batch=10, layers=EVEN)


def test_a_ring_moves_nearly_twice_the_bytes():
    assert ring_traffic(2, 100) == 100
    assert ring_traffic(4, 100) == 150
    assert ring_traffic(1000, 100) == pytest.approx(199.8)


def test_an_allreduce_takes_bytes_over_speed_and_hops():
    host = Cluster(NVLINK, NVLINK, link_share=1.0)
    assert allreduce_s(host, 1, 1e9) == 0
    # Many bytes: the ring; 14 hops of 2 us.
    assert allreduce_s(host, 8, 3e9) == pytest.approx(14 * 2e-6 + 1.75 * 3e9 / 300e9)
    hosts = replace(host, between=INFINIBAND_HDR, gpus=1)
    # Few bytes on many hosts: the tree, nine hops deep.
    assert allreduce_s(hosts, 512, 100) == pytest.approx(2 * 9 * 5e-6 + 200 / 25e9)
    # The slower of the links inside and between hosts counts; ports add up.
    two = replace(host, between=INFINIBAND_HDR, gpus=8)
    slow = allreduce_s(two, 16, 1e12)
    assert slow == pytest.approx(ring_traffic(16, 1e12) / 25e9, rel=1e-3)
    assert allreduce_s(replace(two, ports=4), 16, 1e12) == pytest.approx(slow / 4, rel=1e-3)
    assert allreduce_s(replace(two, ports=99), 16, 1e12) == pytest.approx(slow / 12, rel=1e-3)


def test_gradients_are_reduced_in_packs_once_a_cycle():
    ready = [(1.0, 10), (1.5, 10), (2.5, 10)]

    def end(cycle_s: float, fusion_bytes: float = 1e9, agree_s: float = 0.0) -> float:
        return reduced_s(ready, lambda size: 0.1 + size / 100, cycle_s, fusion_bytes, agree_s)

    # At 1, 2 and 3: one gradient each.
    assert end(1.0) == pytest.approx(3.0 + 0.2)
    # At 4 all three, in one pack, or in two.
    assert end(4.0) == pytest.approx(4.0 + 0.4)
    assert end(4.0, fusion_bytes=20) == pytest.approx(4.0 + 0.3 + 0.2)
    assert end(4.0, fusion_bytes=1) == pytest.approx(4.0 + 3 * 0.2)
    assert end(1.0, agree_s=0.05) == pytest.approx(3.25)
    # A slow exchange goes on while others wait.
    assert reduced_s(ready, lambda size: 5.0, 1.0, 1e9, 0.0) == pytest.approx(16.0)


def test_gradients_are_ready_from_the_last_layer_to_the_first():
    ready = predict.gradients_ready(TRAINING)
    assert len(ready) == 10
    assert ready[0] == (pytest.approx(0.004 + 0.0008), 4_000_000)
    assert ready[-1][0] == pytest.approx(TRAINING.compute_s) == 0.012


def test_one_gpu_is_efficient_and_slow_links_are_not():
    fast, slow = Cluster(NVLINK, INFINIBAND_HDR, ports=8), Cluster(PCIE, ETHERNET_25)
    assert predict.predict(TRAINING, fast, 1).efficiency == 1.0
    of_fast, of_slow = (predict.predict(TRAINING, c, 64) for c in (fast, slow))
    assert 0.8 < of_fast.efficiency < 1
    assert of_slow.efficiency < of_fast.efficiency
    assert of_fast.images_per_second == pytest.approx(64 * of_fast.efficiency * 10 / 0.012)
    assert of_fast.host_tiles_per_second == pytest.approx(of_fast.images_per_second / 8)
    half = replace(TRAINING, gradient_bytes_each=2)
    assert predict.predict(half, slow, 64).efficiency > of_slow.efficiency


def test_a_shared_batch_bends_where_the_fixed_part_of_a_step_is_large():
    cluster = Cluster(NVLINK, INFINIBAND_HDR, ports=8)
    shared = [predict_global(TRAINING, cluster, n, 80) for n in (8, 16, 40, 80)]
    assert [p.batch for p in shared] == [10, 5, 2, 1]
    assert shared[0] == predict.predict(TRAINING, cluster, 8)
    assert shared[-1].efficiency < 0.012 / 10 / 0.003 * 1.001
    assert bend(shared) in (8, 16)
    assert bend(shared, below=0.0) is None
    with pytest.raises(ValueError, match="multiple of the ranks"):
        predict_global(TRAINING, cluster, 3, 80)


def test_a_training_is_known_from_its_images_per_second():
    training = from_throughput(500.0, 10, EVEN, fixed_s=5e-3)
    assert training.compute_s == pytest.approx(0.02)
    assert training.gradient_bytes == 40_000_000
    with pytest.raises(ValueError, match="fixed_s"):
        from_throughput(500.0, 10, EVEN, fixed_s=0.02)


def test_the_undivided_part_of_a_run_is_found_again():
    runs = [PaperRun(n, 90 / n + 10, 0, 0, 0) for n in (1, 2, 4, 8)]
    assert undivided_s(runs) == pytest.approx(10)
    assert 3 < undivided_s(PAPER_RUNS) < 6


def test_tables_of_the_model_are_those_of_the_documentation(tmp_path):
    done = CliRunner().invoke(app, ["model", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (DOCS / "scaling.md").read_text()
    page = (tmp_path / "model.md").read_text()
    tables = [part for part in page.split("**") if part.startswith("\n\n|")]
    assert len(tables) == 5
    for table in tables:
        assert table.strip() in text


# === What is counted ===


def test_the_kernel_counts_what_a_connection_sends():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
        server.accept()[0] as other,
    ):
        before = sent_bytes()
        one.sendall(b"x" * 1000)
        other.sendall(b"y" * 50)
        assert len(other.recv(1000, socket.MSG_WAITALL)) == 1000
        assert len(one.recv(50, socket.MSG_WAITALL)) == 50
        assert sent_bytes() - before == 1050


def measured(ranks: int, seconds: float, cpu_s: float, waiting_s: float = 0.0) -> Measured:
    return Measured(ranks, 5, 10 * ranks, seconds, cpu_s, waiting_s, (0,) * ranks)


def test_efficiency_is_the_median_of_ratios_within_repetitions():
    done = []
    for number, slower in enumerate((1.0, 2.0, 10.0)):
        for setup, what in (
            (ALONE, measured(1, 1.0 * slower, 1.0)),
            (APART, measured(2, 1.1 * slower, 2.0)),
            (GLOO, measured(2, 1.25 * slower, 2.5, 0.25 * slower)),
        ):
            done.append(Repetition(TINY, setup, number, what, 100))
    alone, apart, gloo = summarize(done)
    assert (alone.efficiency, alone.cpu_efficiency, alone.waiting_share) == (1.0, 1.0, 0.0)
    assert alone.images_per_second == 5.0
    assert apart.efficiency == pytest.approx(1 / 1.1)
    assert gloo.efficiency == pytest.approx(0.8)
    assert gloo.of_machine == pytest.approx(0.88)
    assert gloo.cpu_efficiency == pytest.approx(0.8)
    assert gloo.waiting_share == pytest.approx(0.2)
    table = efficiency_table([alone, apart, gloo], 3)
    assert table.rows[2] == ("tiny, 2 x 32 px", GLOO, "8.000", "0.800", "0.880", "0.800", "20.0")
    without = summarize([r for r in done if r.setup != APART])
    assert without[1].of_machine != without[1].of_machine  # NaN


def test_tables_have_speed_up_and_ratio():
    alone, two = measured(1, 1.25, 1.25), measured(2, 4 / 3, 2.5, waiting_s=1 / 15)
    rows = [Row(1, (alone, alone)), Row(2, (two, two))]
    assert scaling_table(rows, "t").rows[1] == (
        "2",
        "2.67",
        "1.33",
        "15.00",
        "1.88",
        "0.938",
        "5.0",
    )
    assert traffic_table([Traffic(2, 1000, 1010.0, 1000.0)]).rows[0][-1] == "1.0100"


# === Ranks ===


def test_a_rank_does_what_it_is_told():
    ours, theirs = Pipe()
    thread = Thread(target=serve, args=(theirs, Rank(SingleProcess())))
    thread.start()
    ours.send(TINY)
    loaded = ours.recv()
    assert loaded.gradient_bytes == gradient_bytes(build_model(TINY))
    ours.send(3)
    ran = ours.recv()
    ours.send(None)
    thread.join()
    assert ran.images == 6
    assert 0 < ran.waiting_s < ran.seconds
    assert ran.cpu_s > 0


def test_ranks_that_end_are_told_with_what_they_said():
    with (
        pytest.raises(JobFailedError, match="(?s)didn't start; fix what they say:.*no_such_home"),
        start_job("alone", [0], PYTHONHOME="/no_such_home"),
    ):
        pass


def test_a_rank_that_ends_is_told_and_nothing_is_left_running(tmp_path):
    log = tmp_path / "output.txt"
    log.write_text("Killed by the kernel.")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        job = Job(process, log)
        ours, theirs = Pipe()
        job._ranks[0] = ours
        job.tell(1)
        theirs.close()
        with pytest.raises(JobFailedError, match="A rank ended; fix.*\nKilled by the kernel."):
            job.answers()
        with pytest.raises(JobFailedError, match="A rank ended"):
            job.tell(1)
        job._ranks.clear()
        job.end()
        assert process.returncode == -signal.SIGTERM


def test_an_unknown_model_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["efficiency", "--models", "resnet", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert 'there is no model "resnet" for --models' in done.output


def test_a_workload_can_be_resized():
    assert resized(PAPER, None, None) == PAPER
    assert resized(PAPER, 64, 3) == replace(PAPER, tile=64, batch=3)


@pytest.mark.slow
def test_our_trainer_and_fit_are_timed(tmp_path):
    sizes = ["--seconds", "0.05", "--repetitions", "1", "--tile", "32", "--batch", "1"]
    done = CliRunner().invoke(app, ["overhead", *sizes, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (row,) = rows_of(tmp_path / "overhead.csv")
    assert row["model"] == "7.8 M, 1 x 32 px"
    assert float(row["fit ms"]) > 0
    assert float(row["overhead %"]) == pytest.approx(
        100 * (float(row["our trainer ms"]) / float(row["fit ms"]) - 1), abs=0.1
    )
    assert "Machine: " in (tmp_path / "overhead.md").read_text()


@pytest.mark.slow
def test_steps_with_and_without_a_tracker_are_timed(tmp_path, monkeypatch):
    trackers = [{"kind": "tensorboard", "tiles": 0}]  # A new database takes MLflow seconds.
    monkeypatch.setattr("benchmarks.training.tracking._TRACKERS", trackers)
    monkeypatch.setattr("benchmarks.training.tracking._QUIET", 0.1)
    sizes = ["--seconds", "0.05", "--repetitions", "1", "--tile", "32", "--batch", "1"]
    done = CliRunner().invoke(app, ["tracking", *sizes, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (row,) = rows_of(tmp_path / "tracking.csv")
    assert float(row["sending ms"]) > 0
    assert float(row["listeners ms"]) < float(row["tracked ms"])
    assert float(row["overhead %"]) == pytest.approx(
        100 * (float(row["tracked ms"]) / float(row["plain ms"]) - 1), abs=0.1
    )


# === One device ===


def test_a_device_is_known_by_its_name():
    for name, tflops in (
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
    ):
        device = gpu.known_device(name)
        assert device is not None
        assert device.tflops == tflops
    assert gpu.known_device("cpu") is None


def test_the_search_ends_where_a_larger_batch_is_no_faster_or_memory_ends():
    def speed_at(batch: int) -> gpu.Speed:
        if batch > 8:
            raise MemoryError("RESOURCE_EXHAUSTED: Out of memory")
        return gpu.Speed(batch, 0.01 + 0.001 * batch)

    assert [s.batch for s in gpu.search(speed_at, (1, 2, 4, 8, 16, 32))] == [1, 2, 4, 8]
    flat = gpu.search(lambda batch: gpu.Speed(batch, 0.001 * batch), (1, 2, 4))
    assert [s.batch for s in flat] == [1, 2]
    with pytest.raises(MemoryError):
        gpu.search(speed_at, (16,))
    line = gpu.line_through(gpu.search(speed_at, (1, 2, 4, 8)))
    assert line is not None
    assert (line.fixed_s, line.image_s) == (pytest.approx(0.01), pytest.approx(0.001))
    assert gpu.line_through(flat[:1]) is None


def test_a_step_whose_loss_is_not_a_number_has_no_speed():
    with pytest.raises(ArithmeticError, match="batch 2"):
        gpu.measure(lambda: nan, 2, 0.1, 1)


def test_one_device_is_measured_against_paper_and_limits(tmp_path, capsys):
    sizes = ["--batches", "1,2", "--tile", "32", "--filters", "4,8", "--dtype", "float32"]
    times = ["--seconds", "0.05", "--repetitions", "2"]
    limits = ["--peak-tflops", "0.001", "--terabytes", "0.001"]
    gpu.main([*sizes, *times, *limits, "--out", str(tmp_path)])
    text = (tmp_path / "gpu.md").read_text()
    assert text in capsys.readouterr().out
    assert "of the paper's A100" in text
    assert "Of 0.001 TFLOP/s: " in text
    record = json.loads((tmp_path / "gpu.json").read_text())
    rows = rows_of(tmp_path / "gpu.csv")
    assert len(rows) == len(record["speeds"])
    assert record["flops"] == training_flops(layer_costs(build_model(replace(TINY, tile=32))))


def test_predictions_are_plain_numbers():
    one = predict.predict(TRAINING, Cluster(NVLINK, NVLINK), 2)
    assert isinstance(one, Prediction)
    assert one.reduce_s == pytest.approx(allreduce_s(Cluster(NVLINK, NVLINK), 2, 40e6))
