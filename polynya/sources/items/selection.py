"""Which of the items a source knows are asked for: region, days, clouds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from shapely.geometry.base import BaseGeometry

from polynya.attempt import Failure, attempt
from polynya.recipe.acquire import QueryOptions
from polynya.sources.items.item import Item
from polynya.sources.items.region import region_parts, touches


class Selection:
    """A query of the recipe, ready to be asked of items and servers."""

    def __init__(self, options: QueryOptions) -> None:
        """Read the region's file, if it is one (SourceError if it can't be used)."""
        self.parts: tuple[BaseGeometry, ...] | None = None
        """Region cut at the antimeridian; None: everywhere."""
        self.start: datetime | None = None
        """First moment, UTC; None: no limit."""
        self.end: datetime | None = None
        """First moment after; None: no limit."""
        self.max_cloud = options.max_cloud
        """Percent; None: any."""
        if options.region is not None:
            self.parts = region_parts(options.region)
        if options.dates is not None:
            first, last = options.dates
            self.start = datetime.combine(first, time(), UTC)
            # The last day of the calendar has none after it.
            following = last + timedelta(days=1) if last < date.max else last
            self.end = datetime.combine(following, time(), UTC)

    def holds(self, item: Item) -> bool:
        """Whether an item fits; what is unknown of it never speaks against it."""
        if self.start and self.end and item.time and not self.start <= item.time < self.end:
            return False
        cloud = item.cloud_cover
        if self.max_cloud is not None and cloud is not None and cloud > self.max_cloud:
            return False
        return self.parts is None or touches(self.parts, item.footprint)

    def chosen(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those that fit, and those of which it can't be said."""
        for item in items:
            holds = attempt(partial(self.holds, item), item.uri, "chosen")
            if isinstance(holds, Failure):
                yield item.failed(holds.reason)
            elif holds:
                yield item
