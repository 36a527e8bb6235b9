"""Requests to servers that may be slow, silent, endless or lying: each has limits.

A server that says nothing, sends a byte a second, more than was expected or a redirect to itself
costs a known time and a known memory, and ends in one sentence. After some requests in vain a
server isn't asked any more, so that a batch of many items ends too.
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
"""Bytes of metadata that a server may send at once, decompressed."""
PASSING = (429, 500, 502, 503, 504)
"""Status codes of failures that may pass."""
SLOWEST = 1024
"""Bytes a second; what comes more slowly counts as cut."""

_REDIRECTS = 10
_IN_VAIN = 3
"""Requests in a row that a server left unanswered before it counts as silent."""
_FIRST_WAIT = 0.5
"""Seconds before a request is sent again; doubled each time."""
_CHUNK = 65_536
_AT_ONCE = 40
"""Connections that are kept open."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, complete."""

    status: int
    headers: dict[str, str]
    """By names in lower case."""
    content: bytes
    """Decompressed."""


@dataclass
class _Transfer:
    """How far a request is; its thread writes, the one that waits reads."""

    done: threading.Event = field(default_factory=threading.Event)
    answered: bool = False
    received: int = 0
    abandoned: bool = False
    answer: Answer | None = None
    error: Exception | None = None


class Web:
    """Sends requests, again where a failure may pass. Threads may share one."""

    def __init__(self, timeout: float, retries: int) -> None:
        """Make a session.

        Args:
            timeout: Seconds that a server may be silent. After twice the time no request is sent
                again.
            retries: How often a request is sent again at most.

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
            method: Such as 'GET'.
            url: Of http or https.
            most: Bytes that may come, decompressed.
            details: Further arguments of `requests.request`.

        Returns:
            The answer, whatever its status.

        Raises:
            OSError: No answer came in time, or not all of it, or too much.
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
        # A thread of its own, which ends with the process: no library can be told to give up while
        # headers or a compressed body come byte by byte.
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
    """A failure in words; those of urllib3 name its own classes."""
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
