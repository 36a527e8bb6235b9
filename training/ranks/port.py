"""What ranks do together: a small interface, implemented for one process and for Horovod."""

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
        """Number of this rank among the ranks of this machine."""
        ...

    @property
    def local_size(self) -> int: ...

    @property
    def adasum(self) -> bool:
        """Whether `reduce_gradients` combines mean gradients by Adasum instead of adding sums."""
        ...

    def sum(self, value: ArrayLike) -> NDArray[Any]:
        """Sum element-wise over the ranks; every rank gets the sum. Keeps shape and dtype."""
        ...

    def average(self, value: ArrayLike) -> NDArray[Any]:
        """Average element-wise over the ranks, in floating point."""
        ...

    def broadcast(self, value: Any) -> Any:
        """Return the picklable object of rank 0, on every rank."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Return the picklable objects of all ranks, in the order of ranks, on every rank."""
        ...

    def barrier(self) -> None:
        """Wait until every rank has called this method."""
        ...

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        """Set Keras variables to their values on rank 0."""
        ...

    def sum_tensors(self, tensors: Sequence[Any], name: str) -> list[Any]:
        """Sum each TensorFlow tensor over the ranks, inside or outside a `tf.function`.

        The sums are asynchronous: Horovod starts with the tensors that are ready first (the
        gradients of the last layers) while the backward pass goes on. Small tensors are sent
        together. `name` must be the same on every rank and differ between calls of one step.
        """
        ...

    def reduce_gradients(self, gradients: Sequence[Any], name: str) -> list[Any]:
        """Sum gradients like `sum_tensors`, with Adasum or compression if the recipe says so."""
        ...

    def wire_bytes(self, gradients: Sequence[Any]) -> int:
        """Count the bytes of these tensors as `reduce_gradients` sends them; 0 with one rank.

        A ring moves 2 (size - 1) / size times as many through each rank (P. Patarasuk and X. Yuan,
        "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
        """
        ...

    def start_timeline(self, path: Path) -> None:
        """Begin Horovod's timeline; without Horovod do nothing.

        Call `set_horovod_environment` before Horovod starts.
        """
        ...

    def stop_timeline(self) -> None:
        """End Horovod's timeline; then its file is complete."""
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
