"""Reading STAC catalogues within limits: pages of an API, links of a static catalogue.

A server may send endless pages, repeated pages, catalogues that contain themselves, or nothing.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shapely.geometry import mapping

from polynya.attempt import Failure, attempt
from polynya.environment import install_command
from polynya.errors import MissingDependencyError, SceneError, SourceError, reason_of
from polynya.recipe.acquire import StacOptions
from polynya.sources.access.addresses import is_remote, read_local, resolve
from polynya.sources.access.web import LARGEST_DOCUMENT, Web
from polynya.sources.items.item import Item
from polynya.sources.items.region import is_box
from polynya.sources.items.selection import Selection
from polynya.storage.stores import read_object

_PAGE = 250
_MOST_PAGES = 2000
_STALE_PAGES = 5
"""Number of successive pages without a new item after which an API counts as repeating itself."""
_SECONDS_AN_ITEM = 0.1
"""Seconds that an API has for each item, in addition to the time for its first answer."""
_MOST_CATALOGUES = 10_000


@dataclass(frozen=True)
class Document:
    """A JSON object and where it was read from."""

    href: str
    """Address or path."""
    content: dict[str, Any]
    number: int = 0
    """1-based number of an object within a document; 0 for the whole document."""


class Catalogue:
    """The API or static catalogue that a recipe names."""

    def __init__(self, options: StacOptions) -> None:
        """Make a session; MissingDependencyError if pystac-client is not installed."""
        self.options = options
        try:
            import pystac_client.stac_api_io  # noqa: F401 - what follows needs it
        except ImportError:
            raise MissingDependencyError(
                "Scenes from STAC need the package pystac-client; install it with:"
                f" {install_command('stac')}"
            ) from None
        self._web = Web(options.timeout, options.retries)

    def read(self, href: str) -> Document:
        """Read a document.

        Args:
            href: Address or path; the caller has checked it with `resolve`.

        Raises:
            SourceError: The document can't be read or is no JSON object.
        """
        try:
            if not is_remote(href):
                content = read_local(href)
            elif href.startswith("http"):
                content = self.request(href)
            else:
                content = read_object(href)
            found = json.loads(content)
            if not isinstance(found, dict):
                raise ValueError("no JSON object")
            return Document(href, found)
        except document_errors() as error:
            raise self.unusable(href, error) from None

    def request(self, href: str, method: str = "GET", **details: Any) -> bytes:
        """Content of an answer; OSError if there is no answer or its status is an error."""
        answer = self._web.request(method, href, LARGEST_DOCUMENT, **details)
        if not 200 <= answer.status < 300:
            said = answer.content[:200].decode("utf-8", "replace")
            raise OSError(f"the server answers with status {answer.status} {said}".strip())
        return answer.content

    def unusable(self, href: str, error: Exception) -> SourceError:
        """Error for a document that can't be used."""
        catalog = self.options.catalog
        where = href if href == catalog else f"{href} of {catalog}"
        return SourceError(
            f"The STAC catalogue {where} can't be read ({reason_of(error)}); check acquire.catalog"
            " and acquire.collection in the recipe and the network."
        )


def search(catalogue: Catalogue, selection: Selection) -> Iterator[Document]:
    """Search an API, once for each part of the region.

    The region is cut at the antimeridian, because APIs treat regions that cross it differently.

    Raises:
        SourceError: The API can't be searched, or its answers never end.
    """
    from pystac_client import Client
    from pystac_client.conformance import ConformanceClasses

    options, number = catalogue.options, 0
    try:
        stac_io = _stac_io(catalogue)
        client = Client.open(options.catalog, stac_io=stac_io)
        query: dict[str, Any] = {"limit": _PAGE}
        if options.collection is not None:
            query["collections"] = [options.collection]
        if selection.start is not None and selection.end is not None:
            query["datetime"] = [selection.start, selection.end - timedelta(milliseconds=1)]
        if selection.max_cloud is not None and client.conforms_to(ConformanceClasses.QUERY):
            query["query"] = {"eo:cloud_cover": {"lte": selection.max_cloud}}
        for part in selection.parts or (None,):
            place: dict[str, Any] = {}
            if part is not None and is_box(part):
                place["bbox"] = list(part.bounds)
            elif part is not None:
                place["intersects"] = mapping(part)
            asked = client.search(**query, **place)
            # Not the client's own paging, which stops at the first empty page or never.
            for page in _pages(catalogue, stac_io, asked.url, asked.method, asked.get_parameters()):
                for content in page:
                    number += 1
                    yield Document(options.catalog, content, number)
    except document_errors() as error:
        raise catalogue.unusable(options.catalog, error) from None


def walk(catalogue: Catalogue, root: Document) -> Iterator[Document | Item]:
    """Follow the links of a static catalogue.

    Yields:
        Addresses of items; a link or catalogue that can't be read is an item with a problem.

    Raises:
        SourceError: The catalogue never ends.
    """
    most = catalogue.options.most_items
    seen, catalogues, found = {root.href}, 1, 0
    waiting: deque[Document] = deque([root])
    while waiting:
        here = waiting.popleft()
        for number, link in enumerate(_list(here.content.get("links"))):
            if not isinstance(link, dict) or link.get("rel") not in ("item", "child"):
                continue
            what = f"Link {number} of {here.href}"
            target = attempt(lambda: resolve(link.get("href"), here.href, what), what, "followed")  # noqa: B023
            if isinstance(target, Failure):
                yield Item(id=f"link-{number}", uri=here.href).failed(target.reason)
                continue
            if target in seen:
                continue
            seen.add(target)
            if link["rel"] == "item":
                found += 1
                if found > most:
                    raise _endless(catalogue, f"lists more than {most} items")
                yield Document(target, {})
                continue
            catalogues += 1
            if catalogues > _MOST_CATALOGUES:
                raise _endless(catalogue, f"has more than {_MOST_CATALOGUES} catalogues in itself")
            child = attempt(lambda: catalogue.read(target), target, "read")  # noqa: B023
            if isinstance(child, Failure):
                yield Item(id=name_of(target), uri=target).failed(child.reason)
            else:
                waiting.append(child)


def name_of(href: str) -> str:
    """Name for an unreadable document, from its address."""
    return href.rstrip("/").rpartition("/")[2].removesuffix(".json")


def malformed() -> tuple[type[Exception], ...]:
    """Exceptions for a document that is no JSON, or JSON but no STAC.

    pystac has no special exception for this. It fails with the first error of its parsing (a
    missing key, a list instead of a string, an unknown version).
    """
    from pystac import STACError

    return (
        STACError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
        NotImplementedError,
    )  # fmt: skip


def document_errors() -> tuple[type[Exception], ...]:
    """Exceptions for a document that is missing, doesn't arrive, or is malformed."""
    from pystac_client.exceptions import APIError

    return (OSError, APIError, SceneError, *malformed())


def _stac_io(catalogue: Catalogue) -> Any:
    """Reader for pystac-client that uses Polynya's requests, which have limits."""
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    class StacIO(StacApiIO):
        def request(
            self,
            href: str,
            method: str | None = None,
            headers: dict[str, str] | None = None,
            parameters: dict[str, Any] | None = None,
        ) -> str:
            how = "json" if method == "POST" else "params"
            try:
                content = catalogue.request(
                    href, method or "GET", headers=headers, **{how: parameters}
                )
            except OSError as error:
                raise APIError(reason_of(error)) from None
            return content.decode()

    return StacIO()


def _pages(
    catalogue: Catalogue,
    stac_io: Any,
    url: str,
    method: str | None,
    parameters: dict[str, Any] | None,
) -> Iterator[list[Any]]:
    """Items of each page of a search."""
    from pystac import Link

    options = catalogue.options
    began = time.monotonic()
    known: set[str] = set()
    asked: set[str] = set()
    stale = 0
    page = stac_io.read_json(url, method=method, parameters=parameters)
    for _ in range(_MOST_PAGES):
        features = _list(page.get("features"))
        before = len(known)
        known.update(_identity(feature) for feature in features)
        if len(known) > options.most_items:
            raise _endless(catalogue, f"lists more than {options.most_items} items")
        stale = 0 if len(known) > before else stale + 1
        yield features
        links = (link for link in _list(page.get("links")) if isinstance(link, dict))
        following = next((link for link in links if link.get("rel") == "next"), None)
        if following is None:
            return
        request = json.dumps(following, sort_keys=True)
        if request in asked or stale >= _STALE_PAGES:
            raise _endless(catalogue, "repeats its pages")
        asked.add(request)
        if time.monotonic() - began > 2 * options.timeout + _SECONDS_AN_ITEM * len(known):
            raise _endless(catalogue, f"has listed only {len(known)} items in all that time")
        page = stac_io.read_json(Link.from_dict(following), parameters=parameters)
    raise _endless(catalogue, f"lists more than {_MOST_PAGES} pages")


def _identity(feature: object) -> str:
    if isinstance(feature, dict):
        return f"{feature.get('collection')}/{feature.get('id')}"
    return repr(feature)[:99]


def _endless(catalogue: Catalogue, what: str) -> SourceError:
    return SourceError(
        f"The STAC catalogue {catalogue.options.catalog} {what}; ask for less (acquire.region,"
        " dates, collection in the recipe) or set acquire.most_items higher, and report it to who"
        " runs the catalogue if it never ends."
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
