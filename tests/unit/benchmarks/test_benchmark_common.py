"""What all benchmarks share: options from functions, pages of tables, commands, ratios of pairs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.common import cli
from benchmarks.common.commands import CommandFailedError, run
from benchmarks.common.report import Report, percent, table_of
from benchmarks.common.scenes import write_image
from benchmarks.common.timing import median_ratio
from benchmarks.common.workers import for_each_scene
from polynya.errors import EngineError, PolynyaError
from polynya.recipe.scene import SceneOptions
from polynya.scenes.reading import open_scene, read_scene


@dataclass(frozen=True)
class Sizes:
    """Options of a command."""

    rows: Annotated[int, typer.Option("--height", help="In pixels.")] = 3
    columns: int = 4
    bands: int = field(default=5, init=False)


@dataclass(frozen=True)
class Spec:
    """A scene for workers."""

    size: int


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(cli, "BENCH", tmp_path / "bench")

    def default(report: Report) -> None:
        typer.echo("default")

    def sizes(report: Report, of: Sizes, name: str = "a") -> None:
        typer.echo(f"{report.folder.name} {of.rows} {of.columns} {of.bands} {name}")

    def fail(report: Report) -> None:
        raise PolynyaError("it is broken; fix it")

    return cli.make_app("room", sizes, fail, default=default)


def test_a_dataclass_is_options_and_a_report_is_a_folder(app: typer.Typer, tmp_path: Path) -> None:
    words = ["sizes", "--height", "7", "--name", "b", "--out", str(tmp_path / "mine")]
    done = CliRunner().invoke(app, words)
    assert done.output == "mine 7 4 5 b\n"
    # A command doesn't make the folder of what is done without one.
    assert not (tmp_path / "bench").exists()
    assert CliRunner().invoke(app, []).output == "default\n"
    assert (tmp_path / "bench" / "room").is_dir()


def test_an_error_is_a_sentence(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["fail"])
    assert done.exit_code == 1
    assert "Error: it is broken; fix it" in done.output


def test_names_come_in_their_own_order_and_unknown_ones_are_told() -> None:
    assert cli.names_of("c, a", "thing", ["a", "b", "c"]) == ["a", "c"]
    assert cli.names_of("", "thing", ["a", "b"]) == ["a", "b"]
    with pytest.raises(PolynyaError, match='there is no thing "d" for --things: use a, b'):
        cli.names_of("a,d", "thing", ["a", "b"])
    assert cli.numbers_of("1,20") == [1, 20]


def test_a_page_says_how_and_where_its_tables_were_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    squares = table_of("Squares", (1, 2), {"n": str, "square": lambda n: f"{n * n}"})
    assert squares.rows == (("1", "1"), ("2", "4"))
    report = Report(tmp_path, "python -m squares")
    page = report.write("page", "Numbers", "Small ones.", {"squares": squares})
    assert page == (tmp_path / "page.md").read_text()
    assert "Command: `python -m squares`\n\nMachine: " in page
    assert (tmp_path / "squares.csv").read_text() == "n,square\n1,1\n2,4\n"
    assert "Squares" in capsys.readouterr().out
    report.write("page", "Numbers", "Small ones.", {"squares": squares}, [], printed=False)
    assert "Squares" not in (tmp_path / "page.md").read_text() + capsys.readouterr().out


def test_shares_are_percent_and_ratios_are_of_pairs() -> None:
    assert [percent(0.5), percent(np.nan), percent(1 / 3, digits=1)] == ["50.00", "", "33.3"]
    assert median_ratio([2, 40, 9], [1, 10, 3]) == 3


def test_a_command_is_named_with_what_it_said_at_the_end(tmp_path: Path) -> None:
    program = "import os; print('x' * 10 + os.environ['WORD']); raise SystemExit(4)"
    with pytest.raises(CommandFailedError, match="(?s)ended with code 4: .*output.txt:\nx+hello"):
        run([sys.executable, "-c", program], tmp_path / "output.txt", WORD="hello")


def test_an_image_is_read_as_it_was_written(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(1, 256, (20, 30, 3), np.uint8)
    image[:5] = 0
    write_image(tmp_path / "folder" / "scene.tif", image, zlevel=1)
    found, valid = read_scene(open_scene(str(tmp_path / "folder/scene.tif"), SceneOptions()))
    np.testing.assert_array_equal(found, image)
    assert valid[5:].all()
    assert not valid[:5].any()


def _half(spec: Spec) -> int | None:
    if spec.size == 0:
        os._exit(1)
    return None if spec.size == 2 else spec.size // 2


def test_results_come_in_the_order_of_scenes_and_none_is_lost() -> None:
    assert for_each_scene(_half, [Spec(4), Spec(2), Spec(8)], "Halving", jobs=1) == [2, None, 4]
    assert for_each_scene(_half, [], "Halving") == []
    with pytest.raises(EngineError, match=r"Halving: Spec\(size=0\)"):
        for_each_scene(_half, [Spec(0)], "Halving", jobs=1)
