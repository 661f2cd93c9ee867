"""Names of databases: a file of SQLite, or the URL of a server."""

from __future__ import annotations

import re

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
SHAPE = "postgresql://USER@HOST1,HOST2/NAME"


def is_url(database: str) -> bool:
    """Return whether the text is a URL, which only a database of PostgreSQL has, and no name of a file."""
    return _URL.match(database) is not None


def shown(database: str) -> str:
    """Return the name without what may be a secret: of a URL, its user, its hosts and its path."""
    if not is_url(database):
        return database
    scheme, _, rest = database.partition("://")
    # A password may have any character, also those that should be escaped.
    before, at, after = rest.rpartition("@")
    user = re.split(r"[:/?]", before, maxsplit=1)[0]
    return f"{scheme}://{user}{at}{after.partition('?')[0]}"
