"""The share of a machine that a rank may use: cores, GPU, memory."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from polynya.environment import install_command, settle_keras
from polynya.errors import MissingDependencyError, reason_of

if TYPE_CHECKING:
    from training.ranks.port import Collective

_KERAS = ("tensorflow", "channels_last", "float32", "float32")
"""Keras' back end, order of axes, precision and dtype policy that models need."""

_MALLOC_DEFAULTS: Mapping[int, int] = {
    -3: 1 << 30,  # M_MMAP_THRESHOLD: blocks up to 1 GiB come from the memory of the process
    -1: (1 << 31) - 1,  # M_TRIM_THRESHOLD: the process keeps up to 2 GiB of freed memory
    -2: 1 << 28,  # M_TOP_PAD: the process takes 256 MiB at once if it needs more
}
"""Parameters of glibc's malloc (man 3 mallopt), in bytes. By default, malloc returns every freed
block above 32 MiB to the system, and the system clears each page before it gives it out again. Each
step frees large gradients, so this costs time."""


def _tells_users_something(record: logging.LogRecord) -> bool:
    """Whether a line of TensorFlow's log is for users: each new model is compiled once more."""
    return "triggered tf.function retracing" not in str(record.msg)


def import_tensorflow() -> None:
    """Import TensorFlow as Keras' back end, without start-up messages and with Keras' defaults.

    Settings of other projects (KERAS_BACKEND, keras.json) are ignored.

    Raises:
        MissingDependencyError: TensorFlow isn't installed, or this process has already imported
            Keras with other settings.
    """
    settle_keras()
    # TensorFlow 2.21 prints a line about CPU instructions before it reads the log level.
    with open(os.devnull, "w") as nowhere:
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            import keras
            import tensorflow  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"TensorFlow can't be imported ({reason_of(error)}); install it with:"
                f" {install_command('train')}"
            ) from None
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    logging.getLogger("tensorflow").addFilter(_tells_users_something)
    runs = (
        keras.config.backend(),
        keras.config.image_data_format(),
        keras.config.floatx(),
        keras.config.dtype_policy().name,
    )
    if runs != _KERAS:
        raise MissingDependencyError(
            f"Keras was imported with {', '.join(runs)} in this process and Polynya needs"
            f" {', '.join(_KERAS)}; open the model before anything imports Keras, or start with"
            " KERAS_BACKEND=tensorflow KERAS_HOME=/dev/null."
        )


def has_gpu() -> bool:
    """Whether TensorFlow can use a GPU of this machine."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def threads_per_rank(local_size: int) -> int:
    """Divide the cores of this process among the ranks of the machine; at least one per rank."""
    return max(1, len(os.sched_getaffinity(0)) // local_size)


def configure_devices(collective: Collective) -> int:
    """Give this rank its share of the cores and, if there are GPUs, one GPU by its local rank.

    Call it before TensorFlow's first operation.

    Returns:
        Number of threads of this rank.
    """
    import tensorflow as tf

    threads = threads_per_rank(collective.local_size)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        own = gpus[collective.local_rank % len(gpus)]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)
    else:
        keep_freed_memory()
    return threads


def keep_freed_memory() -> None:
    """Keep freed memory for the next step. This does nothing without glibc's malloc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, size in _MALLOC_DEFAULTS.items():
            mallopt(parameter, size)
