"""Errors of SQLite as those of the contract."""

from __future__ import annotations

import sqlite3
from typing import Any

import structlog

from tallymark_server.domain.errors import DataDamaged, StorageUnavailable

# Errors of the environment, not defects of ours, by the low byte of SQLite's result code.
ENVIRONMENT_ERRORS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
# Damage that has no code in SQLite: invalid UTF-8, invalid JSON, and columns of another type.
_DAMAGE_MESSAGES = ("Could not decode to UTF-8", "malformed JSON", "user-defined function raised exception")
_log = structlog.get_logger()


class TranslateErrors:
    """Raises StorageUnavailable for errors of the environment, and DataDamaged for damage.

    A class, since a point read is hardly dearer.
    """

    __slots__ = ("damage",)

    def __init__(self) -> None:
        # The damage of the tables that is known; after that none of their contents can be trusted.
        self.damage = ""

    def __enter__(self) -> None:
        if self.damage:
            raise DataDamaged(self.damage)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataDamaged):
            _log.error("the file is damaged", problem=str(error))
        elif isinstance(error, UnicodeDecodeError):
            # The message of SQLite quotes what is damaged.
            raise DataDamaged("it has text that is none") from error
        elif isinstance(error, sqlite3.Error):
            code: Any = getattr(error, "sqlite_errorcode", None)
            if (code is not None and code & 0xFF in _DAMAGED) or str(error).startswith(_DAMAGE_MESSAGES):
                _log.error("the file is damaged", problem=str(error))
                raise DataDamaged(str(error)) from error
            if code is not None and code & 0xFF in ENVIRONMENT_ERRORS:
                raise StorageUnavailable(str(error)) from error
