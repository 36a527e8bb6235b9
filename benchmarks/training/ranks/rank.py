"""One rank of a measurement: it stays alive and does what the benchmark tells it.

    horovodrun --gloo -np 2 python -m benchmarks.training.ranks.rank SOCKET CORES

Importing TensorFlow takes ten seconds, so one rank does many measurements. `jobs.py` starts ranks
and stops all ranks that are not measured.
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Client, Connection
from typing import TYPE_CHECKING

from benchmarks.training.ranks.sockets import sent_bytes
from benchmarks.training.ranks.workload import (
    Loaded,
    Ran,
    Workload,
    endless,
    gradient_bytes,
    make_tiles,
    make_trainer,
)
from training.ranks.collective import open_collective
from training.ranks.launchers import launched_ranks
from training.ranks.port import Collective, SingleProcess

if TYPE_CHECKING:
    from training.step.trainer import Trainer

WARM_UP = 2
"""Steps after a model is made: TensorFlow traces the first, memory grows until the second."""


class Rank:
    """A rank and its current model."""

    def __init__(self, collective: Collective) -> None:
        self._collective = collective
        self._trainer: Trainer | None = None
        self._workload: Workload | None = None

    def load(self, workload: Workload) -> Loaded:
        """Make a model and take the steps of the warm-up."""
        self._workload = workload
        self._trainer = make_trainer(workload, self._collective)
        self._batches = endless(make_tiles(workload, seed=self._collective.rank))
        self._train(WARM_UP - 1)
        start = time.perf_counter()
        self._train(1)
        step_s = time.perf_counter() - start
        return Loaded(gradient_bytes(self._trainer.model), step_s)

    def run(self, steps: int) -> Ran:
        """Take one unmeasured step, then the measured steps."""
        assert self._workload is not None
        self._train(1)
        sent, cpu, start = sent_bytes(), time.process_time(), time.perf_counter()
        waiting_s = self._train(steps)
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        images = steps * self._workload.batch
        return Ran(images, seconds, cpu_s, waiting_s, sent_bytes() - sent)

    def _train(self, steps: int) -> float:
        """Take steps; return the seconds of waiting."""
        assert self._trainer is not None
        return sum(result.waiting_s for result in self._trainer.train(self._batches.take(steps)))


def serve(connection: Connection, rank: Rank) -> None:
    """Load workloads and run steps as the connection orders, until it sends no more orders."""
    while (order := connection.recv()) is not None:
        connection.send(rank.load(order) if isinstance(order, Workload) else rank.run(order))


def main() -> None:
    """Pin this process to its core, join the ranks, and serve."""
    address, *cores = sys.argv[1:]
    alone = launched_ranks()[1] == 1
    # Before TensorFlow starts, so that all its threads stay on the core.
    os.sched_setaffinity(0, {int(cores[0 if alone else _local_rank() % len(cores)])})
    from training.ranks.devices import configure_devices, import_tensorflow

    import_tensorflow()
    collective = SingleProcess() if alone else open_collective()
    configure_devices(collective)
    with Client(address, "AF_UNIX") as connection:
        connection.send((collective.rank, os.getpid()))
        serve(connection, Rank(collective))


def _local_rank() -> int:
    for variable in ("HOROVOD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"):
        if variable in os.environ:
            return int(os.environ[variable])
    return launched_ranks()[0]


if __name__ == "__main__":
    main()
