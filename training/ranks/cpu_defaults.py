"""Settings for the exchange between ranks without GPUs, where waiting and computing share cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from polynya.errors import PolynyaError

PROCESSOR_DEFAULTS: Mapping[str, str] = {
    # Milliseconds between two checks for ready tensors. With Horovod's default of 1 ms, the ranks
    # exchange messages a thousand times per second, even if there is nothing to reduce.
    "HOROVOD_CYCLE_TIME": "10",
    # Bytes of a pack of tensors that are sent together. The computing core copies the tensors to
    # pack and unpack them, so packing saves time only for small gradients.
    "HOROVOD_FUSION_THRESHOLD": str(2**20),
    # `training.ranks.collective` makes packs that are always the same. Horovod must not merge them,
    # because merging depends on timing.
    "HOROVOD_DISABLE_GROUP_FUSION": "1",
    # Open MPI waits in a busy loop, which takes half a core from the computing. With these
    # variables it sleeps between two checks; the time is in nanoseconds.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_threads_pthreads_yield_strategy": "nanosleep",
    "OMPI_MCA_threads_pthreads_nanosleep_time": "500000",
}
"""Environment variables that Horovod and Open MPI 5 read at start. Sources: Horovod's page "Tensor
Fusion"; `ompi_info --all` on `mpi_yield_when_idle` and on the framework `threads`."""


def set_processor_defaults(environment: MutableMapping[str, str] = os.environ) -> int | None:
    """Set the variables that the user has not set. Only for ranks on CPUs: GPUs leave cores free.

    If Horovod's autotuning is on, Horovod's variables stay unset: it doesn't tune a variable that
    is set.

    Returns:
        Bytes of a pack of gradients that are sent together; None if Horovod packs.

    Raises:
        PolynyaError: The user's pack size is not a number.
    """
    tuned = environment.get("HOROVOD_AUTOTUNE") == "1"
    for variable, value in PROCESSOR_DEFAULTS.items():
        if not (tuned and variable.startswith("HOROVOD_")):
            environment.setdefault(variable, value)
    if tuned:
        return None
    size = environment["HOROVOD_FUSION_THRESHOLD"]
    if not size.isdecimal():
        raise PolynyaError(
            f"The variable HOROVOD_FUSION_THRESHOLD is '{size}', which is not a number of bytes;"
            " set it to a number such as 1048576, or unset it."
        )
    return int(size)
