"""How ranks wait for each other and exchange where they compute on the same cores, without GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from polynya.errors import PolynyaError

PROCESSOR_DEFAULTS: Mapping[str, str] = {
    # Milliseconds between two looks at what is ready. At Horovod's own 1 ms the ranks talk to each
    # other a thousand times a second also while there is nothing to reduce.
    "HOROVOD_CYCLE_TIME": "10",
    # Bytes that are packed to travel as one. Packing and unpacking is copying, by the core that
    # computes; it pays for small gradients only.
    "HOROVOD_FUSION_THRESHOLD": str(2**20),
    # The packs are always the same ones (`training.ranks.collective`); Horovod puts none together,
    # which would depend on timing.
    "HOROVOD_DISABLE_GROUP_FUSION": "1",
    # Open MPI waits by looking again and again, and takes half a core from the computing. Told to
    # yield, it sleeps between two looks; nanoseconds.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_threads_pthreads_yield_strategy": "nanosleep",
    "OMPI_MCA_threads_pthreads_nanosleep_time": "500000",
}
"""Variables that Horovod and Open MPI 5 read when they start. Sources: Horovod's page "Tensor
Fusion"; `ompi_info --all` on `mpi_yield_when_idle` and on the framework `threads`."""


def set_processor_defaults(environment: MutableMapping[str, str] = os.environ) -> int | None:
    """Set what the user hasn't. For ranks on processors: GPUs leave the cores free.

    Where Horovod is to look for its own best settings, its variables stay unset: it looks for none
    that is set.

    Returns:
        Bytes of gradients that are packed to travel as one; None: Horovod packs.

    Raises:
        PolynyaError: The user's packs have no size.
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
            f"The variable HOROVOD_FUSION_THRESHOLD is '{size}', which is no number of bytes; set"
            " it to one such as 1048576, or unset it."
        )
    return int(size)
