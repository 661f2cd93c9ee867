"""The settings of an operator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tallymark_server.access.limits import LimitSettings
from tallymark_server.certificates import TlsFiles
from tallymark_server.identity.issuers import NO_ISSUERS, Issuers
from tallymark_server.local_sockets import PREFIX

DEFAULT_LISTEN = "127.0.0.1:50051"
DEFAULT_HTTP = "127.0.0.1:8080"


class InvalidSettingError(Exception):
    """A setting has an invalid value. The message says what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of an operator. Times are in seconds, `max_clock_jump` is in hours.

    `db` is a file of SQLite, or the URL of a database of PostgreSQL, which may have a password.
    `db_listen` is the URL at which servers hear of each other's changes, if a pooler is in the way of `db`.
    `http` is where the dashboard listens, and `metrics` where Prometheus reads; None for nowhere. A host may be
    `unix:PATH`, with port 0. `backup_to` is the folder or URL of backups, None for none.
    `max_connection_age` is when a connection of gRPC is closed, None for never. `tls` is None for no TLS.
    `access` is where tokens and grants are, a file or the URL of `db`, None for no access control, and `issuers` those
    whose tokens are accepted as well.
    `access_log` is the file of the access log, None for none.
    """

    db: str = "tallymark.db"
    db_listen: str = ""
    host: str = "127.0.0.1"
    port: int = 50051
    http: tuple[str, int] | None = None
    http_names: tuple[str, ...] = ()
    http_origins: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("default",)
    max_waiting: int = 10_000
    heartbeat: float = 15.0
    grace: float = 10.0
    max_connection_age: float | None = None
    max_clock_jump: float = 24.0
    metrics: tuple[str, int] | None = None
    otel: bool = False
    backup_to: str | None = None
    backup_every: float = 3600.0
    backup_keep: int = 48
    log_level: str = "info"
    log_format: str = "console"
    tls: TlsFiles | None = None
    access: str | None = None
    issuers: Issuers = NO_ISSUERS
    access_log: Path | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)

    @property
    def by_certificate(self) -> bool:
        """Whether callers are known by certificates of their own."""
        return self.tls is not None and self.tls.client_ca is not None


def tls_files(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    """Return the files of TLS, None for no TLS. Raises InvalidSettingError if some are missing."""
    if certificate is not None and key is not None:
        return TlsFiles(certificate, key, client_ca)
    if certificate is key is client_ca is None:
        return None
    raise InvalidSettingError("TLS needs both --tls-cert and --tls-key; --client-ca comes beside them")


def parse_listen(text: str) -> tuple[str, int]:
    """Return the host and port of HOST:PORT or [IPV6]:PORT; of unix:PATH, the absolute `unix:PATH` and port 0.

    Raises InvalidSettingError.
    """
    if text.startswith(PREFIX):
        path = text.removeprefix(PREFIX)
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path or path.startswith("//") or not path.isprintable():
            raise InvalidSettingError(f"{text!r} is no path of a socket, such as unix:/run/tallymark.sock")
        return f"{PREFIX}{Path(path).absolute()}", 0
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise InvalidSettingError(
            f"{text!r} is not HOST:PORT, such as {DEFAULT_LISTEN}, nor unix:PATH; port 0 picks a free one"
        )
    return host, int(port)


def parse_period(text: str) -> float:
    """Return the seconds of a period such as 30s, 15m, 1h or 1d. Raises InvalidSettingError."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found or not int(found[1]):
        raise InvalidSettingError(f"{text!r} is no period, such as 30s, 15m, 1h or 1d")
    return float(int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]])


def parse_origin(text: str) -> str:
    """Return the origin as browsers write it. Raises InvalidSettingError unless it is SCHEME://HOST[:PORT]."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    plain = host and text.lower() == f"{parts.scheme}://{parts.netloc.lower()}" and "@" not in parts.netloc
    if not plain or parts.scheme not in ("http", "https") or not host or not host.isascii() or "*" in host:
        raise InvalidSettingError(
            f"{text!r} is not the origin of a site, such as https://app.example or http://localhost:3000; write"
            " nothing after the host and its port, and no `*`"
        )
    # Browsers leave out the default port of the scheme.
    usual = {"http": 80, "https": 443}[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" if port in (None, usual) else f"{parts.scheme}://{shown}:{port}"
