"""The ranks of a Horovod job, as a `training.ranks.port.Collective`.

No other module imports Horovod. Horovod's optimizer, tape and callbacks don't work with Keras 3
(horovod issue 4290), so this module uses only its plain operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polynya.errors import MissingDependencyError, RecipeError
from polynya.recipe.training import HorovodOptions
from training.errors import RankLostError
from training.ranks.cpu_defaults import set_processor_defaults
from training.ranks.devices import has_gpu
from training.ranks.launchers import launched_ranks, set_horovod_environment
from training.ranks.port import Collective, SingleProcess

_FEW_ELEMENTS = 4096
"""With the compression bf16, tensors with fewer elements stay float32. A bfloat16 exchange is two
operations that Horovod doesn't fuse; for few elements they cost more time than the bytes save."""


class HorovodRanks:
    """The ranks of a Horovod job. Make one object per process.

    Args:
        hvd: The module `horovod.tensorflow`.
        options: Reduction and compression of gradients.
        pack_bytes: Greatest size of a pack of tensors that are sent together; a larger tensor is
            sent alone. The packs are the same in each step, so sums are the same to the last bit
            for any number of ranks. None: Horovod packs the tensors that are ready.

    Raises:
        RecipeError: The recipe asks for Adasum, but these ranks can't do it.
    """

    def __init__(
        self, hvd: Any, options: HorovodOptions | None = None, pack_bytes: int | None = None
    ) -> None:
        hvd.init()
        options = options or HorovodOptions()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()
        self.local_size: int = hvd.local_size()
        self.adasum = options.reduction == "adasum"
        self.compression = options.compression
        self._pack_bytes = pack_bytes
        if self.adasum and (not hvd.mpi_enabled() or self.size & (self.size - 1)):
            raise RecipeError(
                "The recipe's key 'training.horovod.reduction' is adasum, but Horovod has adasum"
                f" only for MPI and 2, 4, 8 .. ranks, and this job has {self.size} ranks"
                f" {'with' if hvd.mpi_enabled() else 'without'} MPI; start them with: mpirun -np 2,"
                " or set it to sum."
            )

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
        return self._sum(tensors, name, self._hvd.Compression.none)

    def _sum(self, tensors: Sequence[Any], name: str, compression: Any) -> list[Any]:
        how = {"op": self._hvd.Sum, "compression": compression}
        if self._pack_bytes is None:
            return [
                self._hvd.allreduce(tensor, name=f"{name}.{index}", **how)
                for index, tensor in enumerate(tensors)
            ]
        sums: list[Any] = []
        for number, pack in enumerate(make_packs([_bytes(t) for t in tensors], self._pack_bytes)):
            packed = [tensors[index] for index in pack]
            sums += self._hvd.grouped_allreduce(packed, name=f"{name}.{number}", **how)
        return sums

    def reduce_gradients(self, gradients: Sequence[Any], name: str) -> list[Any]:
        half = self.compression == "fp16"
        compression = self._hvd.Compression.fp16 if half else self._hvd.Compression.none
        if self.adasum:
            return [
                self._hvd.allreduce(
                    gradient, op=self._hvd.Adasum, compression=compression, name=f"{name}.{index}"
                )
                for index, gradient in enumerate(gradients)
            ]
        if self.compression == "bf16":
            return self._sum_bfloat16s(gradients, name)
        return self._sum(gradients, name, compression)

    def _sum_bfloat16s(self, tensors: Sequence[Any], name: str) -> list[Any]:
        few = [index for index, t in enumerate(tensors) if _elements(t) < _FEW_ELEMENTS]
        sums = self.sum_tensors([tensors[index] for index in few], f"{name}.few")
        sum_of = dict(zip(few, sums, strict=True))
        return [
            sum_of[index] if index in sum_of else self._sum_bfloat16(tensor, f"{name}.{index}")
            for index, tensor in enumerate(tensors)
        ]

    def _sum_bfloat16(self, tensor: Any, name: str) -> Any:
        """Sum a float32 tensor over the ranks; the tensor is sent as bfloat16.

        Horovod's allreduce for TensorFlow can't sum bfloat16. So this method does both halves of a
        ring, with the same number of bytes. Each rank receives one part of the tensor from all
        ranks, adds these in float32, and sends the sum to all ranks.
        """
        import tensorflow as tf

        elements = _elements(tensor)
        part = -(-elements // self.size)
        flat = tf.pad(tf.reshape(tensor, [-1]), [[0, part * self.size - elements]])
        words = tf.bitcast(tf.cast(flat, tf.bfloat16), tf.uint16)
        received = self._hvd.alltoall(words, name=f"{name}.parts")
        parts = tf.reshape(tf.bitcast(received, tf.bfloat16), [self.size, part])
        total = tf.cast(tf.reduce_sum(tf.cast(parts, tf.float32), axis=0), tf.bfloat16)
        words = self._hvd.allgather(tf.bitcast(total, tf.uint16), name=f"{name}.sums")
        flat = tf.cast(tf.bitcast(words, tf.bfloat16), tensor.dtype)[:elements]
        return tf.reshape(flat, tensor.shape)

    def wire_bytes(self, gradients: Sequence[Any]) -> int:
        def bytes_of(gradient: Any) -> int:
            elements = _elements(gradient)
            small = self.compression == "bf16" and elements < _FEW_ELEMENTS
            return elements * (4 if small or self.compression == "none" else 2)

        return sum(bytes_of(gradient) for gradient in gradients)

    def start_timeline(self, path: Path) -> None:
        self._hvd.start_timeline(str(path))

    def stop_timeline(self) -> None:
        self._hvd.stop_timeline()
        # The timeline ends in a later cycle of Horovod's own thread; an exchange takes some cycles.
        self.barrier()


def make_packs(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Divide a sequence into packs of neighbours.

    Args:
        sizes: Bytes of each member.
        most: Greatest size of a pack in bytes; a larger member is a pack by itself.

    Returns:
        Indices of the members of each pack, in order, each exactly once.
    """
    packs: list[list[int]] = []
    room = 0
    for index, size in enumerate(sizes):
        if not packs or size > room:
            packs.append([])
            room = most
        packs[-1].append(index)
        room -= size
    return packs


def _elements(tensor: Any) -> int:
    return math.prod(tensor.shape)


def _bytes(tensor: Any) -> int:
    return _elements(tensor) * int(tensor.dtype.size)


def open_collective(options: HorovodOptions | None = None) -> Collective:
    """Open the ranks of this job: Horovod if a launcher started more than one process.

    Args:
        options: Options of the exchange between ranks.

    Raises:
        MissingDependencyError: There is more than one process, but no Horovod.
        RecipeError: These ranks can't do what the options ask for.
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
    set_horovod_environment(options or HorovodOptions())
    return HorovodRanks(hvd, options, None if has_gpu() else set_processor_defaults())


@contextmanager
def exchanging() -> Iterator[None]:
    """Turn Horovod's errors about a lost rank into one error with a clear sentence.

    Raises:
        RankLostError: Another rank ended during an exchange, by any class of error from Horovod.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:
        if "horovod" not in str(error).lower():
            raise
        raise RankLostError(
            "A rank of this job has ended, so the others can't go on; start the same command with"
            " --resume, on the ranks that are left, to go on from the last checkpoint."
        ) from error
