"""The page's own small web server, on 127.0.0.1 alone."""

from __future__ import annotations

import json
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from autolabel.tuner.page import POLICY, make_page
from autolabel.tuner.tuning import Tuning
from polynya import __version__
from polynya.errors import OutputError, PolynyaError
from polynya.pages.admission import Admission
from polynya.pages.files import SHARED, shared_file

HOST = "127.0.0.1"
_STATIC = {
    "/page.css": "text/css",
    "/page.js": "text/javascript",
    "/pixels.js": "text/javascript",
    "/panes.js": "text/javascript",
    "/limits.js": "text/javascript",
}
"""Files of the page, by their path; nothing else can be asked for by name."""
_LARGEST_REQUEST = 2**16
_SILENCE = 60.0
"""Seconds after which a connection without a request is closed."""
_FAST = 1
"""Level of compression: pixels travel within one machine, or through a tunnel."""


class TunerServer(ThreadingHTTPServer):
    """Serves one tuning to whoever has the token."""

    daemon_threads = True

    def __init__(self, tuning: Tuning, port: int = 0) -> None:
        """Listen on 127.0.0.1.

        Args:
            tuning: What the page shows.
            port: Port; 0 takes a free one.

        Raises:
            OutputError: The port is taken.
        """
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise OutputError(
                f"The port {port} of this machine can't be used ({error}); choose another --port,"
                " or leave it out."
            ) from None
        self.tuning = tuning
        self.admission = Admission(self.server_port)

    def server_bind(self) -> None:
        """Bind without asking for this machine's name, which can take long without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def address(self) -> str:
        """URL of the page, without a token."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that hang up in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    server: TunerServer
    protocol_version = "HTTP/1.1"
    server_version = f"polynya/{__version__}"
    sys_version = ""
    timeout = _SILENCE
    disable_nagle_algorithm = True
    _actions: ClassVar[dict[str, str]] = {
        "/filter": "_filter",
        "/check": "_check",
        "/suggest": "_suggest",
        "/save": "_save",
    }

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        tokens = parse_qs(url.query).get("token")
        token = tokens[0] if tokens and url.path == "/" else None
        if not self.server.admission.allows(_plain(self.headers), token, changes=False):
            self._refuse(HTTPStatus.FORBIDDEN)
        elif url.path == "/":
            page = make_page(self.server.tuning).encode()
            self._answer(page, "text/html", {"Set-Cookie": self.server.admission.cookie})
        elif url.path in SHARED:
            self._answer(shared_file(url.path), SHARED[url.path])
        elif url.path in _STATIC:
            name = url.path.removeprefix("/")
            content = files("autolabel.tuner").joinpath("static", name).read_bytes()
            self._answer(content, _STATIC[url.path])
        elif url.path == "/session":
            self._answer_json(self.server.tuning.describe())
        elif url.path == "/progress":
            self._answer_json(self.server.tuning.progress())
        else:
            self._tile(url.path)

    def do_POST(self) -> None:
        # The rest of a request that isn't read would be taken for the next one.
        self.close_connection = True
        if not self.server.admission.allows(_plain(self.headers), None, changes=True):
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        action = self._actions.get(self.path)
        length = self.headers.get("Content-Length", "")
        if action is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif not (length.isascii() and length.isdecimal() and int(length) <= _LARGEST_REQUEST):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            body = self.rfile.read(int(length))
            self.close_connection = False
            self._do(action, body)

    def _do(self, action: str, body: bytes) -> None:
        try:
            content = json.loads(body)
            if not isinstance(content, dict):
                raise TypeError
        except (ValueError, TypeError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            answer = getattr(self, action)(content)
        except PolynyaError as error:
            answer = {"problem": str(error)}
        self._answer_json(answer)

    def _filter(self, content: dict[str, Any]) -> dict[str, Any]:
        self.server.tuning.filter(str(content.get("method")), content.get("profile"))
        return {}

    def _check(self, content: dict[str, Any]) -> dict[str, Any]:
        self.server.tuning.checked(content.get("profile"))
        return {}

    def _suggest(self, content: dict[str, Any]) -> dict[str, Any]:
        wanted = content.get("scenes")
        numbers = [n for n in wanted if isinstance(n, int)] if isinstance(wanted, list) else []
        return self.server.tuning.suggest(numbers)

    def _save(self, content: dict[str, Any]) -> dict[str, Any]:
        said = self.server.tuning.save(content.get("profile"), str(content.get("method")))
        return {"said": said}

    def _tile(self, path: str) -> None:
        """Answer /tile/SCENE/VIEW/LEVEL/ROW/COL."""
        words = path.split("/")[1:]
        if len(words) != 6 or words[0] != "tile":
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        numbers = [words[1], *words[3:]]
        if not all(word.isascii() and word.isdecimal() and len(word) < 9 for word in numbers):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        scene, level, row, col = map(int, numbers)
        try:
            pixels = self.server.tuning.tile(scene, words[2], level, row, col)
        except PolynyaError as error:
            self._answer_json({"problem": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if pixels is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        squeeze = zlib.compressobj(_FAST, wbits=31)
        content = squeeze.compress(pixels.tobytes()) + squeeze.flush()
        height, width = pixels.shape[:2]
        size = {"Content-Encoding": "gzip", "X-Height": str(height), "X-Width": str(width)}
        self._answer(content, "application/octet-stream", size)

    def _answer_json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(content).encode(), "application/json", status=status)

    def _answer(
        self,
        content: bytes,
        kind: str,
        more: dict[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        } | (more or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with a status and nothing else."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer broken requests without a page."""
        self.close_connection = True
        self._refuse(HTTPStatus(code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base calls it
        """Print nothing: the terminal is the user's."""


def _plain(headers: Any) -> dict[str, str]:
    """The headers that decide who may ask; of one that comes twice, the first."""
    names = ("Host", "Origin", "Cookie", "Sec-Fetch-Site")
    return {name: headers[name] for name in names if headers[name] is not None}
