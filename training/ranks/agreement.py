"""Doing something on every rank, so that all ranks know if one rank failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from polynya.errors import PolynyaError
from training.ranks.port import Collective

T = TypeVar("T")


def gather_results(collective: Collective, prepare: Callable[[], T]) -> list[T]:
    """Do something on every rank and return all results, in the order of ranks.

    Raises:
        PolynyaError: It failed on one rank, and every rank raises the error of that rank. Otherwise
            the others would wait for the failed rank in their next exchange.
    """
    outcome: tuple[T | None, PolynyaError | None]
    try:
        outcome = prepare(), None
    except PolynyaError as raised:
        outcome = None, raised
    # Always a pair: Horovod names an exchange by the type of the exchanged object.
    outcomes = collective.gather(outcome)
    for _, error in outcomes:
        if error is not None:
            raise error
    return [result for result, _ in outcomes]


def together(collective: Collective, prepare: Callable[[], T]) -> T:
    """Do something on every rank and return this rank's result.

    If one rank fails, every rank raises its error. Results need not be picklable, other than with
    `gather_results`.
    """
    kept: list[T] = []
    gather_results(collective, lambda: kept.append(prepare()))
    return kept[0]
