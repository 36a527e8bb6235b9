"""Keep a training going when ranks are lost: start again from the last checkpoint on fewer ranks.

python training/supervise.py --ranks 3 --min-ranks 2 --shards DIR --out DIR [--recipe FILE]
python training/supervise.py --ranks 16 --min-ranks 4 --hosts-script ./hosts.sh --shards ...

There is no new start after an error of the training (a wrong recipe, a loss that is not finite), or
after a request to stop.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polynya.cli import run_script
from polynya.errors import EXIT_CODE, OutputError, PolynyaError
from polynya.progress import console
from polynya.storage.locks import BEAT, STALE, locked
from training.errors import RankLostError
from training.model_folder import checkpoints
from training.run import ending
from training.run.ending import STOPPED_EXIT_CODE, StopRequest

_TRAIN = Path(__file__).with_name("train.py")
_FAILED_STARTS = 3
"""Starts in a row without a new checkpoint after which the supervisor gives up: somebody must look
for the cause."""


@dataclass(frozen=True)
class Hosts:
    """Result of a hosts script: the machines that can run ranks now."""

    slots: dict[str, int]
    """Number of ranks that each host can run."""

    @property
    def ranks(self) -> int:
        return sum(self.slots.values())

    @property
    def argument(self) -> str:
        """Text for the option `-H` of horovodrun and mpirun."""
        return ",".join(f"{host}:{slots}" for host, slots in self.slots.items())


def read_hosts(script: str) -> Hosts:
    """Run a hosts script. It must print lines HOST:SLOTS, as for Horovod's elastic mode.

    Raises:
        PolynyaError: The script fails, or prints something else.
    """
    try:
        result = subprocess.run([script], capture_output=True, text=True, check=True)
        pairs = [line.strip().rsplit(":", 1) for line in result.stdout.splitlines() if line.strip()]
        return Hosts({host: int(slots) for host, slots in pairs})
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise PolynyaError(
            f"The hosts script {script} can't be used ({error}); it must exit with code 0 and print"
            " a line HOST:SLOTS for each available host."
        ) from None


@dataclass(frozen=True)
class Supervisor:
    """Starts one training as often as needed."""

    launcher: tuple[str, ...]
    """Command that starts ranks, without -np and -H."""
    arguments: tuple[str, ...]
    """Arguments of training/train.py, without --resume and --overwrite."""
    out: Path
    """Folder of the model."""
    ranks: int
    """Greatest number of ranks."""
    min_ranks: int
    """Least number of ranks."""
    hosts_script: str | None
    """Script that lists the hosts before each start; None for this machine only."""

    def run(self, first: Sequence[str]) -> int:
        """Start the training until it is finished, and return the exit code.

        Args:
            first: Additional arguments for the first start: --overwrite or --resume.

        Raises:
            RankLostError: Too few ranks are left, or several starts made no progress.
        """
        ranks, failed, arguments = self.ranks, 0, first
        while True:
            ranks, hosts = self._places(ranks)
            ending.remove_note(self.out)
            begins = "--overwrite" in arguments
            before = 0 if begins else checkpoints.last_step(self.out)
            code, told_to_stop = self._start(ranks, hosts, arguments)
            note = ending.read_note(self.out)
            if code == 0:
                return 0
            if told_to_stop or (note is not None and note.reason == "stopped"):
                return STOPPED_EXIT_CODE
            went_on = checkpoints.last_step(self.out) > before
            # Without a note, the start failed before its first step, or all ranks were killed.
            failed_at_start = note is None and code == EXIT_CODE and not went_on
            if failed_at_start or (note is not None and note.reason == "error"):
                return EXIT_CODE
            self._wait_for_folder()
            failed = 1 if went_on else failed + 1
            if failed == _FAILED_STARTS:
                raise RankLostError(
                    f"{failed} starts in a row have lost a rank before their first checkpoint; fix"
                    " the cause, which is above, and start again with --resume."
                )
            ranks, arguments = ranks - 1, ["--resume"]

    def _wait_for_folder(self) -> None:
        """Wait until the lock of the model's folder expires, if the machine of rank 0 is gone."""
        end = time.monotonic() + STALE + 2 * BEAT
        while self.out.is_dir() and time.monotonic() < end:
            try:
                with locked(self.out):
                    return
            except OutputError:
                time.sleep(BEAT)

    def _places(self, ranks: int) -> tuple[int, Hosts | None]:
        """Find how many ranks can be started now, and on which hosts."""
        hosts = None if self.hosts_script is None else read_hosts(self.hosts_script)
        if hosts is not None:
            ranks = min(self.ranks, hosts.ranks)
        if ranks < self.min_ranks:
            raise RankLostError(
                f"{ranks} ranks are left but --min-ranks is {self.min_ranks}; start again with"
                " --resume when there are more."
            )
        return ranks, hosts

    def _start(self, ranks: int, hosts: Hosts | None, arguments: Sequence[str]) -> tuple[int, bool]:
        """Run the launcher to its end; return its exit code, and whether we were told to stop."""
        command = [*self.launcher, "-np", str(ranks)]
        if hosts is not None:
            command += ["-H", hosts.argument]
        command += [sys.executable, str(_TRAIN), *self.arguments, *arguments]
        console.print(f"Starting {ranks} ranks: {shlex.join(command)}", soft_wrap=True)
        with subprocess.Popen(command) as process:

            def pass_on(number: int) -> None:
                # The terminal has already sent Ctrl-C to the launcher.
                if number != signal.SIGINT:
                    process.send_signal(number)

            with StopRequest(pass_on) as told_to_stop:
                told_to_stop.patient = True
                code = process.wait()
        console.print(f"{ranks} ranks have ended, exit code {code}", soft_wrap=True)
        return code, told_to_stop()


def supervise(
    shards: Annotated[str, typer.Option(help="Labelled tiles: a folder or URI.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    ranks: Annotated[int, typer.Option(min=1, help="Greatest number of ranks.")],
    min_ranks: Annotated[int, typer.Option(min=1, help="Least number of ranks to go on with.")] = 1,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Recipe: a YAML file or the name of one that ships; default: that of the shards."
        ),
    ] = None,
    launcher: Annotated[
        str, typer.Option(help="Command that starts ranks, without -np.")
    ] = "horovodrun --gloo",
    hosts_script: Annotated[
        str | None,
        typer.Option(help="Program that prints HOST:SLOTS lines, run at each start."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the model in --out.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in --out.")] = False,
) -> None:
    """Train on many ranks, and go on with fewer ranks if some are lost."""
    arguments = ["--shards", shards, "--out", str(out)]
    if recipe is not None:
        arguments += ["--recipe", str(recipe)]
    supervisor = Supervisor(
        launcher=tuple(shlex.split(launcher)),
        arguments=tuple(arguments),
        out=out,
        ranks=ranks,
        min_ranks=min_ranks,
        hosts_script=hosts_script,
    )
    first = ["--overwrite"] * overwrite + ["--resume"] * resume
    raise typer.Exit(supervisor.run(first))


if __name__ == "__main__":
    run_script(supervise)
