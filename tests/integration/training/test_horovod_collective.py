"""The port to Horovod, on two real ranks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.programs.launch import launch

# What each rank does; rank 0 prints what every rank saw.
SCRIPT = """
import json
from training.ranks.devices import configure_devices, import_tensorflow
import_tensorflow()
import keras, numpy as np, tensorflow as tf
from polynya.recipe.training import HorovodOptions
from training.ranks.collective import HorovodRanks, open_collective
ranks = open_collective()
threads = configure_devices(ranks)
me = ranks.rank
keras.utils.set_random_seed(me)
dense = keras.layers.Dense(2)
dense.build((None, 3))
before = float(dense.kernel.value[0, 0])
ranks.broadcast_variables(dense.weights)

@tf.function
def summed(x):
    return ranks.sum_tensors([x, 2.0 * x], name="test")

import horovod.tensorflow as hvd
gradients = [tf.range(9001.0) / 64 + me, tf.constant([[1.0, 2.0], [3.0, 4.0]]) * (1 + me)]
reduced, sizes = {}, {}
for compression, reduction in (
    ("none", "sum"), ("fp16", "sum"), ("bf16", "sum"), ("none", "adasum")
):
    some = HorovodRanks(hvd, HorovodOptions(compression=compression, reduction=reduction))
    name = f"{compression}-{reduction}"

    @tf.function
    def reduce():
        return some.reduce_gradients(gradients, name)

    reduced[name] = [t.numpy().ravel()[-4:].tolist() for t in reduce()]
    sizes[name] = some.wire_bytes(gradients)

ranks.barrier()
seen = {
    "reduced": reduced, "sizes": sizes,
    "rank": me, "size": ranks.size, "local": [ranks.local_rank, ranks.local_size],
    "threads": threads,
    "sum": ranks.sum(np.array([[1, me]])).tolist(),
    "sum_dtype": str(ranks.sum(np.array([1])).dtype),
    "large_sum": int(ranks.sum(np.array(2**40 + 1))),
    "average": ranks.average(np.array([me, 3])).tolist(),
    "broadcast": ranks.broadcast({"from": me}),
    "tensors": [t.numpy().tolist() for t in summed(tf.constant([1.0 + me, 10.0]))],
    "before": before, "after": float(dense.kernel.value[0, 0]),
}
everything = ranks.gather(seen)
if me == 0:
    print("SEEN " + json.dumps(everything))
"""


def test_two_ranks_exchange_values(tmp_path: Path) -> None:
    script = tmp_path / "exchange.py"
    script.write_text(SCRIPT)
    bin_folder = Path(sys.executable).parent
    result = launch(
        [str(bin_folder / "horovodrun"), "-np", "2", sys.executable, str(script)],
        env={
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            # Plain horovodrun starts Open MPI, which refuses to run as root unless told twice.
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        },
        cwd=tmp_path,
        timeout=600,
    )
    lines = [line for line in result.stdout.splitlines() if "SEEN " in line]
    assert len(lines) == 1, result.stdout + result.stderr
    first, second = json.loads(lines[0].split("SEEN ", 1)[1])
    assert (first["rank"], second["rank"]) == (0, 1)
    assert (first["local"], second["local"]) == ([0, 2], [1, 2])
    assert first["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)
    assert first["before"] != second["before"]
    assert first["after"] == second["after"] == first["before"]
    for seen in (first, second):
        assert seen["size"] == 2
        assert seen["sum"] == [[2, 1]]
        assert seen["sum_dtype"] == "int64"
        assert seen["large_sum"] == 2 * (2**40 + 1)
        assert seen["average"] == [0.5, 3.0]
        assert seen["broadcast"] == {"from": 0}
        assert seen["tensors"] == [[3.0, 20.0], [6.0, 40.0]]
        _check_gradients(seen["reduced"], seen["sizes"])


def _check_gradients(reduced: dict[str, list[list[float]]], sizes: dict[str, int]) -> None:
    """9001 and 4 elements; the last ones are asked for, a row that ranks agree on among them."""
    last = 2 * np.arange(8997, 9001) / 64 + 1
    assert reduced["none-sum"][0] == pytest.approx(last, rel=1e-6)
    assert reduced["fp16-sum"][0] == pytest.approx(last, rel=1e-3)
    assert reduced["bf16-sum"][0] == pytest.approx(last, rel=1e-2)
    for name in ("none-sum", "fp16-sum", "bf16-sum"):
        assert reduced[name][1] == [3.0, 6.0, 9.0, 12.0]
    # Parallel gradients are averaged.
    assert reduced["none-adasum"][1] == pytest.approx([1.5, 3.0, 4.5, 6.0])
    assert sizes == {
        "none-sum": 4 * 9005,
        "none-adasum": 4 * 9005,
        "fp16-sum": 2 * 9005,
        "bf16-sum": 2 * 9001 + 4 * 4,
    }
