"""What the machine says of itself and of its user, as text that can be recorded, and where the user's contexts are."""

from __future__ import annotations

import os

# Of a name, in characters: together with the other one and an @ it fits the name of who asks.
MAX_NAME = 127


def user_name() -> str:
    """Return the name of the account, empty if it has none."""
    import getpass

    try:
        return readable(getpass.getuser(), MAX_NAME)
    except (KeyError, OSError, ImportError, ValueError):  # a container's user may have no name
        return ""


def host_name() -> str:
    """Return the name of the machine, empty if it has none."""
    import socket

    try:
        return readable(socket.gethostname(), MAX_NAME)
    except (OSError, ValueError):
        return ""


def who_asks() -> str:
    """Return user@host."""
    return f"{user_name() or f'uid-{os.getuid()}'}@{host_name() or 'unknown'}"


def path_of_contexts() -> str:
    """Return where contexts are kept: in XDG_CONFIG_HOME, or in ~/.config."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - importing pathlib takes too long
    return f"{home}/tallymark/config.toml"


def readable(text: str, most: int) -> str:
    """Return the text without what is invisible or cannot be sent, which is escaped, and cut where it is long."""
    text = text[:most].strip()
    if not text.isprintable():
        text = "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)
    return text[:most].strip()
