"""Count the bytes that this process has sent over TCP, by the kernel's counters."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

_BYTES_SENT = struct.Struct("=200xQ")
"""`tcpi_bytes_sent` of `struct tcp_info`, linux/tcp.h, since Linux 4.19: payload, repeats too."""


def sent_bytes() -> int:
    """Return the payload that all open TCP connections have sent since they were opened.

    The kernel has a counter for each socket (tcp(7), TCP_INFO). So other traffic on the same
    network doesn't count; in /proc/net/dev it would.
    """
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # Closed meanwhile, or no TCP socket.
            if os.readlink(entry).startswith("socket:"):
                total += _sent(int(entry.name))
    return total


def _sent(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
            return 0
        info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_SENT.size)
        (sent,) = _BYTES_SENT.unpack(info)
        return int(sent)
