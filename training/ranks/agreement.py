"""Doing something on every rank, so that all of them learn where it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from polynya.errors import PolynyaError
from training.ranks.port import Collective

T = TypeVar("T")


def gather_results(collective: Collective, prepare: Callable[[], T]) -> list[T]:
    """Do something on every rank; what each made, in the order of ranks.

    Raises:
        PolynyaError: It failed on one rank, and every rank raises that error. Else the others would
            wait for the failed rank in their next exchange.
    """
    outcome: tuple[T | None, PolynyaError | None]
    try:
        outcome = prepare(), None
    except PolynyaError as raised:
        outcome = None, raised
    # Always a pair: Horovod names an exchange by the type of what it carries.
    outcomes = collective.gather(outcome)
    for _, error in outcomes:
        if error is not None:
            raise error
    return [result for result, _ in outcomes]


def together(collective: Collective, prepare: Callable[[], T]) -> T:
    """Do something on every rank and keep the result; where one fails, every rank raises that.

    Unlike those of `gather_results`, the results needn't be picklable.
    """
    kept: list[T] = []
    gather_results(collective, lambda: kept.append(prepare()))
    return kept[0]
