"""Addresses of a service: how the setting `url` is written."""

from __future__ import annotations

import os

from tallymark.errors import InvalidSetting

DEFAULT_URL = "127.0.0.1:50051"
UNIX = "unix:"


def checked_url(url: str, source: str) -> str:
    """Return the address without surrounding spaces, and the path of a socket as an absolute one.

    Raises InvalidSetting, which names the source, if it is neither HOST:PORT nor unix:PATH.
    """
    address = url.strip()
    if address.startswith(UNIX):
        return _checked_socket(address, url, source)
    return _checked_address(address, url, source)


def _checked_socket(address: str, url: str, source: str) -> str:
    path = address.removeprefix(UNIX)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path or path.startswith("//") or not path.isprintable():
        raise InvalidSetting(f"{source} is {url!r}, which is no path of a socket, such as unix:/run/tallymark.sock")
    return UNIX + os.path.abspath(path)  # noqa: PTH100 - pathlib takes time to import


def _checked_address(address: str, url: str, source: str) -> str:
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not bare
        or "/" in host
        or any(ch.isspace() or not ch.isprintable() for ch in host)
        or not (port.isascii() and port.isdecimal())
        or not 0 < int(port) <= 65_535
        or (":" in bare) == (bare == host)
    ):
        raise InvalidSetting(f"{source} is {url!r}, which is not HOST:PORT, such as {DEFAULT_URL}, nor unix:PATH")
    return address
