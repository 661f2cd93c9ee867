"""Addresses of a service: how the setting `url` is written.

A service of several replicas has several addresses, separated by commas.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from tallymark.errors import InvalidSetting

DEFAULT_URL = "127.0.0.1:50051"
UNIX = "unix:"
# Of an address with TLS: its scheme as it is shown, and the port of each scheme that may leave it out.
TLS = "grpcs://"
_PLAIN = "grpc://"
_PORTS = {TLS: 50_051, "https://": 443}


class Address(NamedTuple):
    """The address of a service: `target` is HOST:PORT or unix:PATH, and `tls` whether it is reached by TLS."""

    target: str
    tls: bool = False

    def __str__(self) -> str:
        """Return the address in the one form that is shown and compared."""
        return f"{TLS}{self.target}" if self.tls else self.target

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix socket of this machine."""
        return self.target.startswith(UNIX)

    @property
    def host(self) -> str:
        """The host of HOST:PORT, without brackets."""
        return self.target.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        """The port of HOST:PORT."""
        return int(self.target.rpartition(":")[2])


def checked_url(url: str, source: str) -> str:
    """Return the setting in the one form that is shown and compared. Raises InvalidSetting, which names the source."""
    return ",".join(map(str, addresses_of(url, source)))


def addresses_of(url: str, source: str = "the address") -> tuple[Address, ...]:
    """Return each address of the service once: those of its replicas are separated by commas.

    Raises InvalidSetting, which names the source, unless each is HOST:PORT, grpc://HOST:PORT, or with TLS
    grpcs://HOST[:PORT] or https://HOST[:PORT], or the only one is unix:PATH.
    """
    if url.strip().startswith(UNIX):
        # The path may contain commas, and what listens there is one process.
        return (Address(_socket(url.strip(), url, source)),)
    if "@" in url:
        # It is not quoted, since what is before the @ may be a secret.
        raise InvalidSetting(
            f"{source} has an @, and an address has nothing before its host; keep a token with tallymark login, or set"
            " TALLYMARK_TOKEN"
        )
    return tuple(dict.fromkeys(_host_and_port(each.strip(), url, source) for each in url.split(",")))


def _host_and_port(address: str, url: str, source: str) -> Address:
    scheme = next((each for each in (_PLAIN, *_PORTS) if address.lower().startswith(each)), "")
    target = address[len(scheme) :]
    if scheme in _PORTS:
        target = target.removesuffix("/")
        if target.endswith("]") or ":" not in target:
            target = f"{target}:{_PORTS[scheme]}"
    if not _is_host_and_port(target):
        which = f"in which {address!r}" if "," in url else "which"
        raise InvalidSetting(
            f"{source} is {url!r}, {which} is not HOST:PORT, such as {DEFAULT_URL}, nor {TLS}HOST:PORT for TLS, nor"
            " unix:PATH; write the addresses of several replicas with commas between"
        )
    return Address(target, tls=scheme in _PORTS)


def _socket(address: str, text: str, source: str) -> str:
    path = address.removeprefix(UNIX)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path or path.startswith("//") or not path.isprintable():
        raise InvalidSetting(f"{source} is {text!r}, which is no path of a socket, such as unix:/run/tallymark.sock")
    return f"{UNIX}{os.path.abspath(path)}"  # noqa: PTH100 - pathlib takes time to import


def _is_host_and_port(target: str) -> bool:
    host, _, port = target.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    return bool(
        bare
        and "/" not in host
        and not any(ch.isspace() or not ch.isprintable() for ch in host)
        and (port.isascii() and port.isdecimal())
        and 0 < int(port) <= 65_535
        and (":" in bare) == (bare != host)
    )
