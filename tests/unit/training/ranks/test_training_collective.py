"""One process, and the choice between it and Horovod (Horovod itself: tests/integration)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from polynya.errors import PolynyaError
from polynya.recipe.training import HorovodOptions
from training.errors import RankLostError
from training.ranks.collective import exchanging, make_packs, open_collective
from training.ranks.cpu_defaults import PROCESSOR_DEFAULTS, set_processor_defaults
from training.ranks.launchers import launched_ranks, set_horovod_environment
from training.ranks.port import SingleProcess


def test_alone_every_exchange_is_the_value_itself() -> None:
    alone = SingleProcess()
    assert (alone.rank, alone.size, alone.local_rank, alone.local_size) == (0, 1, 0, 1)
    assert alone.sum(np.array([1, 2])).tolist() == [1, 2]
    assert alone.average([1, 2]).tolist() == [1.0, 2.0]
    assert alone.broadcast({"a": 1}) == {"a": 1}
    assert alone.gather("x") == ["x"]
    assert alone.sum_tensors([1, 2], name="t") == [1, 2]
    assert alone.reduce_gradients([1, 2], name="t") == [1, 2]
    assert alone.wire_bytes([np.zeros(3)]) == 0
    alone.start_timeline(Path("nowhere"))
    alone.broadcast_variables([])
    alone.barrier()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2"}, (1, 2)),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, (3, 4)),
        ({"PMI_RANK": "0", "PMI_SIZE": "8"}, (0, 8)),
        # srun --mpi=pmix -n 4
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "PMIX_RANK": "2"}, (2, 4)),
        # sbatch's script, salloc's shell, and srun --pty -n 4 bash
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, (0, 1)),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, (0, 1)),
        (
            {
                "SLURM_STEP_NUM_TASKS": "4",
                "SLURM_PROCID": "0",
                "PMIX_RANK": "0",
                "SLURM_PTY_PORT": "9",
            },
            (0, 1),
        ),
        # mpirun in one of them
        ({"SLURM_NTASKS": "4", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (1, 2)),
    ],
)
def test_launchers_are_known_by_their_variables(
    environment: dict[str, str], expected: tuple[int, int]
) -> None:
    assert launched_ranks(environment) == expected


def test_tasks_of_srun_without_mpi_are_refused() -> None:
    with pytest.raises(PolynyaError, match="--mpi=pmix"):
        launched_ranks({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"})


def test_what_the_recipe_says_of_horovod_is_in_its_environment() -> None:
    environment: dict[str, str] = {}
    set_horovod_environment(HorovodOptions(), environment)
    assert environment == {}
    options = HorovodOptions(fusion_mb=0, autotune=True, timeline="timeline.json")
    set_horovod_environment(options, environment)
    assert environment == {
        "HOROVOD_FUSION_THRESHOLD": "0",
        "HOROVOD_AUTOTUNE": "1",
        "HOROVOD_TIMELINE": "DYNAMIC",
    }


def test_ranks_on_processors_wait_idly_unless_the_user_says_otherwise() -> None:
    environment = {"HOROVOD_CYCLE_TIME": "0.5"}
    assert set_processor_defaults(environment) == 2**20
    assert environment == {**PROCESSOR_DEFAULTS, "HOROVOD_CYCLE_TIME": "0.5"}
    assert environment["OMPI_MCA_mpi_yield_when_idle"] == "1"
    assert set_processor_defaults({"HOROVOD_FUSION_THRESHOLD": "0"}) == 0
    with pytest.raises(PolynyaError, match="'1 MB', which is not a number of bytes; set"):
        set_processor_defaults({"HOROVOD_FUSION_THRESHOLD": "1 MB"})


def test_horovod_may_tune_what_nobody_has_set() -> None:
    environment: dict[str, str] = {}
    set_horovod_environment(HorovodOptions(autotune=True), environment)
    assert set_processor_defaults(environment) is None
    assert [name for name in environment if "HOROVOD" in name] == ["HOROVOD_AUTOTUNE"]
    assert environment["OMPI_MCA_mpi_yield_when_idle"] == "1"


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 60))
def test_packs_are_full_but_not_too_large(sizes: list[int], most: int) -> None:
    packs = make_packs(sizes, most)
    assert [index for pack in packs for index in pack] == list(range(len(sizes)))
    totals = [sum(sizes[index] for index in pack) for pack in packs]
    assert all(total <= most or len(pack) == 1 for total, pack in zip(totals, packs, strict=True))
    for total, following in zip(totals, packs[1:], strict=False):
        assert total + sizes[following[0]] > most


def test_the_end_of_another_rank_is_one_sentence() -> None:
    with pytest.raises(RankLostError, match="--resume"), exchanging():
        raise tf.errors.UnknownError(None, None, "Horovod has been shut down")
    with pytest.raises(RuntimeError, match="something else"), exchanging():
        raise RuntimeError("something else")


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(open_collective(), SingleProcess)


def test_ranks_without_horovod_say_how_to_get_it() -> None:
    # None in sys.modules is how Python spells "not installed".
    code = (
        "import sys; sys.modules['horovod'] = None\n"
        "from polynya.errors import MissingDependencyError\n"
        "from training.ranks.collective import open_collective\n"
        "try: open_collective()\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("2 ranks were launched but Horovod can't be imported")
    assert "make setup" in result.stdout
