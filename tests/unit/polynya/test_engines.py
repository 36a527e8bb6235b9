"""Engines: results in order, workers that die, errors of the code."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import HereEngine

from polynya.engines.engines import open_engine, run_all


def double(number):
    return 2 * number


def fatal_for_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def failing(number):
    raise ZeroDivisionError(number)


def test_processes_give_results_in_order():
    counted = []
    with open_engine("processes", 2) as engine:
        assert engine.run(double, list(range(7)), counted.append) == [0, 2, 4, 6, 8, 10, 12]
        assert engine.run(double, [], counted.append) == []
    assert sum(counted) == 7


@pytest.mark.slow
def test_a_worker_that_dies_takes_only_its_own_item_with_it():
    with open_engine("processes", 2) as engine:
        results = engine.run(fatal_for_three, list(range(6)), lambda n: None)
    assert results == [0, 2, 4, None, 8, 10]


def test_an_error_of_the_code_is_an_error():
    with open_engine("processes", 2) as engine, pytest.raises(ZeroDivisionError):
        engine.run(failing, [1, 2, 3], lambda n: None)


def test_work_lost_with_a_worker_is_repeated_until_the_fatal_item_is_alone():
    class Fragile(HereEngine):
        """A pool that breaks: nothing comes back of a run with item 5 in it."""

        def run(self, task, items, advance):
            return [None] * len(items) if 5 in items else super().run(task, items, advance)

    results = run_all(Fragile(), double, list(range(9)), lambda item: None, lambda n: None)
    assert results == [0, 2, 4, 6, 8, None, 12, 14, 16]
    left = {4: "note of 4"}
    results = run_all(Fragile(), double, [3, 4, 5], left.get, lambda n: None)
    assert results == [6, "note of 4", None]


def test_other_executors_serve_as_engines():
    from polynya.engines.engines import _Pool

    counted = []
    with ThreadPoolExecutor(2) as pool:
        assert _Pool(pool).run(double, [1, 2, 3], counted.append) == [2, 4, 6]
    assert sum(counted) == 3
