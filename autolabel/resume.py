"""Find which scenes of a run a data set already has, and which must be labelled again.

Two scenes are the same if they have the same name and content. A scene is labelled again if its
content changed, or if its shards are gone or changed. Scenes that share a file with this scene are
labelled again with it; otherwise the old file would keep tiles that don't count.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autolabel.inspection import Found, find_contents
from autolabel.tasks import Job
from autolabel.words import Words, words_of
from polynya.names import printable, unique_id
from polynya.progress import console
from polynya.scenes.finding import SceneRef
from polynya.scenes.scene import Scene
from polynya.shards.lifecycle import damaged_files
from polynya.shards.manifest import SceneResult

Why = Literal["changed", "lost", "beside"]
_WHY: dict[Why, str] = {
    "changed": "changed since and {done} again",
    "lost": "{done} again because shards were gone or changed",
    "beside": "{done} again with {things} that share their files",
}
_NAMED = 3
"""Scenes that a line names, and lines about scenes of one content; the rest is only counted."""


@dataclass
class Work:
    """The work of a run."""

    asked: list[str]
    """Ids of the scenes that the user asked for, in order."""
    scenes: list[Scene]
    """The scenes in `asked` that can be used."""
    to_do: list[Found] = field(default_factory=list)
    """Scenes to label."""
    rows: list[SceneResult] = field(default_factory=list)
    """New manifest rows of scenes that are not labelled now: they moved or lost their shards."""
    failed: dict[str, SceneResult] = field(default_factory=dict)
    """Scenes in `asked` that can't be opened now; the data set keeps their tiles."""
    again: dict[str, Why] = field(default_factory=dict)
    """Why finished scenes are labelled again, by their ids."""

    def history(self, results: Sequence[SceneResult], words: Words) -> str:
        """Say how many results are from an earlier run or were done again: ' (...)' or ''."""
        again = [self.again.get(result.scene_id) for result in results if result.status != "failed"]
        new = {found.ref.id for found in self.to_do} | self.failed.keys()
        before = sum(name not in new for name in self.asked)
        said = [f"{before} of them before"] if before else []
        said += [
            f"{n} {text.format(done=words.done, things=words.things)}"
            for why, text in _WHY.items()
            if (n := again.count(why))
        ]
        return f" ({', '.join(said)})" if said else ""


def compare(found: Sequence[Found], known: Mapping[str, SceneResult], job: Job) -> Work:
    """Compare scenes with the manifest and its shards; print notes about unexpected findings.

    Args:
        found: The scenes that the user asked for.
        known: Rows of the manifest, by the ids of their scenes.
        job: Recipe and data set.
    """
    found = _named(found, known)
    work = Work(
        [one.ref.id for one in found], [one.scene for one in found if one.scene is not None]
    )
    same: dict[str, Found] = {}
    for one in found:
        row = known.get(one.ref.id)
        if row is None or row.status == "failed":
            work.to_do.append(one)
        elif one.scene is None and not one.is_there:
            reason = f"{one.reason} Its tiles in the data set stay."
            work.failed[one.ref.id] = SceneResult(one.ref.id, one.ref.uri, "failed", reason)
        elif one.digest != row.digest:
            work.to_do.append(one)
            work.again[one.ref.id] = "changed"
        else:
            same[one.ref.id] = one
            if row.uri != one.ref.uri:
                work.rows.append(replace(row, uri=one.ref.uri))
    _find_lost(work, same, known, job)
    _add_neighbours(work, same, known, job)
    _say_what_is_odd(work, found, known)
    return work


def _named(found: Sequence[Found], known: Mapping[str, SceneResult]) -> list[Found]:
    """Rename scenes to their names in the data set, or to names that are not in use there."""
    at_place = {row.uri: row.scene_id for row in known.values()}
    asked = {one.ref.uri for one in found}
    named = []
    for one in found:
        row = known.get(one.ref.id)
        name = at_place.get(one.ref.uri)
        if name is None and row is not None:
            moved = one.digest and one.digest == row.digest and row.uri not in asked
            name = row.scene_id if moved else unique_id(one.ref.uri)
        named.append(one if name is None else _called(one, name))
    return named


def _called(one: Found, name: str) -> Found:
    scene = None if one.scene is None else replace(one.scene, id=name)
    return replace(one, ref=SceneRef(name, one.ref.uri), scene=scene)


def _find_lost(
    work: Work, same: dict[str, Found], known: Mapping[str, SceneResult], job: Job
) -> None:
    """Mark scenes with missing or changed shards to be labelled again, or as failed.

    A scene fails if it is not among the scenes of this run.
    """
    sums = {name: one for row in known.values() for name, one in row.sums.items()}
    read = [name for scene in same for name in known[scene].file_names]
    damaged = damaged_files(job.folder, sums, read)
    to_do = {one.ref.id for one in work.to_do}
    for row in known.values():
        lost = next((name for name in row.file_names if name in damaged), None)
        if lost is None or row.scene_id in to_do:
            continue
        if row.scene_id in same:
            work.to_do.append(same.pop(row.scene_id))
            work.again[row.scene_id] = "lost"
            continue
        what = "is gone" if damaged[lost] == "gone" else "is not as Polynya wrote it"
        reason = f"{job.folder}/{lost} {what}; {words_of(job.recipe).redo} {row.uri} again."
        _note(reason)
        work.rows.append(
            SceneResult(
                row.scene_id,
                row.uri,
                "failed",
                reason,
                height=row.height,
                width=row.width,
                tiles=row.tiles,
                failed=row.tiles,
                digest=row.digest,
            )
        )


def _add_neighbours(
    work: Work, same: dict[str, Found], known: Mapping[str, SceneResult], job: Job
) -> None:
    """Add scenes that share a file with a scene that is labelled again."""
    scenes_of = defaultdict(set)
    for row in known.values():
        for name in row.file_names:
            scenes_of[name].add(row.scene_id)
    left = {row.scene_id for row in work.rows if row.status == "failed"} | work.failed.keys()
    looked_at = {one.ref.id for one in work.to_do} | left
    waiting = list(work.again)
    while waiting:
        row = known[waiting.pop()]
        beside = {name for file in row.file_names for name in scenes_of[file]} - looked_at
        looked_at |= beside
        others = [SceneRef(name, known[name].uri) for name in sorted(beside - same.keys())]
        opened = {one.ref.id: one for one in find_contents(others, job.recipe, job.retries)}
        for name in sorted(beside):
            one = same.get(name) or opened[name]
            if one.digest and one.digest == known[name].digest:
                work.to_do.append(one)
                work.again[name] = "beside"
                waiting.append(name)


def _say_what_is_odd(work: Work, found: Sequence[Found], known: Mapping[str, SceneResult]) -> None:
    asked = set(work.asked)
    moved = {row.scene_id for row in work.rows}
    gone = [
        row.uri
        for row in known.values()
        if row.scene_id not in asked | moved
        and row.status == "done"
        and os.path.isabs(row.uri)
        and not row.uri.startswith("/vsi")
        and not os.path.exists(row.uri)
    ]
    if gone:
        _note(
            f"{len(gone)} other scenes of the data set are no longer where they were"
            f" ({_some(gone)}); their tiles stay."
        )
    places = {row.scene_id: (row.digest, row.uri) for row in known.values()}
    places |= {one.ref.id: (one.digest, one.ref.uri) for one in found}
    by_content = defaultdict(list)
    for digest, uri in places.values():
        by_content[digest].append(uri)
    new = {one.digest for one in work.to_do if one.digest}
    same = [sorted(by_content[digest]) for digest in sorted(new) if len(by_content[digest]) > 1]
    for uris in same[:_NAMED]:
        _note(f"{_some(uris)} have the same content; each has its tiles in the data set.")
    if len(same) > _NAMED:
        _note(f"{len(same) - _NAMED} more groups of scenes have the same content.")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _note(text: str) -> None:
    console.print(f"Note: {printable(text)}", style="yellow", markup=False, soft_wrap=True)
