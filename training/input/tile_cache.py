"""Decoded tiles, one copy per machine: its ranks decode the tiles together and share the copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

from polynya.environment import cache_folder
from polynya.errors import OutputError, reason_of
from polynya.progress import progress
from polynya.recipe.training import InputOptions
from polynya.shards.dataset import DATASET_FILE, RowGroup, ShardSet
from polynya.shards.manifest import MANIFEST_FILE
from polynya.storage.files import write_text
from training.input.tile_file import (
    FORMAT,
    Contents,
    Tiles,
    description_of,
    find_tiles,
    nameless_file,
    with_checksums,
)
from training.ranks.agreement import gather_results, together
from training.ranks.port import Collective

_REQUESTS_AT_ONCE = 16
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


def open_tiles(
    shards: ShardSet,
    size: int,
    options: InputOptions,
    collective: Collective,
    threads: int,
) -> Tiles:
    """Open all tiles of a data set, decoded once per machine. Every rank must call it.

    Args:
        shards: The data set.
        size: Edge of a tile in pixels, at least that of the shards.
        options: Where to keep the tiles: "memory" or "disk".
        collective: The ranks.
        threads: Number of threads of this rank.

    Raises:
        ShardError: A file is missing or damaged; every rank raises it.
        OutputError: There is no room for the tiles, or the folder can't be used; every rank raises
            it.
    """
    machines = collective.gather(_machine())
    neighbours = [rank for rank, machine in enumerate(machines) if machine == _machine()]
    leader = neighbours[0]
    leads = collective.rank == leader
    leaders = {machines.index(machine) for machine in machines}

    empty = Contents(size, {}, len(shards.bands), shards.image_dtype.name, shards.label_channels)

    def find() -> tuple[Path | None, Contents | None]:
        if not leads or options.cache == "memory":
            return None, None
        return find_tiles(_cache_folder(options), _key(shards, size), empty)

    found = gather_results(collective, find)
    named, contents = found[leader]
    if all(found[rank][1] is not None for rank in leaders):
        assert named is not None
        assert contents is not None
        return together(collective, lambda: contents.map(named))
    # At least one machine must decode the tiles. Ranks of the other machines take part in all
    # exchanges.
    is_missing = contents is None
    groups = gather_results(
        collective, lambda: shards.row_groups(shards.scene_ids) if collective.rank == 0 else []
    )[0]
    wanted = replace(empty, counts=_counts(groups))
    with nameless_file() as file:

        def start() -> str | None:
            return file.start(named, wanted.bytes) if leads and is_missing else None

        place = gather_results(collective, start)[leader]

        def decode() -> None:
            if place is not None:
                tiles = wanted.map(place, writable=True)
                part = neighbours.index(collective.rank), len(neighbours)
                _decode_part(shards, groups, tiles, part, threads, show=collective.rank == 0)

        def finish() -> None:
            if leads and place is not None and named is not None:
                checked = with_checksums(wanted, wanted.map(place))
                file.name_it(named)
                write_text(description_of(named), json.dumps(asdict(checked)))

        gather_results(collective, decode)
        gather_results(collective, finish)
        return together(collective, lambda: wanted.map(place or str(named)))


def _machine() -> tuple[str, int]:
    """Identify the machine: equal for processes that see each other in /proc, and only for them."""
    return _BOOT.read_text(encoding="ascii"), _PROCESSES.stat().st_ino


def _counts(groups: Sequence[RowGroup]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.scene_id] = counts.get(group.scene_id, 0) + group.tiles
    return counts


def _decode_part(
    shards: ShardSet,
    groups: Sequence[RowGroup],
    tiles: Tiles,
    part: tuple[int, int],
    threads: int,
    *,
    show: bool,
) -> None:
    """Decode part i of n of all row groups into the places of its tiles."""
    index, parts = part
    first, past = len(groups) * index // parts, len(groups) * (index + 1) // parts
    position = sum(group.tiles for group in groups[:first])
    stretches = []
    for _, of_file in groupby(groups[first:past], key=lambda group: group.file):
        stretch = list(of_file)
        start, position = position, position + sum(group.tiles for group in stretch)
        stretches.append((stretch, slice(start, position)))

    def decode(stretch: list[RowGroup], where: slice) -> int:
        shards.read_groups(stretch, tiles.images[where], tiles.labels[where])
        return where.stop - where.start

    # Requests to an object store spend most of their time waiting.
    workers = threads if shards.folder.is_local else max(threads, _REQUESTS_AT_ONCE)
    total = sum(group.tiles for group in groups[first:past])
    with (
        ThreadPoolExecutor(workers) as pool,
        progress("Decoding tiles", total, enabled=show) as advance,
    ):
        try:
            for count in pool.map(decode, *zip(*stretches, strict=True)) if stretches else ():
                advance(count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _cache_folder(options: InputOptions) -> Path:
    if options.folder is not None:
        return Path(options.folder).expanduser().absolute()
    folder = cache_folder("tiles")
    if folder is None:
        raise OutputError(
            "There is no folder that can be written for decoded tiles; name one with the variable"
            " POLYNYA_CACHE, or with the recipe's key 'training.input.folder'."
        )
    return folder


def _key(shards: ShardSet, size: int) -> str:
    """Digest of all that decoded tiles depend on: the current data set, and the size."""
    try:
        texts = [shards.folder.read(name) for name in (DATASET_FILE, MANIFEST_FILE)]
    except OSError as error:
        raise OutputError(f"{shards.folder} can't be read: {reason_of(error)}; fix that.") from None
    names = {name for names in shards.files.values() for name in names}
    versions = {n: version for n, version in shards.folder.versions().items() if n in names}
    content = [FORMAT, size, [hashlib.sha256(text).hexdigest() for text in texts], versions]
    if shards.dropped:
        content.append(shards.dropped.digest)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
