"""A real headless Chromium, driven through a pair of pipes (Chrome DevTools Protocol)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polynya.errors import MissingDependencyError

PHONE, DESKTOP = 390, 1280
"""Widths of a phone and of a desktop in CSS pixels."""

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Path of the system's Chromium; MissingDependencyError where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise MissingDependencyError(
            "There is no Chromium on this machine; install it (apt-get install chromium)."
        )
    return found


class Browser:
    """One page of a running Chromium."""

    def __init__(self, to: int, back: int) -> None:
        """Open an empty page; `to` and `back` are the ends of the pipes."""
        self._to, self._back, self._number, self._rest = to, back, 0, b""
        self._session: str | None = None
        self.errors: list[str] = []
        """What the pages have written to the console as errors, and exceptions."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.requests: list[str] = []
        """Addresses that the pages have asked for, but for those that hold their content."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(
        self, page: Path | str, width: int, height: int = 900, *, dark: bool = False,
        printed: bool = False,
    ) -> None:  # fmt: skip
        """Open a file or an address at a width and wait until it and its pictures are there.

        Args:
            page: File or address.
            width: Width of the window in CSS pixels; below 600, a phone.
            height: Height of the window in CSS pixels.
            dark: Whether the person prefers dark pages.
            printed: Whether the page is shown as on paper.
        """
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if printed else "screen"
        self._call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def ask(self, expression: str) -> Any:
        """Value of an expression of JavaScript in the page; promises are awaited."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until an expression of JavaScript is true; TimeoutError if it stays false."""
        ended = self.ask(
            f"new Promise(done => {{ const end = performance.now() + {1000 * seconds};"
            f" const look = () => ({condition}) ? done(true) : performance.now() > end ?"
            " done(false) : setTimeout(look, 10); look(); })"
        )
        if not ended:
            raise TimeoutError(f"{condition}: not within {seconds} s")

    def drag(self, selector: str, right: float, down: float = 0.0) -> None:
        """Drag an element by its middle, by some CSS pixels, in a few steps."""
        x, y = self.ask(
            "(e => (e.scrollIntoView({block: 'center', behavior: 'instant'}),"
            " e = e.getBoundingClientRect(), [e.x + e.width / 2, e.y + e.height / 2]))"
            f"(document.querySelector({selector!r}))"
        )
        self._mouse("mouseMoved", x, y, held=0)
        self._mouse("mousePressed", x, y)
        for step in range(1, 6):
            self._mouse("mouseMoved", x + right * step / 5, y + down * step / 5)
        self._mouse("mouseReleased", x + right, y + down, held=0)

    def _mouse(self, kind: str, x: float, y: float, *, held: int = 1) -> None:
        self._call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=held,
            clickCount=1,
        )  # fmt: skip

    def press(self, key: str) -> None:
        """Press a key, such as ArrowRight."""
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: Path, height: int | None = None) -> None:
        """Write the page as PNG: all of it, or as much of its top as `height` CSS pixels."""
        clip = {}
        if height is not None:
            width = self.ask("document.documentElement.clientWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True, **clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._back, 2**20)
            assert piece, "Chromium has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(json.dumps(params["args"]))
        elif method == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(json.dumps(params["entry"]))


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a fresh profile, and end it with the block."""
    program = find_chromium()
    (hear, to), (back, say) = os.pipe(), os.pipe()
    words = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}",
    ]  # fmt: skip
    # Chromium hears on descriptor 3 and answers on 4. The shell moves ours there.
    moved = ["bash", "-c", f'exec "$@" 3<&{hear} 4>&{say}', "bash", *words]
    process = subprocess.Popen(moved, pass_fds=(hear, say), stderr=subprocess.DEVNULL)
    os.close(hear)
    os.close(say)
    try:
        yield Browser(to, back)
    finally:
        process.terminate()
        process.wait(30)
        os.close(to)
        os.close(back)
