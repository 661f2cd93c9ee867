"""The choice of a proxy between this process and a service, by the variables that gRPC reads.

gRPC would use a proxy for every host, even this machine. A proxy is for hosts beyond the local network, so this machine
and private addresses are reached directly.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import threading
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tallymark.addresses import Address

# In gRPC's order: the first that is set decides, even if it is empty.
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXEMPTIONS = ("no_grpc_proxy", "no_proxy")
# The seconds that a lookup may take, which decides whether a name is of the local network. After it, a proxy is used.
_LOOKUP_TIMEOUT = 1.0


class Proxy(NamedTuple):
    """A proxy through which gRPC connects, and the variable that names it."""

    host: str
    port: int
    variable: str
    credentials: str = ""

    def __str__(self) -> str:
        """Return the proxy's address, and the variable to change."""
        return f"{self.url} ({self.variable})"

    @property
    def url(self) -> str:
        """The proxy's address, without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def connect_request(self, address: str) -> bytes:
        """Return the CONNECT request for the address."""
        request = f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"
        if self.credentials:
            request += f"Proxy-Authorization: Basic {base64.b64encode(self.credentials.encode()).decode()}\r\n"
        return f"{request}\r\n".encode()


def proxy_of(address: str) -> Proxy | None:
    """Return the proxy through which HOST:PORT is reached, None if it is reached directly."""
    proxy = configured_proxy()
    return None if proxy is None or why_direct(address) else proxy


def why_direct(address: str) -> str:
    """Return why the address is reached without a proxy, even if one is configured; empty if it is not."""
    if address.startswith("unix:"):
        return "the service is reached by a socket of this machine"
    host = Address(address).host
    listed = next((os.environ[name] for name in _EXEMPTIONS if name in os.environ), "")
    if any(_exempts(entry, host) for entry in map(str.strip, listed.split(",")) if entry):
        return "no_proxy exempts the host"
    return "the host is this machine or in a private network" if _is_local(host) else ""


def configured_proxy() -> Proxy | None:
    """Return the proxy that the variables name, None if they name none that gRPC can use."""
    variable = next((name for name in VARIABLES if name in os.environ), "")
    try:
        url = urlsplit(os.environ.get(variable, "").strip())
        # gRPC speaks plain HTTP to proxies, and ignores any other.
        if url.scheme != "http" or not url.hostname:
            return None
        credentials = unquote(url.netloc.rpartition("@")[0])
        return Proxy(url.hostname, url.port or 443, variable, credentials)
    except ValueError:
        return None


def _exempts(entry: str, host: str) -> bool:
    """Return whether an entry of no_proxy matches the host: as its suffix, as in gRPC, or as a network."""
    name = entry.lower().removeprefix("*").strip("[]")
    if host.lower().endswith(name) or host.lower() == name.removeprefix("."):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    """Return whether a host is this machine or in a private network. False if the lookup takes too long."""
    try:
        return not _is_global(host)
    except ValueError:
        pass
    if host.lower().rstrip(".").rpartition(".")[2] == "localhost":
        return True
    found: list[str] = []

    def look_up() -> None:
        try:
            found.extend(str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            return  # the proxy may know a host that this machine does not

    # Another thread looks up the name, since that cannot be interrupted.
    lookup = threading.Thread(target=look_up, daemon=True)
    lookup.start()
    lookup.join(_LOOKUP_TIMEOUT)
    return bool(found) and not any(map(_is_global, tuple(found)))


def _is_global(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global
