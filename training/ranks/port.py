"""What ranks do together: a small port, with one process or Horovod behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

    @property
    def adasum(self) -> bool:
        """Whether `reduce_gradients` combines the ranks' mean gradients and doesn't add sums."""
        ...

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

        All asynchronous: Horovod starts with those that are ready first (the gradients of the last
        layers) while the backward pass goes on. Small ones travel together.
        `name` must be the same on every rank and differ between calls of one step.
        """
        ...

    def reduce_gradients(self, gradients: Sequence[Any], name: str) -> list[Any]:
        """`sum_tensors` for gradients: Adasum and compression as the recipe asks for them."""
        ...

    def wire_bytes(self, gradients: Sequence[Any]) -> int:
        """Bytes of these tensors as `reduce_gradients` sends them; 0 where it sends nothing.

        A ring moves 2 (size - 1) / size times as many through each rank (P. Patarasuk and X. Yuan,
        "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
        """
        ...

    def start_timeline(self, path: Path) -> None:
        """Begin Horovod's timeline, if there is Horovod; `set_horovod_environment` allowed it."""
        ...

    def stop_timeline(self) -> None:
        """End it; the file is whole then."""
        ...


class SingleProcess:
    """One rank, without Horovod."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    adasum = False

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

    def reduce_gradients(self, gradients: Sequence[Any], name: str) -> list[Any]:
        return list(gradients)

    def wire_bytes(self, gradients: Sequence[Any]) -> int:
        return 0

    def start_timeline(self, path: Path) -> None:
        return None

    def stop_timeline(self) -> None:
        return None
