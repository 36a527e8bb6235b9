"""How a training ends before its time: told to stop, a rank lost, or an error.

Whoever notices first leaves a note in the model's folder, so that one rank says it and no more, and
so that `training/supervise.py` knows whether going on makes sense:

    _checkpoints/_ended.json   reason ("stopped", "rank-lost" or "error") and the sentence
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from polynya.cli import INTERRUPTED, print_error
from polynya.errors import EXIT_CODE, OutputError, PolynyaError
from polynya.progress import console
from polynya.storage.files import temporary_file
from polynya.storage.locks import create_whole
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import is_ours, register_file, remove_file
from training.errors import RankLostError, StoppedError
from training.model_folder.checkpoints import FOLDER, checkpoint_folder

STOPPED_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, and the same command with --resume goes on."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""SIGUSR1 as well, because mpirun passes it on to its ranks and goes on itself."""

_NOTE = "_ended.json"
_SECONDS_TO_SAY_IT = 1.0


class StopRequest:
    """Whether this process was told to stop, while the block lasts; only in the main thread.

    Ctrl-C raises KeyboardInterrupt, as ever, until `patient` is set: then it asks for a stop too,
    and only the second one raises.

    Args:
        pass_on: Called with the number of the signal that asks.
    """

    def __init__(self, pass_on: Callable[[int], object] = lambda number: None) -> None:
        self.patient = False
        self._pass_on = pass_on
        self._received: set[int] = set()
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in STOP_SIGNALS:
            self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return bool(self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and (not self.patient or number in self._received):
            raise KeyboardInterrupt
        self._received.add(number)
        self._pass_on(number)


@dataclass(frozen=True)
class Ending:
    """Why a training ended before its time."""

    reason: str
    """"stopped", "rank-lost" or "error"."""
    sentence: str


def ending_of(error: PolynyaError) -> Ending:
    """What an error says of the end of a training."""
    reasons = {StoppedError: "stopped", RankLostError: "rank-lost"}
    return Ending(reasons.get(type(error), "error"), str(error))


def leave_note(folder: Path, ending: Ending) -> bool:
    """Note how a training ended; False if another rank has done so already."""
    content = json.dumps({"reason": ending.reason, "sentence": ending.sentence})
    try:
        place = make_folder(checkpoint_folder(folder))
        with temporary_file(place, ".json") as temporary:
            temporary.write_text(content, encoding="utf-8")
            register_file(temporary, place / _NOTE)
        return create_whole(place / _NOTE, content.encode())
    # A disk that is full, say, or a file that isn't ours: the error before that is to be told,
    # unless another rank's note lies there.
    except (OSError, OutputError):
        return read_note(folder) is None


def read_note(folder: Path) -> Ending | None:
    """How the last start ended; None if it left no note, as processes that are killed do."""
    path = folder / FOLDER / _NOTE
    try:
        return Ending(**json.loads(path.read_text(encoding="utf-8"))) if _is_note(path) else None
    except (OSError, ValueError, TypeError):
        return None


def remove_note(folder: Path) -> None:
    """Forget how the start before this one ended."""
    path = folder / FOLDER / _NOTE
    if _is_note(path):
        remove_file(path)


def _is_note(path: Path) -> bool:
    return not path.parent.is_symlink() and is_ours(path)


def leave(folder: Path, error: PolynyaError) -> NoReturn:
    """End this process because of an error in the middle of a training.

    One rank says why. The others wait a little before they end: a launcher kills all as soon as
    one is gone.
    """
    ending = ending_of(error)
    if leave_note(folder, ending):
        print_error(error)
    else:
        time.sleep(_SECONDS_TO_SAY_IT)
    sys.stdout.flush()
    # Without Horovod's own end, which waits for ranks that may be gone.
    os._exit(STOPPED_EXIT_CODE if ending.reason == "stopped" else EXIT_CODE)


def leave_early(is_first: bool, sentence: str) -> NoReturn:
    """End this process because of Ctrl-C before the first step; the folder may be another's yet.

    Args:
        is_first: This is rank 0, which says it.
        sentence: What the user can do.
    """
    if is_first:
        console.print(f"Interrupted; {sentence}", markup=False, soft_wrap=True)
    else:
        time.sleep(_SECONDS_TO_SAY_IT)
    sys.stdout.flush()
    os._exit(INTERRUPTED)


def say_at_once(text: str) -> None:
    """Write a line to stderr from a signal handler, which may interrupt any other writing."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
