"""Unix sockets of the service: only their owner may use them, and a socket in use is never replaced."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "unix:"
# The longest path, in bytes, that every system and gRPC accept.
MAX_PATH = 100
# How long another server may take to accept a connection, in seconds.
PROBE_TIMEOUT = 1.0


class SocketTakenError(Exception):
    """No socket can be created at the path. The message says why, and what to do next."""


@contextmanager
def binding(path: str) -> Iterator[None]:
    """Remove a stale socket at the path. A socket bound in the block is created for its owner alone.

    Raises SocketTakenError.
    """
    _make_room(path)
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def remove(path: str) -> None:
    """Remove the socket, if it still exists."""
    with suppress(OSError):
        if Path(path).is_socket():
            Path(path).unlink()


def _make_room(path: str) -> None:
    """Remove the socket of a server that has ended. Raises SocketTakenError."""
    if len(os.fsencode(path)) > MAX_PATH:
        raise SocketTakenError(f"the path {path} is longer than {MAX_PATH} bytes; choose a shorter one")
    try:
        found = Path(path).lstat()
    except FileNotFoundError:
        folder = Path(path).parent
        if folder.is_dir():
            return
        raise SocketTakenError(f"there is no folder {folder}; make it first") from None
    except OSError as error:
        raise SocketTakenError(f"{path} cannot be used: {error.strerror}; choose another path") from None
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketTakenError(f"{path} exists already, and is no socket; choose another path, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            remove(path)
            return
        except OSError as error:
            raise SocketTakenError(f"{path} cannot be used: {error.strerror or error}; choose another path") from None
    raise SocketTakenError(f"another server answers at {path}; choose another path, or stop that server first")
