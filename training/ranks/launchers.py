"""What launchers (horovodrun, mpirun, srun) tell a process, and what Horovod is told by it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

from polynya.errors import PolynyaError
from polynya.recipe.training import HorovodOptions

_SIZE_VARIABLES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_STARTERS = {
    **{name: name for name in ("horovodrun", "mpirun", "mpiexec", "supervise.py")},
    "prterun": "mpirun",  # What that of Open MPI 5 becomes.
}
"""Programs among whose descendants ranks are, by what runs; their names for people."""
_BEGINNINGS = ("--resume", "--overwrite")
_RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def launched_ranks(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Rank and number of ranks that horovodrun, mpirun or srun gave this process; else 0 and 1.

    Slurm sets its variables in shells and batch scripts too. Only the tasks of a step that srun
    started without a terminal of its own are ranks (https://slurm.schedmd.com/srun.html, "OUTPUT
    ENVIRONMENT VARIABLES").

    Raises:
        PolynyaError: srun started many tasks that can't find each other.
    """
    rank = next((environment[v] for v in _RANK_VARIABLES if v in environment), None)
    size = next((environment[v] for v in _SIZE_VARIABLES if v in environment), None)
    if rank is not None and size is not None:
        return int(rank), int(size)
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 or "SLURM_PTY_PORT" in environment:
        return 0, 1
    if not {"PMIX_RANK", "PMI_RANK"} & set(environment):
        raise PolynyaError(
            f"srun started {tasks} tasks without MPI, so they can't find each other; start them"
            " with: srun --mpi=pmix."
        )
    return int(environment["SLURM_PROCID"]), tasks


def set_horovod_environment(
    options: HorovodOptions, environment: MutableMapping[str, str] = os.environ
) -> None:
    """Tell Horovod what the recipe says, before it starts.

    Args:
        options: The recipe's section.
        environment: Where Horovod reads it (https://horovod.readthedocs.io/en/stable, pages
            "Tensor Fusion", "Autotune" and "Timeline").
    """
    if options.fusion_mb is not None:
        environment["HOROVOD_FUSION_THRESHOLD"] = str(round(options.fusion_mb * 2**20))
    if options.autotune:
        environment["HOROVOD_AUTOTUNE"] = "1"
    if options.timeline is not None:
        # It starts when the model's folder is there: `Collective.start_timeline`.
        environment["HOROVOD_TIMELINE"] = "DYNAMIC"


def same_command(beginning: str | None = None) -> str:
    """The command that started this training, for people to give again; empty if it isn't known.

    Args:
        beginning: "--resume" or "--overwrite", in place of those that it has; None leaves it.
    """
    words = _starter(os.getppid())
    if words is None:
        if launched_ranks()[1] > 1:
            return ""  # By srun, or on another machine than its launcher.
        words = sys.argv
    if beginning is not None:
        words = [*(word for word in words if word not in _BEGINNINGS), beginning]
    if words[0].endswith(".py"):
        return shlex.join(["python", *words])
    return shlex.join([Path(words[0]).name, *words[1:]])


def _starter(pid: int) -> Sequence[str] | None:
    """Arguments of the outermost launcher above a process, from its own name on."""
    found = None
    while pid > 1:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
            status = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, UnicodeDecodeError):
            break
        # A script comes behind its interpreter.
        at = next((i for i, word in enumerate(words[:2]) if Path(word).name in _STARTERS), None)
        if at is not None:
            name = _STARTERS[Path(words[at]).name]
            found = [words[at] if name.endswith(".py") else name, *words[at + 1 :]]
        pid = int(status.rpartition(")")[2].split()[1])
    return found
