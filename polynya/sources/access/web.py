"""Requests with limits, for servers that may be slow, silent, endless or wrong.

A server may be silent, send a byte per second, send too much, or redirect to itself. Each case
costs a limited time and memory, and ends with a one-sentence error. After some unanswered requests,
a server gets no more requests, so that a batch of many items also ends.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from polynya.errors import MissingDependencyError

LARGEST_DOCUMENT = 32 * 2**20
"""Greatest size of a metadata answer in bytes, decompressed."""
PASSING = (429, 500, 502, 503, 504)
"""Status codes of temporary failures."""
SLOWEST = 1024
"""Least bytes per second; a slower answer counts as broken."""

_REDIRECTS = 10
_IN_VAIN = 3
"""Number of successive unanswered requests after which a server counts as silent."""
_FIRST_WAIT = 0.5
"""Seconds before a request is sent again; doubled each time."""
_CHUNK = 65_536
_AT_ONCE = 40
"""Number of connections that are kept open."""


@dataclass(frozen=True)
class Answer:
    """Complete answer of a server."""

    status: int
    headers: dict[str, str]
    """Headers by lower-case name."""
    content: bytes
    """Decompressed content."""


@dataclass
class _Transfer:
    """Progress of a request; its thread writes it, and the waiting thread reads it."""

    done: threading.Event = field(default_factory=threading.Event)
    answered: bool = False
    received: int = 0
    abandoned: bool = False
    answer: Answer | None = None
    error: Exception | None = None


class Web:
    """Sends requests, and repeats them after temporary failures. Threads may share one object."""

    def __init__(self, timeout: float, retries: int) -> None:
        """Make a session.

        Args:
            timeout: Seconds that a server may be silent. After twice this time no request is sent
                again.
            retries: Greatest number of times that a request is sent again.

        Raises:
            MissingDependencyError: The package requests is not installed.
        """
        try:
            import requests
        except ImportError:
            raise MissingDependencyError(
                "Scenes on servers need the package requests; install it with: pip install requests"
            ) from None
        self.timeout = timeout
        self.retries = retries
        self._session = requests.Session()
        self._session.max_redirects = _REDIRECTS
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter(pool_maxsize=_AT_ONCE)
            self._session.mount(scheme, adapter)
        self._passing: tuple[type[Exception], ...] = (
            TimeoutError,
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
        )
        self._in_vain: Counter[str] = Counter()

    def request(
        self, method: str, url: str, most: int = LARGEST_DOCUMENT, **details: Any
    ) -> Answer:
        """Send a request.

        Args:
            method: HTTP method, such as 'GET'.
            url: Address of http or https.
            most: Greatest size of the answer in bytes, decompressed.
            details: Further arguments of `requests.request`.

        Returns:
            The answer, with any status.

        Raises:
            OSError: No complete answer came in time, or the answer is too large.
        """
        began = time.monotonic()
        server = urlsplit(url).netloc
        if self._in_vain[server] >= _IN_VAIN:
            raise TimeoutError(f"{server} left {_IN_VAIN} requests unanswered and isn't asked more")
        trial = 0
        while True:
            error, answer = None, None
            try:
                answer = self._once(method, url, most, details)
            except self._passing as caught:
                error = caught
            if answer is not None and answer.status not in PASSING:
                self._in_vain[server] = 0
                return answer
            wait = random.uniform(0.5, 1.0) * _FIRST_WAIT * 2.0**trial
            late = time.monotonic() + wait - began >= 2 * self.timeout
            if trial >= self.retries or late:
                if answer is not None:
                    return answer
                self._in_vain[server] += 1
                raise _plain(error, server)
            time.sleep(wait)
            trial += 1

    def _once(self, method: str, url: str, most: int, details: dict[str, Any]) -> Answer:
        transfer = _Transfer()
        # A separate daemon thread, because no library can give up while headers or a compressed
        # body come byte by byte.
        work = threading.Thread(
            target=self._transfer, args=(transfer, method, url, most, details), daemon=True
        )
        work.start()
        while True:
            answered, received = transfer.answered, transfer.received
            if transfer.done.wait(self.timeout):
                break
            if transfer.answered != answered:
                continue
            if not answered or transfer.received - received < SLOWEST * self.timeout:
                transfer.abandoned = True
                what = "sends next to nothing" if answered else "doesn't answer"
                raise TimeoutError(f"{urlsplit(url).netloc} {what} within {self.timeout:g} seconds")
        if transfer.error is not None:
            raise transfer.error
        assert transfer.answer is not None
        return transfer.answer

    def _transfer(
        self, transfer: _Transfer, method: str, url: str, most: int, details: dict[str, Any]
    ) -> None:
        import urllib3

        try:
            with self._session.request(
                method, url, stream=True, timeout=self.timeout, **details
            ) as response:
                transfer.answered = True
                content = bytearray()
                for chunk in response.iter_content(_CHUNK):
                    content += chunk
                    transfer.received = len(content)
                    if len(content) > most:
                        raise OSError(
                            f"{urlsplit(url).netloc} sends more than the {most // 2**20} MiB that"
                            " are taken"
                        )
                    if transfer.abandoned:
                        return
                headers = {name.lower(): text for name, text in response.headers.items()}
                transfer.answer = Answer(response.status_code, headers, bytes(content))
        except (OSError, ValueError, HTTPException, urllib3.exceptions.HTTPError) as error:
            transfer.error = error
        finally:
            transfer.done.set()


def _plain(error: Exception | None, server: str) -> OSError:
    """Describe a failure in plain words, because texts of urllib3 name its classes."""
    text = str(error)
    if isinstance(error, TimeoutError):
        return error
    if "timed out" in text:
        return TimeoutError(f"{server} doesn't answer in time")
    if "Max retries exceeded" in text:
        return ConnectionError(f"{server} can't be reached")
    if "Connection aborted" in text or "IncompleteRead" in text or "Connection broken" in text:
        return ConnectionError(f"the connection to {server} broke")
    return OSError(text or type(error).__name__)
