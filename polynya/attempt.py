"""Work on one scene, item or name of a batch: an error becomes the reason of its failure.

This is the only place that catches every exception. So an unforeseen error costs one row of a
batch, never the whole batch.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from polynya.errors import LabelError, PolynyaError, reason_of

T = TypeVar("T")

TRACEBACK_VARIABLE = "POLYNYA_TRACEBACK"
"""Environment variable; if it is set, unexpected errors print their traceback."""

_FIRST_WAIT = 0.5
"""Seconds before the second attempt; doubled for each further attempt."""


@dataclass(frozen=True)
class Failure:
    """Why the work on a scene failed."""

    reason: str
    """One sentence."""


def attempt(work: Callable[[], T], uri: str, doing: str, retries: int = 0) -> T | Failure:
    """Do the work on one scene, and try again if it fails, because network errors often pass.

    Args:
        work: Function that does the work.
        uri: Name of the scene for messages.
        doing: Past participle for messages, such as "labelled" in "could not be labelled".
        retries: Number of further attempts after an error that may pass.

    Returns:
        The result of `work`, or the reason of the last failure.
    """
    failure = Failure("")
    for trial in range(retries + 1):
        if trial:
            time.sleep(_FIRST_WAIT * 2.0 ** (trial - 1))
        try:
            return work()
        except LabelError as error:
            return Failure(str(error))  # Labels don't get better by themselves.
        except PolynyaError as error:
            failure = Failure(str(error))
        except MemoryError:
            failure = Failure(
                f"{uri} could not be {doing}: out of memory; use fewer workers a machine, or cut it"
                " into parts."
            )
        except OSError as error:
            failure = Failure(
                f"{uri} could not be {doing}: {reason_of(error)}; fix that and run it again."
            )
        except Exception as error:  # noqa: BLE001 - the one place where a batch is kept going
            return Failure(unexpected(error, f"{uri} could not be {doing}"))
    return failure


def unexpected(error: Exception, what: str) -> str:
    """Sentence about an unexpected error: a fault of Polynya, not of the user.

    Args:
        error: The exception.
        what: What can't be done because of the error.
    """
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).resolve().parents[1])
    ours = [f for f in frames if f.filename.startswith(root) and "site-packages" not in f.filename]
    place = (ours or frames)[-1] if frames else None
    at = f" at {Path(place.filename).name}:{place.lineno}" if place else ""
    text = reason_of(error)
    return (
        f"{what}: {type(error).__name__}{at}{': ' + text if text else ''}; this is a fault of"
        f" Polynya, please report it ({TRACEBACK_VARIABLE}=1 shows more)."
    )
