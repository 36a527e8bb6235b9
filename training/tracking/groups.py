"""The run above those of several trainings, such as a sweep's; written by whoever starts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from polynya.progress import console
from polynya.recipe.tracking import TrackerOptions
from training.tracking.delivery import finite_points, now_ms
from training.tracking.registry import make_sink
from training.tracking.sink import RunFacts, Sink, trouble_of


def begin_group(trackers: Sequence[TrackerOptions], facts: RunFacts) -> None:
    """Begin a run that others are put under, or go on with it; they find it by its key.

    Args:
        trackers: Trackers of the recipe. One that can't be used costs a warning, no more.
        facts: The run.
    """
    for options in trackers:
        _attempt(make_sink(options, facts), lambda sink: None)


def end_group(
    trackers: Sequence[TrackerOptions],
    facts: RunFacts,
    values: Mapping[str, float],
    files: Sequence[Path],
) -> None:
    """End such a run.

    Args:
        trackers: See `begin_group`.
        facts: The run.
        values: Numbers that it ends with.
        files: Files that it ends with.
    """

    def end(sink: Sink) -> None:
        sink.write(finite_points(values, 1, now_ms()))
        sink.attach(files)
        sink.close("finished")

    for options in trackers:
        _attempt(make_sink(options, facts), end)


def _attempt(sink: Sink, task: Callable[[Sink], None]) -> None:
    try:
        sink.open()
        task(sink)
    except Exception as error:  # noqa: BLE001 - no error of a tracker may cost a training
        console.print(
            f"Warning: {sink.place} can't be used ({trouble_of(error)}); the trainings go on, and"
            " their folder gets everything.",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
