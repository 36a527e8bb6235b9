"""Ends a training early: on a request to stop, after the loss of a rank, or after an error.

The first rank that notices leaves a note in the model's folder. So only one rank prints the reason,
and `training/supervise.py` knows whether going on makes sense:

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
"""Exit code EX_TEMPFAIL of sysexits.h: there is no error, and the same command with --resume goes
on."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""Signals that ask for a stop. SIGUSR1 is included because mpirun passes it on to its ranks and
does not end itself."""

_NOTE = "_ended.json"
_SECONDS_TO_SAY_IT = 1.0


class StopRequest:
    """Notices within a block whether this process was told to stop; only in the main thread.

    Until `patient` is set, Ctrl-C raises KeyboardInterrupt, as usual. After that, the first Ctrl-C
    asks for a stop, and only the second one raises KeyboardInterrupt.

    Args:
        pass_on: Function that is called with the number of the signal.
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
    """The reason why a training ended early."""

    reason: str
    """"stopped", "rank-lost" or "error"."""
    sentence: str


def ending_of(error: PolynyaError) -> Ending:
    """Find the reason for the end of a training from an error."""
    reasons = {StoppedError: "stopped", RankLostError: "rank-lost"}
    return Ending(reasons.get(type(error), "error"), str(error))


def leave_note(folder: Path, ending: Ending) -> bool:
    """Write the note about the end of a training; False if another rank has already done so."""
    content = json.dumps({"reason": ending.reason, "sentence": ending.sentence})
    try:
        place = make_folder(checkpoint_folder(folder))
        with temporary_file(place, ".json") as temporary:
            temporary.write_text(content, encoding="utf-8")
            register_file(temporary, place / _NOTE)
        return create_whole(place / _NOTE, content.encode())
    # For example, the disk is full or the file isn't ours. The user must still see the first error,
    # unless another rank has left its note.
    except (OSError, OutputError):
        return read_note(folder) is None


def read_note(folder: Path) -> Ending | None:
    """Read how the last start ended; None without a note, for example if processes were killed."""
    path = folder / FOLDER / _NOTE
    try:
        return Ending(**json.loads(path.read_text(encoding="utf-8"))) if _is_note(path) else None
    except (OSError, ValueError, TypeError):
        return None


def remove_note(folder: Path) -> None:
    """Remove the note of an earlier start."""
    path = folder / FOLDER / _NOTE
    if _is_note(path):
        remove_file(path)


def _is_note(path: Path) -> bool:
    return not path.parent.is_symlink() and is_ours(path)


def leave(folder: Path, error: PolynyaError) -> NoReturn:
    """End this process because of an error in the middle of a training.

    One rank prints the reason. The other ranks wait a little before they end, because a launcher
    kills all ranks as soon as one has ended.
    """
    ending = ending_of(error)
    if leave_note(folder, ending):
        print_error(error)
    else:
        time.sleep(_SECONDS_TO_SAY_IT)
    sys.stdout.flush()
    # Without Horovod's shutdown, because it waits for ranks that may be gone.
    os._exit(STOPPED_EXIT_CODE if ending.reason == "stopped" else EXIT_CODE)


def leave_early(is_first: bool, sentence: str) -> NoReturn:
    """End this process because of Ctrl-C before the first step.

    Write nothing into the folder: another run may still hold it.

    Args:
        is_first: Whether this is rank 0; only rank 0 prints the sentence.
        sentence: What the user can do.
    """
    if is_first:
        console.print(f"Interrupted; {sentence}", markup=False, soft_wrap=True)
    else:
        time.sleep(_SECONDS_TO_SAY_IT)
    sys.stdout.flush()
    os._exit(INTERRUPTED)


def say_at_once(text: str) -> None:
    """Write a line to stderr from a signal handler, even in the middle of other output."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
