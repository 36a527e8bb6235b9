"""Tiles on real ranks of one machine: one copy that they share, or streams of row groups."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from helpers.programs.launch import launch
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import open_shards

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
CACHES = ("memory", "disk", "none")


def _told(shards: Path, folder: Path) -> list[dict[str, list[list[int]] | str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "HOROVOD_"))}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    rank = "tests/helpers/training/input_ranks.py"
    command = [sys.executable, rank, str(shards), str(folder), *CACHES]
    done = launch(
        ["horovodrun", "--gloo", "-np", "2", *command], cwd=ROOT, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_ranks_see_every_tile_once_and_fail_together(tmp_path):
    recipe = Recipe.model_validate({"tiles": {"size": 32}})
    place = write_tiny_shards(
        tmp_path / "shards", recipe, size=96, nodata_shares=[0, 0.3, 0, 0], rows_per_group=4
    )
    shards = open_shards(place)
    images, labels = shards.load(shards.scene_ids, 32)
    expected = Counter(
        (zlib.crc32(i.tobytes()), zlib.crc32(k.tobytes()))
        for i, k in zip(images, labels, strict=True)
    )
    padding = (zlib.crc32(bytes(32 * 32 * 3)), zlib.crc32(b"\xff" * 32 * 32))
    first, second = _told(place, tmp_path)
    for cache in CACHES:
        assert len(first[cache]) == len(second[cache]) == 20
        seen = Counter(tuple(tile) for tile in [*first[cache], *second[cache]])
        del seen[padding]
        assert seen == expected
    assert first["memory"] == first["disk"]

    # Another data set, one tile of which is damaged: the second rank's part, or nobody's own.
    path = place / shards.files["scene3"][0]
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 3, len(content) // 2)
    content[middle] = np.bitwise_not(np.frombuffer(content[middle], np.uint8)).tobytes()
    path.write_bytes(content)
    first, second = _told(place, tmp_path)
    for cache in ("memory", "disk"):
        assert first[cache] == second[cache]
        assert "scene3-000.parquet" in first[cache]
    # In a stream it is found when it is read, by the rank that reads it.
    assert any("scene3-000.parquet" in told["none"] for told in (first, second))
