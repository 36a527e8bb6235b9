"""Worker processes of this machine. They end with their driver, however that ends.

Each is a process of its own, so that one that dies takes no other's work with it. A worker waits
for its next task at a pipe and watches its parent meanwhile: both close when the driver is gone,
also when it was killed and could tell nobody.
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
"""Times that a worker is started before none is thought to come."""
_LEFT_ALONE = 1
"""Exit status of a worker whose driver is gone."""


class _WorkerLostError(Exception):
    """The worker ended before its answer."""


class Processes:
    """Runs tasks on worker processes (`polynya.engines.engines.Engine`)."""

    def __init__(self, workers: int) -> None:
        """`workers` is how many run at the same time."""
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
                # Ctrl-C, or a fault: nobody waits for work whose result is not wanted any more.
                stopped.set()
                with lock:
                    for worker in running:
                        worker.kill()
                raise
        return results


class _Worker:
    """The driver's end of one worker process."""

    def __init__(self) -> None:
        # A fresh interpreter: a forked one may inherit locks that are held.
        context = get_context("forkserver")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        try:
            self._process.start()
        finally:
            theirs.close()

    def is_ready(self) -> bool:
        """Wait until it takes tasks; False if it has ended instead."""
        try:
            self._connection.recv()
        except (EOFError, OSError):
            return False
        return True

    def do(self, task: Callable[[T], R], item: T) -> R:
        """What the task gives; raises its error, or _WorkerLostError."""
        try:
            self._connection.send((task, item))
            result, error = self._connection.recv()
        except (EOFError, OSError):
            raise _WorkerLostError from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Tell it that there is no more to do, and wait until it is gone."""
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
    """Do one task after another until the driver closes its end."""
    # Ctrl-C goes to all processes of a terminal; the driver says what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="parent", daemon=True).start()
    answer: tuple[Any, BaseException | None] = (None, None)  # The first one says that it is ready.
    while True:
        try:
            connection.send(answer)
        except OSError:
            return  # Nobody wants it any more.
        try:
            try:
                task, item = connection.recv()
            except (EOFError, ConnectionError):
                return
            answer = (task(item), None)
        except Exception as error:  # noqa: BLE001 - all of them are raised again on the driver
            error.add_note(traceback.format_exc())
            answer = (None, error)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # The worker is a child of multiprocessing.
    wait([parent.sentinel])
    # Whatever the main thread is doing: reading from a server that never answers, for example.
    os._exit(_LEFT_ALONE)
