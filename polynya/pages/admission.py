"""Who may ask a page's server for something: only the browser that was given the token.

The server listens on 127.0.0.1, which other users and every page in a browser of this machine can
reach too. So a request needs the token, once in the URL and then in a cookie; it must be for this
machine by name, so that no name of another server can lead here (DNS rebinding); and it must not
come from a page of another origin, unless the user has allowed that origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_FROM_HERE = ("same-origin", "none")
"""Values of Sec-Fetch-Site: a request of our page, or of a person who opened its address."""


class Admission:
    """Token of a server."""

    def __init__(self, port: int, name: str = "thresholds", origins: Collection[str] = ()) -> None:
        """Make a token for a server.

        Args:
            port: Where it listens.
            name: Name of its command, for the cookie.
            origins: Origins of other pages that may read, if they know the token.
        """
        self.token = secrets.token_urlsafe(32)
        # Cookies don't know ports, so the name does.
        self._cookie = f"polynya-{name}-{port}"
        self._origins = frozenset(origins)
        self._once = secrets.token_urlsafe(32)

    @property
    def cookie(self) -> str:
        """Value of the header Set-Cookie."""
        return f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    @property
    def once(self) -> str:
        """Token for one request: other users can see what a browser is started with."""
        return self._once

    def is_guest(self, origin: str | None) -> bool:
        """Whether a page of this origin may read what it gets."""
        return origin in self._origins

    def allows(self, headers: Mapping[str, str], token: str | None, *, changes: bool) -> bool:
        """Whether a request may be answered.

        Args:
            headers: Its headers.
            token: Token in its URL; None without one.
            changes: Whether it changes something. It must say then that it comes from our page.
        """
        host = headers.get("Host", "")
        if not _is_local(host):
            return False
        origin = headers.get("Origin")
        is_known = origin is None or origin in self._origins
        if origin != f"http://{host}" and (changes or not is_known):
            return False
        if token is not None:
            return self._knows(token)
        site = headers.get("Sec-Fetch-Site", "none")
        return site in _FROM_HERE and self._has_cookie(headers.get("Cookie", ""))

    def _knows(self, token: str) -> bool:
        if compare_digest(token.encode(), self.token.encode()):
            return True
        if compare_digest(token.encode(), self._once.encode()):
            self._once = secrets.token_urlsafe(32)
            return True
        return False

    def _has_cookie(self, header: str) -> bool:
        try:
            found = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return found is not None and compare_digest(found.value.encode(), self.token.encode())


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in [local.strip("[]") for local in _LOCAL]
