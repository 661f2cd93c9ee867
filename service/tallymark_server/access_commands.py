"""What commands without a service do about access: set it up, and prove its log."""

from __future__ import annotations

import asyncio
import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from tallymark_server.command_errors import reported_errors
from tallymark_server.storage.database_url import is_url, shown


def init_access(database: str, name: str, expire_time: int, now: int, *, recover: bool) -> str:
    """Run `tallymark access init`: return the text of a new token that may do everything. Times are in microseconds."""
    # Standard output is for the token alone, and not for warnings of the storage.
    with reported_errors(_errors), redirect_stdout(sys.stderr):
        return asyncio.run((_recovered if recover else _first)(database, name, expire_time, now))


def prove_access(database: str) -> None:
    """Verify the log of access to a database, if there is one, for `tallymark verify`."""
    with reported_errors(_errors):
        last_hash = asyncio.run(_proved(database))
    if last_hash is not None:
        click.echo(f"access: {last_hash or 'no event yet'}")


async def _first(database: str, name: str, expire_time: int, now: int) -> str:
    from tallymark_server.access.first_token import first_token
    from tallymark_server.storage.access_opening import set_up_access

    _refuse_served(database)
    token, make_entries = first_token(name, expire_time, now)
    await set_up_access(database, make_entries)
    return token.text


async def _recovered(database: str, name: str, expire_time: int, now: int) -> str:
    from tallymark_server.access.first_token import another_token
    from tallymark_server.domain.errors import RegistryError
    from tallymark_server.storage.access import RevisionTakenError
    from tallymark_server.storage.access_opening import open_access
    from tallymark_server.storage.contract import CannotOpenError
    from tallymark_server.storage.sqlite.access_file import access_file

    _refuse_served(database)
    store = await open_access(database if is_url(database) else str(access_file(Path(database))))
    try:
        log = await store.read(0)
        token, entries = another_token(name, expire_time, now, store.log_id, log)
        await store.append(len(log), entries)
    except RegistryError as error:
        raise CannotOpenError(f"{shown(database)}: {error}") from None
    except RevisionTakenError:
        raise CannotOpenError("access was changed at the same moment: run the command again") from None
    finally:
        await store.close()
    return token.text


def _refuse_served(database: str) -> None:
    """Raise CannotOpenError if a server holds the file. Those on PostgreSQL notice by themselves."""
    from tallymark_server.storage.contract import CannotOpenError
    from tallymark_server.storage.sqlite import file_lock

    if not is_url(database) and (process := file_lock.holder(Path(database))) is not None:
        raise CannotOpenError(f"{database} is served by process {process}, which would not notice; stop it first")


async def _proved(database: str) -> str | None:
    """Return the last hash of the log, empty if it has no event; None without access control."""
    from tallymark_server.domain.access.state import AccessState
    from tallymark_server.domain.errors import RegistryError
    from tallymark_server.storage.access import folded
    from tallymark_server.storage.access_opening import access_place, open_access
    from tallymark_server.storage.contract import CannotOpenError

    place = await access_place(database)
    if place is None:
        return None
    store = await open_access(place, read_only=True)
    try:
        last = folded(AccessState(), store.log_id, None, await store.read(0))
    except RegistryError as error:
        raise CannotOpenError(f"{shown(place)}: {error}") from None
    finally:
        await store.close()
    return last.hash.hex() if last else ""


def _errors() -> tuple[type[Exception], ...]:
    from tallymark_server.storage.atomic_files import CannotPlaceError
    from tallymark_server.storage.contract import CannotOpenError

    return CannotOpenError, CannotPlaceError
