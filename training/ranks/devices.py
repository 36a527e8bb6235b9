"""What a rank may use of its machine."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from polynya.environment import install_command, settle_keras
from polynya.errors import MissingDependencyError, reason_of

if TYPE_CHECKING:
    from training.ranks.port import Collective

_KERAS = ("tensorflow", "channels_last", "float32", "float32")
"""Back end, order of axes, precision and policy of layers that models are made for."""

_MALLOC_DEFAULTS: Mapping[int, int] = {
    -3: 1 << 30,  # M_MMAP_THRESHOLD: blocks up to 1 GiB come from what the process has already
    -1: (1 << 31) - 1,  # M_TRIM_THRESHOLD: and what is freed stays, up to 2 GiB of it
    -2: 1 << 28,  # M_TOP_PAD: where more is needed, 256 MiB are taken at once
}
"""Parameters of glibc's malloc (man 3 mallopt) and bytes. By itself it hands every block above
32 MiB back to the system when it is freed, as large gradients are in each step, and the system
clears each page before it comes again."""


def import_tensorflow() -> None:
    """Import TensorFlow as Keras' back end, without its greeting and with Keras' own defaults.

    What other projects have set (KERAS_BACKEND, keras.json) doesn't count.

    Raises:
        MissingDependencyError: It isn't installed, or this process has imported a Keras that runs
            otherwise.
    """
    settle_keras()
    # TensorFlow 2.21 praises its CPU instructions before it looks at that level.
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
    """Cores of this process shared among the ranks of the machine, at least one."""
    return max(1, len(os.sched_getaffinity(0)) // local_size)


def configure_devices(collective: Collective) -> int:
    """Give this rank its share of the cores and, where there are GPUs, one by its local rank.

    Call it before TensorFlow's first operation.

    Returns:
        Threads of this rank.
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
    """Let the next step have the memory of the last one; malloc of another C library is left be."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, size in _MALLOC_DEFAULTS.items():
            mallopt(parameter, size)
