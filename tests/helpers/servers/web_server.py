"""A small web server on 127.0.0.1: files with ranges, routes of a test's own, a log of requests."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Request:
    """One request and what was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    sent: int = 0
    """Bytes of the answer's body."""

    def json(self) -> Any:
        """Body as JSON."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What a route answers."""

    body: Any = b""
    """Bytes, or what becomes JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes after which the connection breaks."""


Route = Callable[[Request], Answer]


@dataclass
class WebServer:
    """A running server."""

    url: str
    folder: Path | None
    routes: list[tuple[str, Route]] = field(default_factory=list)
    """Patterns of whole paths, the first that fits answers; else files of the folder."""
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, pattern: str = "") -> int:
        """How many requests had a path that matches."""
        with self.lock:
            return sum(re.search(pattern, request.path) is not None for request in self.requests)


@contextmanager
def serving(folder: Path | None = None) -> Iterator[WebServer]:
    """Serve until the block ends."""

    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def break_off(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def answer(self) -> None:
            url = urlsplit(self.path)
            if ended.is_set():  # A connection that a client kept.
                self.break_off()
                return
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(
                self.command, unquote(url.path), parse_qs(url.query), dict(self.headers),
                self.rfile.read(length),
            )  # fmt: skip
            with server.lock:
                server.requests.append(request)
            route = next((r for p, r in server.routes if re.fullmatch(p, request.path)), None)
            answer = route(request) if route else file_answer(server.folder, request)
            body = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_response(answer.status)
            if not isinstance(answer.body, bytes):
                self.send_header("Content-Type", "application/json")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", answer.headers.get("Length", str(len(body))))
            self.end_headers()
            if self.command == "HEAD":
                return
            if answer.cut_after is not None:
                self.wfile.write(body[: answer.cut_after])
                self.wfile.flush()
                self.break_off()
                return
            request.sent = len(body)
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = answer  # noqa: N815 - names of the base class

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """Connections that a test breaks."""

    httpd = Server(("127.0.0.1", 0), Handler)
    server = WebServer(f"http://127.0.0.1:{httpd.server_port}", folder)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def file_answer(folder: Path | None, request: Request) -> Answer:
    """A file of a folder, or the range of it that is asked for."""
    path = folder / request.path.strip("/") if folder else None
    if path is None or not path.is_file():
        return Answer(b"not here", 404)
    content = path.read_bytes()
    if request.method == "HEAD":
        return Answer(content, 200, {"Accept-Ranges": "bytes"})
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if wanted is None:
        return Answer(content, 200, {"Accept-Ranges": "bytes"})
    first = int(wanted[1])
    last = min(int(wanted[2] or len(content) - 1), len(content) - 1)
    if first >= len(content):
        return Answer(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
    place = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Answer(content[first : last + 1], 206, place)
