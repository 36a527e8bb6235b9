"""What launchers (horovodrun, mpirun, srun) tell a process, and what the process tells Horovod."""

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
    "prterun": "mpirun",  # The mpirun of Open MPI 5 starts prterun.
}
"""Programs that start ranks: name of the running program, and its name for people."""
_BEGINNINGS = ("--resume", "--overwrite")
_RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def launched_ranks(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Find rank and number of ranks from horovodrun, mpirun or srun; 0 and 1 without launcher.

    Slurm also sets its variables in shells and batch scripts. Only the tasks of a step that srun
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
    """Set the environment variables of Horovod from the recipe, before Horovod starts.

    Args:
        options: Section `training.horovod` of the recipe.
        environment: Variables that Horovod reads (https://horovod.readthedocs.io/en/stable, pages
            "Tensor Fusion", "Autotune" and "Timeline").
    """
    if options.fusion_mb is not None:
        environment["HOROVOD_FUSION_THRESHOLD"] = str(round(options.fusion_mb * 2**20))
    if options.autotune:
        environment["HOROVOD_AUTOTUNE"] = "1"
    if options.timeline is not None:
        # `Collective.start_timeline` starts the timeline when the model's folder exists.
        environment["HOROVOD_TIMELINE"] = "DYNAMIC"


def same_command(beginning: str | None = None) -> str:
    """Find the command that started this training, to show it to people; empty if unknown.

    Args:
        beginning: "--resume" or "--overwrite"; replaces both options in the command. None keeps the
            command as it is.
    """
    words = _starter(os.getppid())
    if words is None:
        if launched_ranks()[1] > 1:
            return ""  # Started by srun, or the launcher is on another machine.
        words = sys.argv
    if beginning is not None:
        words = [*(word for word in words if word not in _BEGINNINGS), beginning]
    if words[0].endswith(".py"):
        return shlex.join(["python", *words])
    return shlex.join([Path(words[0]).name, *words[1:]])


def _starter(pid: int) -> Sequence[str] | None:
    """Arguments of the outermost launcher above a process, from the launcher's name on."""
    found = None
    while pid > 1:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
            status = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, UnicodeDecodeError):
            break
        # If the launcher is a script, its name comes after the interpreter.
        at = next((i for i, word in enumerate(words[:2]) if Path(word).name in _STARTERS), None)
        if at is not None:
            name = _STARTERS[Path(words[at]).name]
            found = [words[at] if name.endswith(".py") else name, *words[at + 1 :]]
        pid = int(status.rpartition(")")[2].split()[1])
    return found
