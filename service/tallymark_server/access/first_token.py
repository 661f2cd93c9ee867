"""The first token of an admin, with which everything else about access is set up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from tallymark_server.domain.access.commands import Admin, CreateToken, decide
from tallymark_server.domain.access.state import AccessState
from tallymark_server.domain.access.token_text import RANDOM_BYTES, TokenText, make_token
from tallymark_server.domain.roles import ALL_PROJECTS, Role
from tallymark_server.storage.access import Entry, entries_of, folded

# Whoever can write the file may do everything, so they need no token to make the first one.
OPERATOR = Admin("operator", {ALL_PROJECTS: Role.ADMIN})


def draw_token() -> TokenText:
    """Return a new random token."""
    return make_token(os.urandom(RANDOM_BYTES))


def first_token(name: str, expire_time: int, now: int) -> tuple[TokenText, Callable[[str], Iterator[Entry]]]:
    """Return a token that may do everything, and a function that makes the first entries for the id of a log."""
    return _admin_token(name, expire_time, now, [], "")


def another_token(
    name: str, expire_time: int, now: int, log_id: str, entries: list[Entry]
) -> tuple[TokenText, list[Entry]]:
    """Return a further token that may do everything, and the entries that follow those of the log.

    Raises AccessExists, or DataDamaged if the log cannot be proved.
    """
    token, make = _admin_token(name, expire_time, now, entries, log_id)
    return token, list(make(log_id))


def _admin_token(
    name: str, expire_time: int, now: int, entries: list[Entry], log_id: str
) -> tuple[TokenText, Callable[[str], Iterator[Entry]]]:
    state = AccessState()
    last = folded(state, log_id, None, entries)
    token = draw_token()
    command = CreateToken(
        name=name,
        token=token,
        expire_time=expire_time,
        role=Role.ADMIN,
        projects=(ALL_PROJECTS,),
    )
    events, _ = decide(command, state, OPERATOR, now)
    return token, lambda log: entries_of(log, last, events, OPERATOR.name, now)
