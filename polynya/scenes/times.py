"""Acquisition times of scenes, from the tags of a file or from its name.

A time is never guessed. A date alone is the interval of the whole day. Times without a zone are
UTC, as is usual for satellites.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from polynya.errors import SceneError
from polynya.rasters.opening import opened_raster
from polynya.scenes.scene import Scene

_TAGS = (
    "ACQUIRED",  # `polynya scenes`
    "ACQUISITIONDATETIME",  # GDAL's domain IMAGERY: WorldView, Pleiades, PlanetScope and others
    "DATATAKE_1_DATATAKE_SENSING_START",  # Sentinel-2
    "SENSING_TIME",
    "ACQUISITION_START_TIME",
    "DATETIME_ORIGINAL",
    "EXIF_DATETIMEORIGINAL",
    "NITF_IDATIM",
    "DATETIME",
)
_PAIRS = (("DATE_ACQUIRED", "SCENE_CENTER_TIME"), ("RANGEBEGINNINGDATE", "RANGEBEGINNINGTIME"))
"""Pairs of tags for date and time (Landsat, MODIS)."""
_FILE_TIME = "TIFFTAG_DATETIME"
"""Tag with the time of the acquisition, or only the time when a program wrote the file. It counts
only if the file's name doesn't contradict it."""

_STAMP = re.compile(
    r"(?P<y>\d{4})[-:]?(?P<m>\d\d)[-:]?(?P<d>\d\d)"
    r"(?:[T ]?(?P<H>\d\d):?(?P<M>\d\d):?(?P<S>\d\d)(?P<f>\.\d+)?)?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_YEAR = r"(?P<y>(?:19|20)\d\d)"
_DAY_OF_YEAR = r"(?P<j>[0-3]\d\d)"
_IN_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        # Sentinel, PlanetScope, WorldView: 20190723T150911, 20190723_150911, 20190723150911, also
        # with dashes. Not 20190723_000012, which is a counter and not a time.
        rf"(?<!\d){_YEAR}(?P<m>\d\d)(?P<d>\d\d)"
        r"(?:(?:[Tt]|[-_][Tt]?(?!0000))?(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?:\d|Z|\.\d+)?)?(?!\d)",
        rf"(?<!\d){_YEAR}-(?P<m>\d\d)-(?P<d>\d\d)"
        r"(?:[Tt_ ](?P<H>\d\d)[-_:]?(?P<M>\d\d)[-_:]?(?P<S>\d\d)Z?)?(?!\d)",
        # MODIS and VIIRS: A2020157.2230, the day of the year; .2022256.
        rf"(?<![A-Za-z0-9])A{_YEAR}{_DAY_OF_YEAR}(?:\.(?P<H>\d\d)(?P<M>\d\d))?(?!\d)",
        rf"(?<=\.){_YEAR}{_DAY_OF_YEAR}(?!\d)",
        # GOES: s20201571500203, to the tenth of a second.
        rf"(?<![A-Za-z0-9])s{_YEAR}{_DAY_OF_YEAR}(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)\d(?!\d)",
        # Landsat before 2017: LC80010022020157LGN00.
        rf"(?<![A-Za-z0-9])L[COTEM]\d\d{{6}}{_YEAR}{_DAY_OF_YEAR}(?!\d)",
        # Maxar's deliveries: 20JUN05222803-M2AS.
        rf"(?<![A-Za-z0-9])(?P<yy>\d\d)(?P<mon>{'|'.join(_MONTHS)})(?P<d>\d\d)"
        r"(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?!\d)",
    )
)


@dataclass(frozen=True)
class Interval:
    """Interval of a scene's acquisition; start equals end if it is known to the second."""

    start: datetime
    end: datetime

    @property
    def is_moment(self) -> bool:
        return self.start == self.end


def acquired(scene: Scene) -> Interval | None:
    """Find the acquisition time of a scene; None if neither tags nor name have one."""
    try:
        with opened_raster(scene.uri) as source:
            tags = {**source.tags(ns="IMAGERY"), **source.tags()}
    except SceneError:
        tags = {}
    return time_of(tags, scene.id)


def time_of(tags: Mapping[str, str], name: str) -> Interval | None:
    """Find the time in the tags of a file, else the time in its name.

    Args:
        tags: Text by name.
        name: Name of the file.
    """
    known = {key.upper(): text for key, text in tags.items()}
    candidates = [known.get(tag, "") for tag in _TAGS]
    candidates += [f"{known.get(day, '')} {known.get(time, '')}" for day, time in _PAIRS]
    said = [found for text in candidates if (found := _stamp(text))]
    for found in said:
        if found.is_moment:
            return found
    of_file, of_name = _stamp(known.get(_FILE_TIME, "")), name_time(name)
    given = said[0] if said else of_name
    if of_file and of_file.is_moment and (given is None or _narrows(of_file, given)):
        return of_file
    if said and of_name and of_name.is_moment and _narrows(of_name, said[0]):
        return of_name
    return given


def name_time(name: str) -> Interval | None:
    """Find the first date in a name, with a time if it has one; None if there is no date.

    In names, the acquisition comes first, and the time of processing later.
    """
    found = sorted(_in_name(name), key=lambda pair: pair[0])
    if not found:
        return None
    first = found[0][1]
    same_day = (time for _, time in found if time.is_moment and _narrows(time, first))
    return next(same_day, first)


def _in_name(name: str) -> Iterator[tuple[int, Interval]]:
    for pattern in _IN_NAMES:
        for match in pattern.finditer(name):
            found = _interval(match.groupdict())
            if found:
                yield match.start(), found


def _narrows(time: Interval, given: Interval) -> bool:
    """Whether a time is more precise than an interval, and doesn't contradict it."""
    return not given.is_moment and given.start <= time.start <= given.end


def _stamp(text: str) -> Interval | None:
    """Read a date or time from a tag: ISO 8601, with EXIF's colons, or digits alone."""
    match = _STAMP.fullmatch(text.strip().strip("\"'"))
    return _interval(match.groupdict()) if match else None


def _interval(parts: dict[str, str | None]) -> Interval | None:
    """Make an interval from the parts of a time.

    An invalid time gives the whole day; an invalid day gives None.
    """
    try:
        day = _day(parts)
        of_day = Interval(day, day + timedelta(days=1, seconds=-1))
    except (ValueError, OverflowError):
        return None
    if parts.get("H") is None:
        return of_day
    try:
        # Names of MODIS granules have no seconds, because granules begin at full minutes.
        seconds = int(parts.get("S") or 0)
        time = day.replace(
            hour=int(parts["H"] or 0),
            minute=int(parts["M"] or 0),
            second=min(seconds, 59) if seconds <= 60 else seconds,  # STAC has no leap seconds.
            microsecond=int(float(parts.get("f") or 0) * 1e6),
        )
        time -= _offset(parts.get("zone") or "Z")
    except (ValueError, OverflowError):
        return of_day
    return Interval(time, time)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    away = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return away if zone[0] == "+" else -away


def _day(parts: dict[str, str | None]) -> datetime:
    if parts.get("j"):
        found = datetime.strptime(f"{parts['y']} {parts['j']}", "%Y %j")
    elif parts.get("mon"):
        month = _MONTHS.index(parts["mon"] or "") + 1
        found = datetime(2000 + int(parts["yy"] or 0), month, int(parts["d"] or 0))
    else:
        found = datetime(int(parts["y"] or 0), int(parts["m"] or 0), int(parts["d"] or 0))
    return found.replace(tzinfo=UTC)
