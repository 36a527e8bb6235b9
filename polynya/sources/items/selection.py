"""Selection of a source's items by region, days and cloud cover."""

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
    """The recipe's query, in a form for servers and for checks of items."""

    def __init__(self, options: QueryOptions) -> None:
        """Prepare the query; reads the region's file, if any (SourceError if it can't be used)."""
        self.parts: tuple[BaseGeometry, ...] | None = None
        """Region cut at the antimeridian; None: everywhere."""
        self.start: datetime | None = None
        """First moment, UTC; None: no limit."""
        self.end: datetime | None = None
        """First moment after the last day, UTC; None: no limit."""
        self.max_cloud = options.max_cloud
        """Greatest cloud cover in percent; None: any."""
        if options.region is not None:
            self.parts = region_parts(options.region)
        if options.dates is not None:
            first, last = options.dates
            self.start = datetime.combine(first, time(), UTC)
            # There is no day after the last day of Python's calendar.
            following = last + timedelta(days=1) if last < date.max else last
            self.end = datetime.combine(following, time(), UTC)

    def holds(self, item: Item) -> bool:
        """Whether an item matches; unknown properties always match."""
        if self.start and self.end and item.time and not self.start <= item.time < self.end:
            return False
        cloud = item.cloud_cover
        if self.max_cloud is not None and cloud is not None and cloud > self.max_cloud:
            return False
        return self.parts is None or touches(self.parts, item.footprint)

    def chosen(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items that match, and items that can't be checked, with the reason as problem."""
        for item in items:
            holds = attempt(partial(self.holds, item), item.uri, "chosen")
            if isinstance(holds, Failure):
                yield item.failed(holds.reason)
            elif holds:
                yield item
