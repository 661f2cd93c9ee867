"""Proxies: requests to this machine or to a private network never go through one."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.parse
import urllib.request


def opener_for(url: str, context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Return an opener for the URL, which uses the proxy of the environment if the server is public."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if is_private(urllib.parse.urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def is_private(host: str) -> bool:
    """Return whether the host is this machine, or has an address of a private network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False
