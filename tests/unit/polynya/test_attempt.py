"""Whatever goes wrong with one scene becomes its reason."""

from __future__ import annotations

import pytest

from polynya import attempt as module
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError


def _raising(error: BaseException) -> object:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SceneError("x.tif is cut; fetch it again."), "x.tif is cut; fetch it again."),
        (MemoryError(), "x.tif could not be mapped: out of memory"),
        (OSError(28, "No space left on device"), "x.tif could not be mapped: No space left"),
        (ZeroDivisionError("division by zero"), "x.tif could not be mapped: ZeroDivisionError at"),
        (UnicodeEncodeError("utf-8", "\udcf8", 0, 1, "no"), "UnicodeEncodeError"),
        (RecursionError(), "RecursionError"),
        (AssertionError("line one\nline two"), "line one line two; this is a fault of Polynya"),
    ],
)
def test_every_error_becomes_one_sentence(error: Exception, said: str) -> None:
    result = attempt(_raising(error), "x.tif", "mapped")
    assert isinstance(result, Failure)
    assert said in result.reason
    assert "\n" not in result.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_being_stopped_is_no_failure_of_a_scene(error: BaseException) -> None:
    with pytest.raises(type(error)):
        attempt(_raising(error), "x.tif", "mapped", retries=3)


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.0)
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("a bad moment")
        return "done"

    assert attempt(work, "x", "labelled", retries=2) == "done"


def test_a_fault_of_ours_is_not_tried_again() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise KeyError("b")

    assert isinstance(attempt(work, "x", "labelled", retries=5), Failure)
    assert len(tries) == 1
