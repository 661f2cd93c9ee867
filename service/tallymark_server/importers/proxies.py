"""Whether a proxy stands between this program and a server: never one of this machine or of a private network."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.parse
import urllib.request


def opener_for(url: str, context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Return what opens the URL, through the proxy that the environment names if the server is a public one."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if is_private(urllib.parse.urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def is_private(host: str) -> bool:
    """Whether the host is this machine, or an address that only a private network has."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False
