"""Proxies: which one stands between this process and a service, by the variables that gRPC heeds.

gRPC would ask a proxy for every host, also for this machine. A proxy is for what lies beyond the own network, so
addresses of this machine and private ones are reached directly.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import threading
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# In the order in which gRPC looks: the first that is set decides, also if it is empty.
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXEMPTIONS = ("no_grpc_proxy", "no_proxy")
# How long it may take to find out whether a name is one of the own network. Else a proxy is asked, as gRPC does.
_LOOK_UP = 1.0


class Proxy(NamedTuple):
    """A proxy that gRPC asks for connections, and the variable that names it."""

    host: str
    port: int
    variable: str
    credentials: str = ""

    def __str__(self) -> str:
        """Name the proxy, and the variable to change."""
        return f"{self.url} ({self.variable})"

    @property
    def url(self) -> str:
        """The proxy's address, without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def request(self, address: str) -> bytes:
        """Return what asks the proxy for a connection to the address."""
        said = f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"
        if self.credentials:
            said += f"Proxy-Authorization: Basic {base64.b64encode(self.credentials.encode()).decode()}\r\n"
        return f"{said}\r\n".encode()


def proxy_of(address: str) -> Proxy | None:
    """Return the proxy through which HOST:PORT is reached; None if it is reached directly."""
    proxy = by_variables()
    return None if proxy is None or why_direct(address) else proxy


def why_direct(address: str) -> str:
    """Return why a proxy, if there is one, is not asked for the address; empty if it is asked."""
    if address.startswith("unix:"):
        return "the service is reached by a socket of this machine"
    host = host_of(address)
    listed = next((os.environ[name] for name in _EXEMPTIONS if name in os.environ), "")
    if any(_exempts(entry, host) for entry in map(str.strip, listed.split(",")) if entry):
        return "no_proxy exempts the host"
    return "the host is this machine or in a private network" if _is_near(host) else ""


def host_of(address: str) -> str:
    """Return the host of HOST:PORT, without brackets."""
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def by_variables() -> Proxy | None:
    """Return the proxy that the variables name, whatever it is asked for; None if they name none that gRPC can use."""
    variable = next((name for name in VARIABLES if name in os.environ), "")
    try:
        found = urlsplit(os.environ.get(variable, "").strip())
        # gRPC speaks plain HTTP to proxies, and leaves out any other.
        if found.scheme != "http" or not found.hostname:
            return None
        credentials = unquote(found.netloc.rpartition("@")[0])
        return Proxy(found.hostname, found.port or 443, variable, credentials)
    except ValueError:
        return None


def _exempts(entry: str, host: str) -> bool:
    """Return whether an entry of no_proxy names the host: as its end, as gRPC compares, or as a network."""
    name = entry.lower().removeprefix("*").strip("[]")
    if host.lower().endswith(name) or host.lower() == name.removeprefix("."):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    """Return whether a host is this machine or in a private network, as far as can be told within a moment."""
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
            return  # whom this machine does not know, the proxy may

    # Looking up a name cannot be interrupted.
    looking = threading.Thread(target=look_up, daemon=True)
    looking.start()
    looking.join(_LOOK_UP)
    return bool(found) and not any(map(_is_global, tuple(found)))


def _is_global(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global
