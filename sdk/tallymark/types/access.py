"""Tokens, service accounts, grants and callers, as they were when they were read. Times are UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tallymark.types.enums import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and its role by project; `*` means all projects.

    `kind` says how the caller is known: token, service account, user, certificate, or local without access control.
    With `speaks_for`, it may name somebody else for whom it acts. `limits` are `calls`, `streams`, `rate`, `burst` and
    `bytes-per-day`, as far as the service has set them for the caller.
    """

    name: str
    kind: str
    roles: Mapping[str, Role]
    speaks_for: bool
    expire_time: datetime | None
    access_control: bool
    limits: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role of a member, such as `user:ann@example.com`, in a project; `*` means all projects."""

    member: str
    project: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, without its text. `id` is the part of the text that is no secret; logs name the token by it.

    `member` says whose calls are made with it, and `roles` has that member's roles by project. `expire_time` is None
    for never, and `last_use_time`, a day, for a token that was never used.
    """

    name: str
    id: str
    member: str
    roles: Mapping[str, Role]
    creator: str
    create_time: datetime
    rotate_time: datetime
    expire_time: datetime | None
    last_use_time: datetime | None
    speaks_for: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A new token with its text, which no later call returns. `repr` does not show the text."""

    token: Token
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """An account of programs, which can have roles in `projects` alone; `roles` has those it has."""

    name: str
    projects: tuple[str, ...]
    roles: Mapping[str, Role]
    creator: str
    create_time: datetime
