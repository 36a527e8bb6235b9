"""The labelling benchmark: its tables, and its simulation where the answer is known."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from statistics import median

import cv2
import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from autolabel import label_image
from benchmarks.common.meter import Cost
from benchmarks.common.scenes import make_large_scene
from benchmarks.labelling.__main__ import app
from benchmarks.labelling.compare import (
    cpu_table,
    measured,
    per_thousand_more,
    runs_table,
    speed_table,
    times_published,
)
from benchmarks.labelling.jobs.published_job import count_classes, label_tile
from benchmarks.labelling.jobs.timed import RunRecord, Timed, UnitRecord, read_run
from benchmarks.labelling.measured.burn import slow_down
from benchmarks.labelling.measured.compare import ILLUMINATION, PUBLISHED, SAME_FILTER, Run
from benchmarks.labelling.measured.data import make_files
from benchmarks.labelling.measured.programs import write_recipe
from benchmarks.labelling.measured.scaling import ScalingRun, Setup, phases, speed_up
from benchmarks.labelling.simulation.costs import Costs, costs_of
from benchmarks.labelling.simulation.estimate import Place, estimate_run, satellite_scenes
from benchmarks.labelling.simulation.simulate import schedule, simulate
from data_samples import make_scene
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe, load_recipe

COSTS = Costs(
    start_s=4.0, warm_up_s=2.0, gap_s=0.0, unit_s=0.5, read_s=0.1, label_s=0.2, write_s=0.3,
    sky_s=0.4, end_s=1.0,
)  # fmt: skip
ONE, TWO = Setup("processes", 1, 1), Setup("processes", 1, 2)


# === Data and the published pipeline ===


def test_tiles_have_the_pixels_of_their_scene_and_are_made_once(tmp_path):
    first = make_files(tmp_path, count=2, size=128, tile=64, jobs=1)
    assert [scene.n_tiles for scene in first] == [4, 4]
    with rasterio.open(first[1].image) as source:
        pixels = np.moveaxis(source.read(), 0, -1)
    assert pixels.any(axis=-1).all()
    tile = cv2.imread(str(first[1].tiles / "00064_00000.png"))[..., ::-1]
    assert (tile == pixels[64:, :64]).all()
    before = first[0].image.stat().st_mtime_ns
    make_files(tmp_path, count=2, size=128, tile=64, jobs=1)
    assert first[0].image.stat().st_mtime_ns == before


def test_a_large_scene_is_a_generated_one_mirrored(tmp_path):
    with rasterio.open(make_large_scene(tmp_path, size=150, source=64)) as source:
        pixels = source.read()
    assert pixels.shape == (3, 150, 150)
    assert (pixels[:, 64:128, :64] == pixels[:, 63::-1, :64]).all()


def test_the_published_pipeline_labels_as_the_published_method_does():
    image = make_scene(3, 0, (128, 128), "both", wedge=0.0).observed
    codes = label_image(image, method="published")
    colors = label_tile(image)
    assert (colors == SEA_ICE.paint(codes)).all()
    counts = count_classes([("tile", colors.tobytes()), ("again", colors.tobytes())])
    assert list(counts.values()) == [2 * n for n in SEA_ICE.count(codes)]


def test_recipes_use_each_filter_as_it_is_meant(tmp_path):
    published = load_recipe(write_recipe(tmp_path, "published", 64))
    assert (published.label.scope, published.tiles.size) == ("tile", 64)
    assert load_recipe(write_recipe(tmp_path, "illumination", 256)) == Recipe()


# === Comparison ===


def run(pipeline, number, tiles, wall_s, cpu_s):
    kinds = {"java": cpu_s / 2, "worker": cpu_s / 4}
    return Run(pipeline, number, tiles, Cost(wall_s=wall_s, cpu_s=cpu_s, cpu_by_kind=kinds))


def comparison() -> list[Run]:
    """Two rounds; in the second the machine is half as fast for all."""
    runs = []
    for number, slower in enumerate((1.0, 2.0)):
        for pipeline, each in ((PUBLISHED, 0.04), (SAME_FILTER, 0.02), (ILLUMINATION, 0.01)):
            for tiles in (100, 1100):
                seconds = slower * (5 + each * tiles)
                runs.append(run(pipeline, number, tiles, seconds, 2 * seconds))
    return runs


def test_start_up_drops_out_of_pairs_and_ratios_are_taken_within_a_round():
    runs, more_cpu = comparison(), per_thousand_more("cpu_s")
    assert median(measured(runs, PUBLISHED, more_cpu)) == pytest.approx(1.5 * 80)
    assert times_published(runs, ILLUMINATION, more_cpu) == pytest.approx(4)
    row = dict(zip(speed_table(runs).columns, speed_table(runs).rows[2], strict=True))
    assert row["times better "] == "4.00"
    assert row["times better"] == f"{49 / 16:.2f}"
    assert cpu_table(runs).rows[0][2] == "1.00"


def test_processor_seconds_of_a_run_add_up_to_all():
    for row in runs_table(comparison()).rows:
        kinds = [float(cell) for cell in row[4:8]]
        assert sum(kinds) == pytest.approx(float(row[8]), abs=0.2)


# === Timed runs ===


def unit(start: float, end: float, task: str = "label_unit", pid: int = 1) -> UnitRecord:
    """A tenth of its time reads, half labels, a fifth encodes, a tenth stores, a tenth is else."""
    long = end - start
    return UnitRecord(task, pid, start, end, long, 0.1 * long, 0.5 * long, 0.2 * long, 0.1 * long)


def timed_run(setup: Setup, *units: UnitRecord, wall_s: float = 20.0) -> ScalingRun:
    record = RunRecord(scenes=1, tiles=16, units=units)
    return ScalingRun(setup, 0, Cost(started=1000.0, wall_s=wall_s), record, 1.0)


def test_phases_of_a_run_add_up_to_its_time():
    split = phases(timed_run(TWO, unit(1005, 1010, pid=1), unit(1005, 1015, pid=2)))
    assert split.start_s == 5
    assert split.end_s == 5
    assert split.label_s == pytest.approx(0.5 * 15 / 2)
    parts = (split.start_s, split.read_s, split.label_s, split.write_s, split.other_s, split.end_s)
    assert sum(parts) == pytest.approx(split.total_s) == 20


def test_speed_up_is_over_one_worker_of_the_same_engine():
    runs = [
        timed_run(ONE, unit(1005, 1015), wall_s=20.0),
        timed_run(TWO, unit(1005, 1010), wall_s=16.0),
        timed_run(replace(ONE, engine="mpi"), unit(1005, 1006), wall_s=5.0),
    ]
    assert speed_up(runs, TWO, "work") == 2
    assert speed_up(runs, TWO, "total") == 1.25
    assert speed_up(runs, ONE, "total") == 1


def read_scene(seconds):
    time.sleep(seconds)


def task_that_reads(seconds):
    read_scene(seconds)
    return seconds


def test_a_timed_task_gives_its_result_and_leaves_where_its_time_went(tmp_path):
    records = tmp_path / "units"
    records.mkdir()
    assert Timed(task_that_reads, records)(0.2) == 0.2
    driver = tmp_path / "driver.json"
    driver.write_text(json.dumps({"scenes": 1, "tiles": 4}))
    (left,) = read_run(driver, records).units
    assert left.task == "task_that_reads"
    assert 0.2 <= left.read_s <= left.wall_s < 1
    assert left.label_s == left.encode_s == left.store_s == 0
    assert left.cpu_s < 0.1


def test_unit_costs_come_from_the_run_with_one_worker():
    scenes = satellite_scenes(4, 1024)  # As many units, one scene each.
    units = [unit(1005, 1008), unit(1009, 1010), unit(1011, 1012), unit(1013, 1014)]
    costs = costs_of([timed_run(ONE, *units)], scenes)
    assert costs.start_s == 5
    assert costs.end_s == 6
    assert costs.warm_up_s == 2
    assert costs.gap_s == 1
    assert costs.unit_s == pytest.approx(0.1)
    # The first unit's warm-up doesn't count as labelling, of which it has 1.5 s.
    assert costs.label_s == pytest.approx(1.5 / (4 * 1.024**2))


def test_the_light_of_a_scene_in_bands_has_its_own_cost():
    scenes = satellite_scenes(1, 1000)
    units = [unit(1005, 1010, task="find_scene_sky"), unit(1010, 1012), unit(1012, 1013)]
    costs = costs_of([timed_run(ONE, *units)], scenes)
    assert costs.sky_s == pytest.approx(4.5)
    assert costs.warm_up_s == 0
    assert costs.task_s(0, 1_000_000) == pytest.approx(costs.unit_s + costs.read_s + 4.5)


def test_costs_are_read_as_they_were_saved(tmp_path):
    COSTS.save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == COSTS


def test_one_process_is_not_slowed_down_and_many_never_sped_up():
    assert slow_down(1) == 1
    assert slow_down(2, seconds=0.05) >= 1


# === Simulation ===


def test_schedules_whose_length_is_known():
    assert schedule([1.0] * 4, 1).seconds == 4
    assert schedule([1.0] * 4, 2).seconds == 2
    assert schedule([1.0] * 5, 2).seconds == 3
    assert schedule([3.0, 1.0, 1.0, 1.0], 2).seconds == 3
    assert schedule([1.0, 1.0, 3.0], 2).seconds == 4  # The long one comes last.
    assert schedule([1.0] * 4, 2, warm_up_s=5.0).seconds == 7
    assert schedule([1.0] * 4, 1, gap_s=0.5).seconds == 5.5
    assert schedule([], 3).seconds == 0
    # The driver sends one task a second; the last of ten begins after ten.
    saturated = schedule([1.0] * 10, 100, dispatch_s=1.0)
    assert (saturated.seconds, saturated.driver_s, saturated.tasks) == (11, 10, 10)


def test_a_simulated_run_on_one_worker_takes_what_its_costs_say():
    scenes = satellite_scenes(4, 1024)
    simulated = simulate(scenes, Recipe(), COSTS, 1)
    assert simulated.skies.tasks == 0
    assert simulated.units.tasks == 4
    work = 2.0 + 4 * (0.5 + 1.024**2 * 0.6)
    assert simulated.total_s == pytest.approx(4.0 + work + 1.0)
    twice = simulate(scenes, Recipe(), COSTS, 1, slow_down=2.0)
    assert twice.work_s == pytest.approx(2 * work)


def test_large_scenes_have_skies_first_and_more_of_them_the_same_plan():
    scenes = satellite_scenes(64, 10980)
    once = simulate(scenes, Recipe(), COSTS, 8)
    assert once.skies.tasks == 64
    assert once.units.tasks % 64 == 0
    five = simulate(scenes, Recipe(), COSTS, 8, times=5)
    assert five.units.tasks == 5 * once.units.tasks
    assert five.units.seconds == pytest.approx(5 * once.units.seconds, rel=0.01)


def estimated(scenes=1000, executors=10, place=None, **costs):
    return estimate_run(
        scenes, executors, 10980, Recipe(), replace(COSTS, **costs), place or Place(),
        dispatch_s=0.001,
    )  # fmt: skip


def test_what_saturates_first_is_what_is_made_slow():
    assert estimated().first_limit == "workers: pixels"
    assert estimated(place=Place(latency_s=60.0)).first_limit == "driver: notes removed"
    assert estimated(place=Place(store_gbit=0.01)).first_limit == "object store"
    assert estimated(place=Place(executor_gbit=0.001)).first_limit == "executors' network"


def test_no_run_is_shorter_than_its_first_limit_and_money_adds_up():
    place = Place(executor_hour=1.0, driver_hour=0.0, egress_gb=0.1, scene_mb=100.0)
    few, many = estimated(place=place), estimated(executors=100, place=place)
    for one in (few, many):
        assert one.hours >= one.limits[one.first_limit] * 0.999
        assert one.total_money == pytest.approx(sum(one.money.values()))
        assert one.money["egress"] == pytest.approx(1000 * 0.1 * 0.1)
        assert one.money["executors"] == pytest.approx(one.hours * one.executors)
    assert many.hours < few.hours


# === Command line ===


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.slow
def test_processes_are_measured_to_tables_that_add_up(tmp_path):
    sizes = ["--scenes", "2", "--size", "128", "--tile", "64", "--rounds", "1", "--jobs", "1"]
    done = call("scale", *sizes, "--engines", "processes", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    with open(tmp_path / "plain.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["on"] for row in rows] == ["processes 1 x 1", "processes 1 x 2"]
    for row in rows:
        parts = ("start", "load", "map", "write", "other", "end")
        assert sum(float(row[p]) for p in parts) == pytest.approx(float(row["total s"]), abs=0.4)
        assert float(row["map"]) > 0
    with open(tmp_path / "simulated.csv", newline="") as file:
        simulated = list(csv.DictReader(file))
    assert len(simulated) == 2
    page = (tmp_path / "scale.md").read_text()
    assert "8 tiles" in page
    assert "Machine: " in page
    assert list((tmp_path / "work" / "shards").glob("*.parquet")) == []


@pytest.mark.slow
def test_one_large_scene_is_measured(tmp_path):
    arguments = ["--size", "300", "--rounds", "1", "--engines", "processes", "--method"]
    done = call("large", *arguments, "published", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    with open(tmp_path / "large.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["tiles"] == "4"
        assert 0 < float(row["first shard s"]) < float(row["total s"])
        assert float(row["largest worker MiB"]) > 20


def test_estimates_need_measured_costs_and_then_have_a_row_a_case(tmp_path):
    missing = call("estimate", "--out", str(tmp_path))
    assert missing.exit_code == 1
    COSTS.save(tmp_path / "costs-large-spark-local.json")
    (tmp_path / "dispatch.json").write_text("0.01")
    arguments = ["--counts", "1000,10000", "--executors", "10,100", "--out", str(tmp_path)]
    done = call("estimate", *arguments)
    assert done.exit_code == 0, done.output
    with open(tmp_path / "estimate.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["scenes"], row["executors"]) for row in rows] == [
        ("1,000", "10"), ("1,000", "100"), ("10,000", "10"), ("10,000", "100"),
    ]  # fmt: skip


def test_an_unknown_engine_is_told(tmp_path):
    done = call("large", "--size", "64", "--engines", "dask", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert 'there is no engine "dask"' in done.output
