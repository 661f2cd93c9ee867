"""Which addresses other machines can reach, and what a server needs before it listens there."""

from __future__ import annotations

import ipaddress
import socket

from tallymark_server.local_sockets import PREFIX


def is_local(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on the host, or on a unix:PATH."""
    if host.startswith(PREFIX):
        return True
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        # Listening will fail, with a better message.
        return host == "localhost"
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def missing_protection(option: str, host: str, *, tls: bool, access: bool) -> str:
    """Return how to go on if a server may not listen on the host without what it lacks; empty if it may."""
    if (tls and access) or is_local(host):
        return ""
    needs = [] if tls else ["--tls-cert and --tls-key so that nobody can read along"]
    needs += [] if access else ["`tallymark access init` or --client-ca so that callers are known"]
    return (
        f"{option} {host} reaches other machines: use {', and '.join(needs)}, or --trust-network if everybody who can"
        " connect may read and change everything"
    )
