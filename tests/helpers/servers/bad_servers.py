"""Servers that do what no server should: silence, a byte now and then, answers without an end."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_CHUNK = b"x" * 65_536


@contextmanager
def bad_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve until the block ends.

    Args:
        behave: What is done with a connection after its request has come.

    Yields:
        The address, http://127.0.0.1:PORT.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65_536)
            behave(connection)
            connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join()


def _head(status: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Connection: close", b"", b""])


def silent(connection: socket.socket) -> None:
    """Say nothing."""
    connection.recv(1)


def trickle(connection: socket.socket) -> None:
    """Begin a long answer and send a byte of it now and then."""
    connection.sendall(_head(b"200 OK", b"Content-Length: 1000000"))
    while True:
        connection.sendall(b" ")
        time.sleep(0.1)


def trickle_headers(connection: socket.socket) -> None:
    """Never come to the end of the headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def endless_body(connection: socket.socket) -> None:
    """Send without an end, as fast as it is taken."""
    connection.sendall(_head(b"200 OK"))
    while True:
        connection.sendall(_CHUNK)


def gzip_bomb(connection: socket.socket) -> None:
    """Send little that becomes much."""
    bomb = gzip.compress(b" " * 200_000_000, 9)
    length = f"Content-Length: {len(bomb)}".encode()
    connection.sendall(_head(b"200 OK", b"Content-Encoding: gzip", length) + bomb)


def to_itself(connection: socket.socket) -> None:
    """Send the client to the same place again."""
    connection.sendall(_head(b"302 Found", b"Location: /again", b"Content-Length: 0"))


def busy(connection: socket.socket) -> None:
    """Ask the client to come again in an hour."""
    connection.sendall(_head(b"429 Too Many Requests", b"Retry-After: 3600", b"Content-Length: 0"))


def empty(connection: socket.socket) -> None:
    """Say that all is well, and nothing else."""
    connection.sendall(_head(b"200 OK", b"Content-Length: 0"))


def page(connection: socket.socket) -> None:
    """Send a page for people, as hotels' networks do."""
    text = b"<html><body>Please log in</body></html>"
    connection.sendall(_head(b"200 OK", b"Content-Type: text/html") + text)


def deep(connection: socket.socket) -> None:
    """Send JSON that is nested deeper than any parser goes."""
    connection.sendall(_head(b"200 OK") + b"[" * 1_000_000)


def cut_json(connection: socket.socket) -> None:
    """Send half of a document, under its whole length."""
    text = json.dumps({"type": "Catalog", "links": []}).encode()
    length = f"Content-Length: {len(text)}".encode()
    connection.sendall(_head(b"200 OK", length) + text[: len(text) // 2])


BAD = (
    silent, trickle, trickle_headers, endless_body, gzip_bomb, to_itself, busy, empty, page, deep,
    cut_json,
)  # fmt: skip
"""All of them."""
