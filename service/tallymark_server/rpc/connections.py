"""The connections to a port: how many it accepts, and the end of those whose callers do not read."""

from __future__ import annotations

import os
import resource
import socket
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

# Connections to each port; each costs about 24 kB, even if nothing is ever sent on it.
MAX_CONNECTIONS = 4_096


def max_connections() -> int:
    """Return how many connections each port accepts: at most a third of the files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft // 3))


def address_of(peer: str) -> str:
    """Return the IP address of a peer by its gRPC name, or the whole name of one without an address."""
    family, _, rest = peer.partition(":")
    return unquote(rest.rpartition(":")[0]).strip("[]") if family in ("ipv4", "ipv6") else peer


def close_connections(peers: frozenset[str]) -> None:
    """Close the connections of these peers, by their gRPC names, to free the answers that they do not read.

    gRPC cannot do so, nor drop a single answer. Peers of a Unix socket have no names: their connections stay open, and
    answers that they do not read count until they close.
    """
    for name in Path("/dev/fd").iterdir():
        with suppress(OSError):
            # A duplicate stays valid even if the connection is closed now and its descriptor is reused.
            number = os.dup(int(name.name))
            try:
                if os.fstat(number).st_mode & stat.S_IFSOCK == stat.S_IFSOCK:
                    _shut_down(number, peers)
            finally:
                os.close(number)


def _shut_down(number: int, peers: frozenset[str]) -> None:
    connection = socket.socket(fileno=number)
    try:
        if _named(connection) in peers:
            connection.shutdown(socket.SHUT_RDWR)
    finally:
        connection.detach()


def _named(connection: socket.socket) -> str:
    """Return the peer of a connection as gRPC names it. Raises OSError."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    host, port, *_ = connection.getpeername()
    # gRPC listens for both families with one socket, and names IPv4 peers as such.
    host = host.removeprefix("::ffff:") if "." in host else f"[{host}]"
    return f"ipv4:{host}:{port}" if "." in host else f"ipv6:{quote(host, safe=':')}:{port}"
