"""A worker: it takes one training after the other, and runs it by the ordinary command.

So each training has a process of its own: its memory is free afterwards, its numbers don't depend
on what ran before, and an error in it ends no other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, RLock
from typing import Protocol

import numpy as np

from inference.studies.sweep.data_sets import Places
from inference.studies.sweep.folder import SweepFolder
from inference.studies.sweep.scores import Score, read_history, read_result
from inference.studies.sweep.trials import Training
from polynya.errors import InUseError
from polynya.progress import console
from training.model_folder import checkpoints
from training.run.ending import STOPPED_EXIT_CODE, StopRequest, read_note

_LOOK = 0.5
"""Seconds between two looks at a training."""
_STARTS = 3
"""Starts of a training whose process is killed, before it counts as failed."""
_ERROR = "Error: "


def _goes_on(epoch: int, value: float) -> bool:
    return False


@dataclass(frozen=True)
class Job:
    """What a worker does next: trainings, one after the other."""

    trainings: tuple[Training, ...]
    wants_end: Callable[[int, float], bool] = _goes_on
    """Function of an epoch's number, from 1, and of its score in the first training. True ends the
    job there."""


class Supply(Protocol):
    """Hands out jobs, each to one worker."""

    def taken(self) -> AbstractContextManager[Job | None]:
        """Hold the next job within the block; None if there is none for this worker."""


class ListedSupply:
    """Hands out trainings that are known beforehand, in their order."""

    def __init__(self, folder: SweepFolder, trainings: Sequence[Training]) -> None:
        self._folder = folder
        self._left = list(trainings)
        self._lock = Lock()

    @contextmanager
    def taken(self) -> Iterator[Job | None]:
        with ExitStack() as held:
            yield self._next(held)

    def _next(self, held: ExitStack) -> Job | None:
        with self._lock:
            for training in list(self._left):
                try:
                    held.enter_context(self._folder.claimed(training))
                except InUseError:
                    continue  # If its worker is killed, it is there again.
                self._left.remove(training)
                if self._folder.over(training) is None:
                    return Job((training,))
                held.close()
        return None


@dataclass(frozen=True)
class Command:
    """The ordinary command of a training."""

    places: Places
    launcher: tuple[str, ...] = ()
    """Words before it that start ranks, such as horovodrun --gloo -np 2."""
    group: str = ""
    """Key of the sweep's run in trackers; "" without trackers."""

    def words(self, folder: SweepFolder, training: Training) -> list[str]:
        """Words of the command; it goes on where an earlier start was cut."""
        model = folder.model(training)
        words = [*self.launcher, sys.executable, "-m", "training.train"]
        words += ["--shards", self.places.of(training.trial)]
        words += ["--out", str(model), "--recipe", str(folder.recipe(training))]
        words += ["--group", self.group] if self.group else []
        if checkpoints.any_in(model):
            return [*words, "--resume"]
        return [*words, "--overwrite"] if model.exists() else words


class Worker:
    """Trains what a supply hands out, several trainings at once if wanted.

    Args:
        folder: Folder of the sweep.
        command: Command of a training.
        score: Score that is printed and followed from epoch to epoch.
        jobs: Trainings at once.
    """

    def __init__(self, folder: SweepFolder, command: Command, score: Score, jobs: int = 1) -> None:
        self._folder = folder
        self._command = command
        self._score = score
        self._jobs = jobs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = RLock()
        self._stopped = Event()

    def run(self, supply: Supply) -> bool:
        """Train until nothing is left for this worker; call it in the main thread.

        A signal stops the trainings with a checkpoint; after a second Ctrl-C they are killed.

        Returns:
            Whether everything was done that could be; False if it was told to stop.

        Raises:
            PolynyaError: Something can't be written.
        """
        with StopRequest(lambda number: self._stop()) as request:
            request.patient = True
            with ThreadPoolExecutor(self._jobs) as threads:
                futures = [threads.submit(self._work, supply, slot) for slot in range(self._jobs)]
                try:
                    self._wait(futures)
                except BaseException:
                    self._kill()
                    raise
        return not self._stopped.is_set()

    def _wait(self, futures: Sequence[Future[None]]) -> None:
        left = set(futures)
        while left:
            # Signals are handled between two waits.
            done, left = wait(left, _LOOK, FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                self._stop()
        for future in futures:
            future.result()

    def _stop(self) -> None:
        with self._lock:
            self._stopped.set()
            for process in self._running:
                process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        with self._lock:
            self._stopped.set()
            for process in self._running:
                process.kill()

    def _work(self, supply: Supply, slot: int) -> None:
        environment = _share_machine(slot, self._jobs)
        while not self._stopped.is_set():
            with supply.taken() as job:
                if job is None:
                    return
                for number, training in enumerate(job.trainings):
                    if self._stopped.is_set():
                        return
                    if self._folder.over(training) is None:
                        wants_end = _goes_on if number else job.wants_end
                        self._train(training, wants_end, environment)
                    over = self._folder.over(training)
                    if over is None or over[0] != "finished":
                        break

    def _train(
        self,
        training: Training,
        wants_end: Callable[[int, float], bool],
        environment: dict[str, str],
    ) -> None:
        """Run a training until it is over, or until this worker is told to stop."""
        folder, log, code = self._folder, self._folder.log(training), 0
        _say(f"Trial {training.name} begins: {training.trial.text}")
        for _ in range(_STARTS):
            begin = log.stat().st_size if log.exists() else 0
            process = self._start(training, log, environment)
            if process is None:
                return
            is_pruned = self._follow(process, training, wants_end)
            code = process.returncode
            with self._lock:
                self._running.discard(process)
            if folder.over(training) is not None:
                break
            if is_pruned:
                folder.end(training, "pruned", "")
                break
            if self._stopped.is_set() or code == STOPPED_EXIT_CODE:
                _say(f"Trial {training.name} stopped; the same command goes on with it")
                return
            note = read_note(folder.model(training))
            was_killed = code < 0 or (note and note.reason == "rank-lost")
            if not was_killed:
                break
        if folder.over(training) is None:
            folder.end(training, "failed", _reason(log, begin, code))
        self._say_result(training)

    def _start(
        self, training: Training, log: Path, environment: dict[str, str]
    ) -> subprocess.Popen[bytes] | None:
        """Start the process of a training, unless this worker was told to stop."""
        words = self._command.words(self._folder, training)
        with self._lock, log.open("ab") as output:
            if self._stopped.is_set():
                return None
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            self._running.add(process)
            return process

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        training: Training,
        wants_end: Callable[[int, float], bool],
    ) -> bool:
        """Wait for the end of a process; return whether it was ended because of its scores."""
        seen, is_over, is_pruned = 0, False, False
        while not is_over:
            try:
                process.wait(_LOOK)
                is_over = True
            except subprocess.TimeoutExpired:
                pass
            if wants_end is _goes_on or is_pruned:
                continue
            # Also of a training that is over, because others are compared with its epochs.
            values = read_history(self._folder, training, self._score.column)
            ends = [wants_end(n + 1, float(values[n])) for n in range(seen, len(values))]
            seen = len(values)
            if any(ends) and not is_over:
                is_pruned = True
                process.send_signal(signal.SIGTERM)
        return is_pruned

    def _say_result(self, training: Training) -> None:
        result = read_result(self._folder, training, [self._score])
        told = f"Trial {training.name} {result.state}"
        if result.state == "failed":
            told += f": {result.reason}"
        elif result.scores[0] == result.scores[0]:
            told += f": {self._score.heading} {self._score.text(result.scores[0])}"
        if result.stop_epoch is not None:
            told += f"; {result.stop_epoch} epochs in {result.seconds:.0f} s"
        _say(told)


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _share_machine(slot: int, jobs: int) -> dict[str, str]:
    """Give this thread, and the processes that it starts, its part of cores and GPUs.

    Returns:
        Variables of the environment for its processes.
    """
    environment = dict(os.environ)
    if jobs > 1:
        cores = sorted(os.sched_getaffinity(0))
        own = np.array_split(cores, jobs)[slot].tolist() or [cores[slot % len(cores)]]
        os.sched_setaffinity(0, own)  # Of this thread.
        gpus = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
        if len(gpus) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return environment


def _reason(log: Path, begin: int, code: int) -> str:
    """Say why a training failed: its own error, if it has printed one."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    if errors:
        return errors[-1]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"Its process {how}; see {log}."
