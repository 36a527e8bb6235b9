"""Ranks as threads of one process, for tests of what ranks do together without Horovod."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from training.ranks.port import SingleProcess

T = TypeVar("T")
_SECONDS = 60


class ThreadRank(SingleProcess):
    """One of `size` threads; exchanges Python objects with the others."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, board: list[Any]) -> None:
        self.rank, self.size = rank, size
        self.local_rank, self.local_size = rank, size
        self._barrier = barrier
        self._board = board

    def gather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait(_SECONDS)
        values = list(self._board)
        self._barrier.wait(_SECONDS)
        return values

    def sum(self, value: Any) -> Any:
        return np.sum(np.stack(self.gather(np.asarray(value))), axis=0)

    def average(self, value: Any) -> Any:
        return self.sum(value) / self.size

    def sum_tensors(self, tensors: Sequence[Any], name: str) -> list[Any]:
        """Outside of graphs only: a test runs functions eagerly."""
        import tensorflow as tf

        return [tf.constant(self.sum(tensor.numpy())) for tensor in tensors]

    def reduce_gradients(self, gradients: Sequence[Any], name: str) -> list[Any]:
        return self.sum_tensors(gradients, name)

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        for variable in variables:
            variable.assign(self.broadcast(variable.value.numpy()))

    def broadcast(self, value: Any) -> Any:
        return self.gather(value)[0]

    def barrier(self) -> None:
        self.gather(None)


def on_ranks(size: int, task: Callable[[ThreadRank], T]) -> list[T | BaseException]:
    """Run a task on every rank at once; what each returned or raised."""
    barrier, board = threading.Barrier(size), [None] * size
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(task, ThreadRank(r, size, barrier, board)) for r in range(size)]
        return [future.exception() or future.result() for future in futures]
