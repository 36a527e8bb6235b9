"""A data set with faults through all commands of a user: what is found, and what comes out.

A generated set in the form of "Kelp Wanted" (`data_samples.kelp`) is imported, inspected, cleaned,
split by near-duplicates, learnt on two ranks by the shipped recipe `kelp` with a small network, and
mapped to a submission.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.cli import QuickOption
from benchmarks.common.commands import ROOT, CommandFailedError, run
from benchmarks.common.report import Report, table_of
from benchmarks.kelp.groups import Pairs, pairs_table, score_pairs
from data_samples.kelp import FAULTS, IMAGES, SIZE, Planted, write_kelp
from polynya.errors import PolynyaError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.shards.manifest import MANIFEST_FILE
from polynya.splits.split_file import read_split
from polynya.storage.files import output_folder
from polynya.storage.output_folder import open_output

_FAILED = "failed"
SAMPLING: dict[str, Any] = load_recipe("kelp").training.sampling.model_dump(exclude={"samples"})
"""Weights of tiles in the second place of the competition (docs/splits.md)."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    size: int
    """Edge of the tiles in pixels."""
    tiles: int
    """Tiles to learn from."""
    test: int
    """Tiles of other places to map."""
    each: int
    """Tiles with each fault."""
    epochs: int
    filters: tuple[int, ...] = (4, 8)

    def recipe(self, split: Path) -> Recipe:
        """The shipped recipe with a split, a small network, few epochs and weights of tiles."""
        content = load_recipe("kelp").model_dump(mode="json", exclude_unset=True)
        content["tiles"]["size"] = self.size
        content["split"] = {"file": str(split), "fold": 0}
        content["model"] = {
            "filters": list(self.filters),
            "dropout": [0.0] * len(self.filters),
            "stem": 2,
        }
        content["training"] = {
            "epochs": self.epochs,
            "batch_size": 4,
            "learning_rate": 0.005,
            "sampling": SAMPLING,
        }
        return Recipe.model_validate(content)


def flow(
    report: Report,
    tiles: Annotated[int, typer.Option(min=40, help="Tiles to learn from.")] = 300,
    test: Annotated[int, typer.Option(min=1, help="Tiles of other places to map.")] = 8,
    faulty: Annotated[int, typer.Option(min=1, help="Tiles with each fault.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the training.")] = 2,
    quick: QuickOption = False,
) -> None:
    """Take a faulty data set from files to a submission; count the faults that are found."""
    plan = Plan(64, 60, 2, 1, 1) if quick else Plan(SIZE, tiles, test, faulty, epochs)
    folder = report.folder / "flow"
    planted = run_plan(plan, folder)
    named = findings_of(folder / "page.html")
    tables = {
        "faults": faults_table(planted, named),
        "flow_groups": pairs_table([group_score(planted, folder / "split.json")]),
    }
    about = (
        f"{plan.tiles} tiles of {plan.size} x {plan.size} pixels, {plan.each} with each fault;"
        f" {plan.epochs} epochs on 2 ranks; {plan.test} tiles of other places mapped."
    )
    report.write("flow", "Kelp tiles: from files with faults to a submission", about, tables)


def run_plan(plan: Plan, folder: Path) -> list[Planted]:
    """Make the tiles and give all commands; the folder has the results, old ones are replaced.

    Raises:
        CommandFailedError: A command failed.
        PolynyaError: The import wrote no shards.
        OutputError: A file can't be written.
    """
    with open_output(folder / "tiles", "samples") as place:
        planted = write_kelp(place, 0, plan.tiles, plan.size, plan.each)
    with open_output(folder / "test", "samples") as place:
        write_kelp(place, 1, plan.test, plan.size, 0)
    recipe, logs = folder / "recipe.yaml", output_folder(folder / "logs")
    plan.recipe(folder / "split.json").save(recipe)
    shards, page, split = (str(folder / name) for name in ("shards", "page.html", "split.json"))
    model, maps = str(folder / "model"), str(folder / "maps")

    def give(name: str, *words: str) -> None:
        run(["polynya", *words], logs / f"{name}.txt")

    tiles = str(folder / "tiles")
    with suppress(CommandFailedError):  # Of planted masks that can't be read, it says 1.
        give("import", "import", "kelp", tiles, "--out", shards, "--recipe", str(recipe),
             "--overwrite")  # fmt: skip
    if not Path(shards, MANIFEST_FILE).is_file():
        raise PolynyaError(f"The import wrote no shards; {logs / 'import.txt'} says why.")
    give("inspect", "inspect", shards, "--out", page, "--restore")
    wrong = {fault.finding for fault in FAULTS.values()} - {_FAILED}
    cleaned = str(folder / "page-cleaned.html")
    give("drop", "inspect", shards, "--out", cleaned, "--drop", *sorted(wrong))
    give("split", "split", shards, "--by", "duplicates", "--out", split)
    train = ["horovodrun", "--gloo", "-np", "2", sys.executable, str(ROOT / "training/train.py")]
    words = ["--shards", shards, "--recipe", str(recipe), "--out", model, "--overwrite"]
    run([*train, *words], logs / "train.txt")
    tests = str(folder / "test" / IMAGES)
    give("predict", "predict", model, tests, "--out", maps, "--products", "overlay", "--overwrite")
    give("submission", "submission", model, maps, "--out", str(folder / "submission.tar"))
    return planted


class _Findings(HTMLParser):
    """The tiles that each finding of a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, set[str]] = {}
        self._section: str | None = None
        self._in_line = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "section":
            self._section = told.get("id")
        self._in_line = tag == "li"

    def handle_data(self, data: str) -> None:
        if self._in_line and self._section is not None:
            self.named.setdefault(self._section, set()).add(data.partition(",")[0].split(":")[0])
        self._in_line = False

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._section = None


def findings_of(page: Path) -> dict[str, set[str]]:
    """Read which tiles a page of `polynya inspect` names, by finding."""
    parser = _Findings()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.named


def faults_table(planted: Sequence[Planted], named: Mapping[str, set[str]]) -> Table:
    """One row per fault: tiles that have it, and how many of them the page names.

    A copy is found if the page names it or the tile of which it is a copy: bytes don't tell which
    was first.
    """
    rows = []
    for name, fault in FAULTS.items():
        own = [tile for tile in planted if tile.fault == name]
        found = named.get(fault.finding, set())
        of_place = {tile.place: {t.tile for t in planted if t.place == tile.place} for tile in own}
        is_found = [
            bool(found & of_place[tile.place]) if name == "copy" else tile.tile in found
            for tile in own
        ]
        rows.append((name, fault.finding, len(own), sum(is_found)))
    table = table_of(
        "Planted faults, and tiles that the page names",
        rows,
        {
            "fault": lambda row: row[0],
            "finding": lambda row: row[1],
            "planted": lambda row: str(row[2]),
            "found": lambda row: str(row[3]),
        },
    )
    faulty = {t.tile for t in planted if t.fault}
    copied = {t.place for t in planted if t.fault == "copy"}
    faulty |= {t.tile for t in planted if t.place in copied}
    extra = {f.finding: len(named.get(f.finding, set()) - faulty) for f in FAULTS.values()}
    rest = tuple((f"no fault, but called {name}", name, "0", str(count))
                 for name, count in sorted(extra.items()) if count)  # fmt: skip
    return Table(table.title, table.columns, (*table.rows, *rest))


def group_score(planted: Sequence[Planted], split: Path) -> Pairs:
    """Score the groups of a split file against the places of the tiles in it."""
    groups = {key[0]: tile.group for key, tile in read_split(split).tiles.items()}
    known = [tile for tile in planted if tile.tile in groups]
    return score_pairs(
        "polynya split",
        [tile.place for tile in known],
        [groups[tile.tile] for tile in known],
    )
