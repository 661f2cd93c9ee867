"""The names of the machine and its user, as text that can be recorded, the user's contexts, and notebooks."""

from __future__ import annotations

import builtins
import os
import sys

# The longest name, in characters: two of them with an @ between fit into the name of an actor.
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


def default_actor() -> str:
    """Return user@host, who is recorded as having made the changes."""
    return f"{user_name() or f'uid-{os.getuid()}'}@{host_name() or 'unknown'}"


def contexts_path() -> str:
    """Return the path of the file with the contexts: in XDG_CONFIG_HOME, or else in ~/.config."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - importing pathlib takes too long
    return f"{home}/tallymark/config.toml"


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook: it was started as one, or its shell is of ipykernel."""
    if any("ipykernel_launcher" in argument for argument in sys.orig_argv[1:4]):
        return True
    shell = type(getattr(builtins, "get_ipython", lambda: None)())
    return any(base.__module__.partition(".")[0] == "ipykernel" for base in shell.__mro__)


def readable(text: str, max_length: int) -> str:
    """Return at most so many characters of the text, with all that are not printable escaped."""
    text = text[:max_length].strip()
    if not text.isprintable():
        text = "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)
    return text[:max_length].strip()
