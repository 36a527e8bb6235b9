"""How ranks wait for each other and exchange where they compute on the same cores, without GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

PROCESSOR_DEFAULTS: Mapping[str, str] = {
    # Milliseconds between two looks at what is ready. At Horovod's own 1 ms the ranks talk to each
    # other a thousand times a second also while there is nothing to reduce.
    "HOROVOD_CYCLE_TIME": "10",
    # Bytes that are packed to travel as one. Packing and unpacking is copying, by the core that
    # computes; it pays for small gradients only.
    "HOROVOD_FUSION_THRESHOLD": str(2**20),
    # The packs are always the same ones (`training.collective`); Horovod puts none together, which
    # would depend on timing.
    "HOROVOD_DISABLE_GROUP_FUSION": "1",
    # Open MPI waits by looking again and again, and takes half a core from the computing. Told to
    # yield, it sleeps between two looks; nanoseconds.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_threads_pthreads_yield_strategy": "nanosleep",
    "OMPI_MCA_threads_pthreads_nanosleep_time": "500000",
}
"""Variables that Horovod and Open MPI 5 read when they start. Sources: Horovod's page "Tensor
Fusion"; `ompi_info --all` on `mpi_yield_when_idle` and on the framework `threads`."""


def set_processor_defaults(environment: MutableMapping[str, str] = os.environ) -> int:
    """Set what the user hasn't. For ranks on processors: GPUs leave the cores free.

    Returns:
        Bytes of gradients that are packed to travel as one.
    """
    for variable, value in PROCESSOR_DEFAULTS.items():
        environment.setdefault(variable, value)
    return int(environment["HOROVOD_FUSION_THRESHOLD"])
