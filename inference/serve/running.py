"""A running server of maps, on 127.0.0.1 alone."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from inference.maps.made_map import MadeMap
from inference.serve.app import MapServer
from polynya.errors import OutputError, reason_of
from polynya.pages.admission import Admission

HOST = "127.0.0.1"


class RunningServer:
    """Maps and the web server that answers for them."""

    def __init__(self, maps: MapServer, listener: socket.socket) -> None:
        """Take maps and a socket that listens."""
        self.maps, self._listener = maps, listener
        config = uvicorn.Config(
            maps.application(),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws="none",
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Answer until Ctrl-C, or until another thread calls `stop`."""
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """End `run`."""
        self._server.should_exit = True


@contextmanager
def open_server(
    maps: Sequence[MadeMap],
    port: int = 0,
    projection: str | None = None,
    origins: Collection[str] = (),
) -> Iterator[RunningServer]:
    """Listen on 127.0.0.1; requests are answered while `RunningServer.run` is called.

    Args:
        maps: Maps of one scheme, at least one.
        port: Port; 0 takes a free one.
        projection: See `MapServer`.
        origins: See `Admission`.

    Raises:
        OutputError: The port is taken.
    """
    listener = socket.socket()
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(128)
        except OSError as error:
            raise OutputError(
                f"The port {port} of this machine can't be used ({reason_of(error)}); choose"
                " another --port, or leave it out."
            ) from None
        own = listener.getsockname()[1]
        admission = Admission(own, "serve", origins)
        yield RunningServer(
            MapServer(maps, admission, f"http://{HOST}:{own}/", projection), listener
        )
