"""The list of benchmarks: what each makes of its measurements, the result and its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.common.commands import CommandFailedError
from benchmarks.common.meter import Cost
from benchmarks.common.results import KEPT, Baseline, Measurement, read_result
from benchmarks.input.data import InputFiles
from benchmarks.labelling.jobs.timed import RunRecord, UnitRecord
from benchmarks.labelling.measured.compare import Run
from benchmarks.labelling.measured.scaling import ScalingRun
from benchmarks.labels.agreement import Agreement
from benchmarks.labels.speed import COPY
from benchmarks.maps.speed import SpeedRun
from benchmarks.suite import __main__ as suite
from benchmarks.suite import labelling, models
from benchmarks.suite.parts import PARTS, Part
from benchmarks.suite.pictures import workers_of
from benchmarks.training.ranks.jobs import Measured
from benchmarks.training.table import Row

UNIT = UnitRecord("label_unit", 1, 0.0, 1.0, 1.0, 0.5, 0.25, 0.1, 0.1)


def scaling(setups, images, method, tile, rounds, folder, *, burn_s):
    """Runs that take half as long on two workers, a tenth longer in each round."""
    return [
        ScalingRun(
            setup,
            number,
            Cost(wall_s=9.0),
            RunRecord(16, 100, (replace(UNIT, end=(10 + number) / setup.workers),)),
            1.25,
        )
        for number in range(rounds)
        for setup in setups
    ]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch):
    """Replace what starts programs and generates scenes."""
    for module in (labelling, models):
        monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(labelling, "make_files", lambda *arguments: [])
    monkeypatch.setattr(labelling, "measure_scaling", scaling)


def by_name(measurements: list[Measurement]) -> dict[str, Measurement]:
    return {one.name: one for one in measurements}


def test_table_1_has_speeds_and_speed_ups_beside_the_papers(measured, tmp_path: Path) -> None:
    found = by_name(labelling.table_1(True, tmp_path))
    assert found["table-1: 1 processes"].values == pytest.approx((10.0, 100 / 11, 100 / 12))
    two = found["table-1: 2 processes"]
    assert two.paper == pytest.approx(4224 / 8.89)
    assert two.times_baseline == pytest.approx(2.0)
    speed_up = found["table-1: 2 processes, speed-up"]
    assert (speed_up.values, speed_up.paper) == ((2.0, 2.0, 2.0), 2.0)


def test_table_2_has_the_work_and_the_loading_of_spark(measured, tmp_path: Path) -> None:
    found = by_name(labelling.table_2(True, tmp_path))
    assert found["table-2: spark local 1 x 2, speed-up"].paper == pytest.approx(390 / 174)
    loading = found["table-2: spark local 1 x 2, speed-up of loading"]
    assert (loading.median, loading.paper) == (2.0, pytest.approx(108 / 58))
    full = by_name(labelling.table_2(False, tmp_path))
    assert full["table-2: spark cluster 2 x 1, speed-up"].paper == 2.5


def test_pipelines_are_compared_in_tiles_of_wall_and_processor_time(
    measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(scenes, rounds, cores, folder, few, pipelines):
        return [
            Run(pipeline, number, 100, Cost(wall_s=wall, cpu_s=2 * wall))
            for number in range(rounds)
            for pipeline, wall in zip(pipelines, (10.0, 4.0), strict=True)
        ]

    monkeypatch.setattr(labelling, "run_pipelines", run)
    wall, cpu = labelling.pipelines(True, tmp_path)
    assert (wall.unit, wall.median, wall.times_baseline) == ("tiles/s", 25.0, 2.5)
    assert (cpu.unit, cpu.median, cpu.times_baseline) == ("tiles / CPU s", 12.5, 2.5)


def test_filters_are_compared_with_the_published_one(tmp_path: Path, monkeypatch) -> None:
    times = {COPY: [0.1], "none": [0.2, 0.3], "published": [2.0], "illumination": [1.0]}
    monkeypatch.setattr(labelling, "make_bench_scene", lambda spec: None)
    monkeypatch.setattr(labelling, "measure_speed", lambda scene, rounds: times)
    found = by_name(labelling.filters(True, tmp_path))
    one = found["filters: illumination, one core"]
    assert one.values == pytest.approx((1000 / 1.048576,))
    assert one.times_baseline == 2.0
    assert len(found) == 2


def test_similarity_has_a_value_for_each_scene(tmp_path: Path, monkeypatch) -> None:
    def each(task, specs, title):
        ssim = {"none": 0.9, "published": 0.8, "illumination": 0.95}
        return [Agreement(spec, ssim, ssim) for spec in specs]

    monkeypatch.setattr(labelling, "for_each_scene", each)
    found = by_name(labelling.similarity(True, tmp_path))
    assert len(found["labels: SSIM, original images"].values) == 12
    assert found["labels: SSIM, original images"].paper == 89.0
    filtered = found["labels: SSIM, illumination"]
    assert (filtered.median, filtered.paper) == (95.0, 99.64)


def test_table_3_has_the_images_of_ranks(measured, tmp_path: Path, monkeypatch) -> None:
    def table(workload, ranks, tiles, epochs, launcher):
        epoch = {n: Measured(n, 5, 48, 6.0 / n, 6.0, 0.0, ()) for n in ranks}
        return [Row(n, (epoch[n],) * epochs) for n in ranks]

    monkeypatch.setattr(models, "measure_table", table)
    found = by_name(models.table_3(True, tmp_path))
    assert found["table-3: 1 ranks"].paper == 585.88
    assert found["table-3: 2 ranks"].times_baseline == 2.0
    assert found["table-3: 2 ranks, speed-up"].paper == 1.96
    assert len(found["table-3: 2 ranks, speed-up"].values) == 5


def test_input_is_compared_with_files_in_memory(measured, tmp_path: Path, monkeypatch) -> None:
    def run_case(case, files, rounds, cores):
        first = 4.0 if case == "png" else 1.0
        return {
            "first_batch_s": first, "peak_bytes": 1, "libraries_bytes": 1,
            "rates": [100.0, 110.0], "cpu_s_per_tile": 0.1,
        }  # fmt: skip

    monkeypatch.setattr(models, "run_case", run_case)
    monkeypatch.setattr(models, "make_files", lambda folder, *sizes: InputFiles(tmp_path, 4, 64))
    found = by_name(models.input_speed(True, tmp_path))
    assert found["input: cache memory, first batch"].times_baseline == 4.0
    assert found["input: cache none"].values == (100.0, 110.0)


def test_maps_are_compared_with_tiles_through_predict(tmp_path: Path, monkeypatch) -> None:
    def speed(folders, scene, ways, work):
        seconds = {"published": 8.0, "Polynya": 2.0, "Polynya, bfloat16": 1.0}
        return [
            SpeedRun(model, way, seconds[way], 1.0, 1, 16.0, 1.0)
            for model in folders
            for way in ways
        ]

    monkeypatch.setattr(models, "make_large_scene", lambda data, size: data)
    monkeypatch.setattr(models, "save_untrained", lambda folder, name: folder)
    monkeypatch.setattr(models, "measure_speed", speed)
    (one,) = models.maps(True, tmp_path)
    assert (one.median, one.times_baseline, len(one.values)) == (8.0, 4.0, 3)
    assert len(models.maps(False, tmp_path)) == 4


def test_a_run_has_a_result_a_page_and_a_picture_also_if_a_part_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(short: bool, folder: Path) -> list[Measurement]:
        raise CommandFailedError("it is broken; fix it")

    def ratios(short: bool, folder: Path) -> list[Measurement]:
        assert short
        pair = ((8.0, 10.0, 11.0), Baseline("other way", (5.0, 5.0)))
        return [
            Measurement("maps: ours", "Mpx/s", pair[0], "higher", pair[1]),
            Measurement("table-1: 2 processes, speed-up", "", (1.5, 1.6), "higher", paper=2.0),
        ]

    parts = (Part("bad", "What fails", fail), Part("good", "What works", ratios))
    monkeypatch.setattr(suite, "PARTS", {part.name: part for part in parts})
    done = CliRunner().invoke(suite.app, ["--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "part bad: it is broken" in done.output
    assert "run them alone with --parts bad" in done.output
    result = read_result(tmp_path / "short.json")
    assert [one.name for one in result.measurements] == [
        "maps: ours", "table-1: 2 processes, speed-up"
    ]  # fmt: skip
    row = "| ours, Mpx/s | 10.0 | 9.00 to 10.5 | 3 | other way | 5.00 | 2.00 |  |"
    assert row in (tmp_path / "short.md").read_text()
    assert (tmp_path / "short.png").stat().st_size > 10_000
    assert CliRunner().invoke(suite.app, ["--parts", "other"]).exit_code == 1


def test_numbers_have_three_digits_and_names_tell_the_workers() -> None:
    numbers = [0.0123, 0.5, 1.234, 12.34, 123.4, 12345.6, None]
    written = ["0.012", "0.500", "1.23", "12.3", "123", "12346", ""]
    assert list(map(suite.number_of, numbers)) == written
    assert workers_of("table-2: spark cluster 2 x 4, speed-up") == 8
    assert workers_of("table-3: 6 ranks, speed-up") == 6


def test_the_kept_result_has_every_part() -> None:
    kept = read_result(KEPT / "short.json")
    assert {one.name.partition(":")[0] for one in kept.measurements} == set(PARTS)
