"""How ranks wait for each other, where those that wait and those that compute share the cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

IDLE_DEFAULTS: Mapping[str, str] = {
    # Milliseconds between two looks at what is ready. At Horovod's own 1 ms the ranks talk to each
    # other a thousand times a second also while there is nothing to reduce.
    "HOROVOD_CYCLE_TIME": "10",
    # Open MPI waits by looking again and again, and takes half a core from the computing. Told to
    # yield, it sleeps between two looks; nanoseconds.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_threads_pthreads_yield_strategy": "nanosleep",
    "OMPI_MCA_threads_pthreads_nanosleep_time": "500000",
}
"""Variables that Horovod and Open MPI 5 read when they start. Sources: Horovod's page "Tensor
Fusion"; `ompi_info --all` on `mpi_yield_when_idle` and on the framework `threads`."""


def wait_without_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what the user hasn't. For ranks on processors: GPUs leave the cores free to look."""
    for variable, value in IDLE_DEFAULTS.items():
        environment.setdefault(variable, value)
