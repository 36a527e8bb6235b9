"""A relay between GDAL and servers that limits the length of answers.

GDAL keeps the complete answer of a server in memory and crashes when memory is full. It has no
option to limit this. So its connections to web servers and object stores go through a small process
of Polynya (SOCKS 5, RFC 1928 and 1929). This process closes a connection if more bytes come than
GDAL can have requested. It can't read encrypted content. It is a separate process because Python's
lock (GIL) is held during calls of GDAL. It imports only the standard library, and ends with the
process that started it.
"""

from __future__ import annotations

import asyncio
import atexit
import hmac
import os
import pkgutil
import secrets
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

MOST_BYTES = 128 * 2**20
"""Greatest number of bytes of an answer; GDAL requests at most 100 MB at once."""
_CHUNK = 262_144
_SHORTEST_REQUEST = 64
"""Least bytes of a request; shorter messages are acknowledgements within TLS."""
_CONNECT_SECONDS = 60
"""Seconds for connecting to a server; GDAL itself gives up earlier and reports the reason."""
_USER = b"polynya"
_REFUSED = 5
_UNREACHABLE = 4


def proxy_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """GDAL settings that send its requests through the relay.

    A proxy named in the environment is still used, after the relay. Requests don't use the relay if
    the proxy itself is reached by https, or if no_proxy excludes the host from the proxy.

    Raises:
        OSError: The relay can't be started.
    """
    everything = environment.get("all_proxy") or environment.get("ALL_PROXY")
    own = environment.get("GDAL_HTTP_PROXY")
    plain = own or environment.get("http_proxy") or everything
    encrypted = (
        environment.get("GDAL_HTTPS_PROXY")
        or own
        or environment.get("https_proxy")
        or environment.get("HTTPS_PROXY")
        or everything
    )
    if not plain and not encrypted:
        # libcurl would not use the relay for these hosts. `os.environ` keeps the variables.
        for name in ("no_proxy", "NO_PROXY"):
            os.unsetenv(name)
    return {
        "GDAL_HTTP_PROXY": _through(plain),
        "GDAL_HTTPS_PROXY": _through(encrypted),
        # Compressed answers and HTTP/2, which sends acknowledgements while it receives, can't be
        # counted.
        "CPL_CURL_GZIP": "NO",
        "GDAL_HTTP_VERSION": "1.1",
    }


def _through(proxy: str | None) -> str:
    """Address of the relay, which forwards to a proxy if there is one."""
    if not proxy:
        port, token = _running(None, None)
        return f"socks5h://{_USER.decode()}:{token}@127.0.0.1:{port}"
    address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if address.scheme == "https" or not address.hostname:
        return proxy
    port, _ = _running(address.hostname, address.port or 1080)
    user, separator, _ = address.netloc.rpartition("@")
    return f"{address.scheme}://{user}{separator}127.0.0.1:{port}"


def _running(host: str | None, port: int | None) -> tuple[int, str]:
    """Port and password of this process's relay; starts the relay if it isn't running."""
    relay, number, token = _started(os.getpid(), host, port)
    if relay.poll() is not None:
        _started.cache_clear()
        _, number, token = _started(os.getpid(), host, port)
    return number, token


@lru_cache(maxsize=8)
def _started(
    process: int, host: str | None, port: int | None
) -> tuple[subprocess.Popen[bytes], int, str]:
    """Start a relay for this process; return the relay, its port and its password."""
    code = pkgutil.get_data("polynya.rasters", "relay.py")  # Also works in a zip archive.
    assert code is not None
    token = secrets.token_hex(16)
    relay = subprocess.Popen(
        [sys.executable, "-I", "-c", code.decode(), *([host, str(port)] if host else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        start_new_session=True,  # Ctrl-C must reach only the process that uses the relay.
    )  # fmt: skip
    assert relay.stdin is not None
    assert relay.stdout is not None
    atexit.register(_end, relay, process)
    relay.stdin.write(f"{token}\n".encode())
    said = relay.stdout.readline()
    if not said.strip().isdigit():
        raise OSError("the process that limits what servers send can't be started")
    return relay, int(said), token


def _end(relay: subprocess.Popen[bytes], process: int) -> None:
    if os.getpid() == process and relay.stdin is not None and relay.stdout is not None:
        relay.stdin.close()
        relay.stdout.close()
        relay.wait()


async def _serve(token: bytes, target: tuple[str, int] | None) -> None:
    """Relay until the standard input ends."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways: list[asyncio.StreamWriter] = [writer]
        try:
            host, port = target or await _asked_for(reader, writer, token)
            there, back = await _connected(host, port, None if target else writer)
            ways.append(back)
            await _carry(reader, writer, there, back)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            for way in ways:
                way.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


async def _asked_for(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes
) -> tuple[str, int]:
    """Host and port that a client requests; ValueError if its password is wrong."""
    _, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(b"\5\2")
    user = await reader.readexactly((await reader.readexactly(2))[1])
    password = await reader.readexactly((await reader.readexactly(1))[0])
    if user != _USER or not hmac.compare_digest(password, token):
        writer.write(b"\1\1")
        raise ValueError("wrong password")
    writer.write(b"\1\0")
    _, command, _, kind = await reader.readexactly(4)
    if command != 1 or kind not in (1, 3, 4):
        raise ValueError("no request to connect")
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("idna")
    elif kind == 1:
        host = ".".join(map(str, await reader.readexactly(4)))
    else:
        host = (await reader.readexactly(16)).hex(":", 2)
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _connected(
    host: str, port: int, client: asyncio.StreamWriter | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server, and report the result to the client if it asked by SOCKS."""
    rest = b"\0\1\0\0\0\0\0\0"
    try:
        found = await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_SECONDS)
    except OSError as error:
        if client is not None:
            code = _REFUSED if isinstance(error, ConnectionRefusedError) else _UNREACHABLE
            client.write(bytes([5, code]) + rest)
        raise
    if client is not None:
        client.write(b"\5\0" + rest)
    return found


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    back: asyncio.StreamWriter,
) -> None:
    """Carry bytes in both directions until one side ends or an answer is too long."""
    received = 0

    async def requests() -> None:
        nonlocal received
        while data := await reader.read(_CHUNK):
            if len(data) >= _SHORTEST_REQUEST:
                received = 0
            back.write(data)
            await back.drain()

    async def answers() -> None:
        nonlocal received
        while data := await there.read(_CHUNK):
            received += len(data)
            if received > MOST_BYTES:
                return
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.create_task(requests()), asyncio.create_task(answers())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Run the relay; the first line of the standard input is the password."""
    target = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else None
    asyncio.run(_serve(sys.stdin.buffer.readline().strip(), target))


if __name__ == "__main__":
    main()
