"""What an operator can set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_LISTEN = "127.0.0.1:50051"
DEFAULT_HTTP = "127.0.0.1:8080"


class InvalidSettingError(Exception):
    """A setting has a value that it cannot have; the message says what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set. Times are in seconds. `http` is where the dashboard listens, None for no dashboard."""

    db: Path = Path("tallymark.db")
    host: str = "127.0.0.1"
    port: int = 50051
    http: tuple[str, int] | None = None
    http_names: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("default",)
    max_waiting: int = 10_000
    heartbeat: float = 15.0
    grace: float = 10.0
    log_level: str = "info"
    log_format: str = "console"


def parse_listen(text: str) -> tuple[str, int]:
    """The host and the port of HOST:PORT or [IPV6]:PORT; InvalidSettingError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise InvalidSettingError(f"{text!r} is not HOST:PORT, such as {DEFAULT_LISTEN}; port 0 picks a free one")
    return host, int(port)
