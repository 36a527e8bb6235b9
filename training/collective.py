"""What ranks do together: a small port, with one process or Horovod behind it.

Nothing else imports Horovod. Its wrapped optimizer, tape and callbacks don't know Keras 3 (horovod
issue 4290); its plain operations do all that is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polynya.errors import MissingDependencyError

_SIZE_VARIABLES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


class Collective(Protocol):
    """Ranks 0..size-1 that call the same methods in the same order."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def local_rank(self) -> int:
        """Rank among the processes of this machine."""
        ...

    @property
    def local_size(self) -> int: ...

    def sum(self, value: ArrayLike) -> NDArray[Any]:
        """Element-wise sum over the ranks; every rank gets it. Keeps shape and dtype."""
        ...

    def average(self, value: ArrayLike) -> NDArray[Any]:
        """Element-wise mean over the ranks, in floating point."""
        ...

    def broadcast(self, value: Any) -> Any:
        """The picklable object of rank 0, on every rank."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """The picklable objects of all ranks, in the order of ranks, on every rank."""
        ...

    def barrier(self) -> None:
        """Wait until every rank is here."""
        ...

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        """Set Keras variables to their values on rank 0."""
        ...

    def sum_tensors(self, tensors: Sequence[Any], name: str) -> list[Any]:
        """Sum of each TensorFlow tensor over the ranks, inside or outside a `tf.function`.

        One operation a tensor, all asynchronous: Horovod starts with those that are ready first
        (the gradients of the last layers) while the backward pass goes on, and fuses small ones.
        `name` must be the same on every rank and differ between calls of one step.
        """
        ...


class SingleProcess:
    """One rank, without Horovod."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    def sum(self, value: ArrayLike) -> NDArray[Any]:
        return np.asarray(value)

    def average(self, value: ArrayLike) -> NDArray[Any]:
        return np.asarray(value, np.result_type(np.asarray(value), np.float32))

    def broadcast(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def barrier(self) -> None:
        return None

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        return None

    def sum_tensors(self, tensors: Sequence[Any], name: str) -> list[Any]:
        return list(tensors)


class HorovodRanks:
    """The ranks of a Horovod job. Make one a process."""

    def __init__(self, hvd: Any) -> None:
        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()
        self.local_size: int = hvd.local_size()

    def sum(self, value: ArrayLike) -> NDArray[Any]:
        result: NDArray[Any] = self._hvd.allreduce(np.asarray(value), op=self._hvd.Sum).numpy()
        return result

    def average(self, value: ArrayLike) -> NDArray[Any]:
        value = np.asarray(value)
        return self.sum(value.astype(np.result_type(value, np.float32))) / self.size

    def broadcast(self, value: Any) -> Any:
        return self._hvd.broadcast_object(value, root_rank=0)

    def gather(self, value: Any) -> list[Any]:
        values: list[Any] = self._hvd.allgather_object(value)
        return values

    def barrier(self) -> None:
        self.sum(np.zeros(1, np.float32))

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        for index, variable in enumerate(variables):
            variable.assign(
                self._hvd.broadcast(variable.value, root_rank=0, name=f"variable.{index}")
            )

    def sum_tensors(self, tensors: Sequence[Any], name: str) -> list[Any]:
        return [
            self._hvd.allreduce(tensor, op=self._hvd.Sum, name=f"{name}.{index}")
            for index, tensor in enumerate(tensors)
        ]


def launched_ranks(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Rank and number of ranks that horovodrun or mpirun gave this process; else 0 and 1."""
    rank = next((environment[v] for v in _RANK_VARIABLES if v in environment), "0")
    size = next((environment[v] for v in _SIZE_VARIABLES if v in environment), "1")
    return int(rank), int(size)


def open_collective() -> Collective:
    """The ranks of this job: Horovod where a launcher started more than one process.

    Raises:
        MissingDependencyError: More than one process, but no Horovod.
    """
    _, size = launched_ranks()
    if size == 1:
        return SingleProcess()
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise MissingDependencyError(
            f"{size} ranks were launched but Horovod can't be imported ({error}); build it with"
            " 'make setup', or start one rank with: python training/train.py"
        ) from None
    return HorovodRanks(hvd)
