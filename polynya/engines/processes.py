"""Worker processes on this machine. They end when their driver process ends, for any reason.

Each worker is a separate process, so a worker that dies doesn't destroy the work of others. A
worker waits at a pipe for its next task and also watches its parent process. So it notices the end
of the driver, even if the driver was killed.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from polynya.errors import EngineError, reason_of
from polynya.progress import Advance

T = TypeVar("T")
R = TypeVar("R")

_STARTS = 3
"""Number of attempts to start a worker."""
_LEFT_ALONE = 1
"""Exit status of a worker after the end of its driver."""


class _WorkerLostError(Exception):
    """The worker ended before it sent a result."""


class Processes:
    """Runs tasks on worker processes (`polynya.engines.engines.Engine`)."""

    def __init__(self, workers: int) -> None:
        """Use at most `workers` processes at the same time."""
        self._workers = workers

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        queue = Queue[int]()
        for index in range(len(items)):
            queue.put(index)
        results: list[R | None] = [None] * len(items)
        stopped = Event()
        running: set[_Worker] = set()
        lock = Lock()

        def work() -> None:
            worker = None
            try:
                while not stopped.is_set():
                    index = queue.get_nowait()
                    if worker is None:
                        worker = _start_worker()
                        with lock:
                            running.add(worker)
                        if stopped.is_set():
                            return
                    try:
                        results[index] = worker.do(task, items[index])
                    except _WorkerLostError:
                        worker.end()
                        worker = None
                    advance(1)
            except Empty:
                return
            finally:
                if worker is not None:
                    worker.end()

        with ThreadPoolExecutor(max(min(self._workers, len(items)), 1)) as threads:
            futures = [threads.submit(work) for _ in range(self._workers)]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                # After Ctrl-C or an error, running tasks are not needed any more.
                stopped.set()
                with lock:
                    for worker in running:
                        worker.kill()
                raise
        return results


class _Worker:
    """The driver's end of one worker process."""

    def __init__(self) -> None:
        # Start a fresh interpreter, because a forked process may inherit held locks.
        context = get_context("forkserver")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        try:
            self._process.start()
        finally:
            theirs.close()

    def is_ready(self) -> bool:
        """Wait until the worker accepts tasks; False if it has ended instead."""
        try:
            self._connection.recv()
        except (EOFError, OSError):
            return False
        return True

    def do(self, task: Callable[[T], R], item: T) -> R:
        """Result of the task; raises the task's error, or _WorkerLostError."""
        try:
            self._connection.send((task, item))
            result, error = self._connection.recv()
        except (EOFError, OSError):
            raise _WorkerLostError from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Tell the worker to end, and wait for its end."""
        self._connection.close()
        self._process.join()

    def kill(self) -> None:
        self._process.kill()


def _start_worker() -> _Worker:
    for _ in range(_STARTS):
        try:
            worker = _Worker()
        except (OSError, MemoryError) as error:
            raise EngineError(
                f"No worker process can be started ({reason_of(error)}); use fewer --workers, or"
                " --engine here."
            ) from None
        if worker.is_ready():
            return worker
        worker.end()
    raise EngineError(
        "Worker processes end before they take any work (their output above says why); try"
        " --engine here, and 'polynya doctor'."
    )


def _serve(connection: Connection) -> None:
    """Do one task after another until the driver closes its end of the pipe."""
    # Ctrl-C goes to all processes of a terminal; only the driver reacts to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="parent", daemon=True).start()
    answer: tuple[Any, BaseException | None] = (None, None)  # The first answer means "ready".
    while True:
        try:
            connection.send(answer)
        except OSError:
            return  # The driver is gone.
        try:
            try:
                task, item = connection.recv()
            except (EOFError, ConnectionError):
                return
            answer = (task(item), None)
        except Exception as error:  # noqa: BLE001 - the driver raises all of them again
            error.add_note(traceback.format_exc())
            answer = (None, error)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # The worker is a child of multiprocessing.
    wait([parent.sentinel])
    # End at once, even if the main thread waits for a server that never answers.
    os._exit(_LEFT_ALONE)
