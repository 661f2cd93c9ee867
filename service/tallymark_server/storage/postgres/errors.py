"""Errors of PostgreSQL, as the contract has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog

from tallymark_server.domain.errors import DataDamaged, StorageUnavailable

# What another transaction did, by the class of the SQLSTATE: the same work is done again.
_CONFLICTS = "40"
# Keys that only two writers can give twice: both created the project, or a lock was lost.
_FENCES = {"projects_name_key", "projects_pkey", "events_pkey"}
# The connection ends: the server stops, or has become a standby.
_LOST = ("08", "57P0", "25006")
# What else the world does, by the class or the whole of the SQLSTATE: resources, operators, locks that others hold.
# 0A000 is for a table that was changed under a prepared statement.
_ENVIRONMENT = ("53", "57", "58", "25P03", "55P03", "0A000")
# What is not as it was written: broken pages, values of another type, keys that are there twice.
_DAMAGE = ("XX001", "XX002", "22", "23")
_log = structlog.get_logger()


class ConflictError(Exception):
    """Raised when a transaction was undone because of another one, and is to be done again."""


class LostError(Exception):
    """Raised when there is no connection. Unless a commit was under way, nothing was changed."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise StorageUnavailable, DataDamaged, ConflictError or LostError for errors of PostgreSQL."""
    try:
        yield
    except psycopg.Error as error:
        raise _translated(error) from error
    except DataDamaged as error:
        _log.error("the database is damaged", problem=str(error))
        raise


@contextmanager
def unavailable_if_lost() -> Iterator[None]:
    """Raise StorageUnavailable for a LostError, where nothing can be done again."""
    try:
        yield
    except LostError as error:
        raise StorageUnavailable(str(error)) from error


def told(error: psycopg.Error) -> str:
    """Return the message of the error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _translated(error: psycopg.Error) -> Exception:
    state = error.sqlstate
    if state is None:
        # The connection was lost, or was never there. What libpq says of it is for the operator, who has the log.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return LostError("the database does not answer") if lost else error
    if state.startswith(_LOST):
        return LostError(told(error))
    if state.startswith(_CONFLICTS) or error.diag.constraint_name in _FENCES:
        return ConflictError(told(error))
    if state.startswith(_ENVIRONMENT):
        return StorageUnavailable(told(error))
    if state.startswith(_DAMAGE):
        _log.error("the database is damaged", problem=told(error))
        return DataDamaged(told(error))
    return error
