"""The issuers of tokens that an operator trusts, and the roles that their claims give.

[[issuer]]
name = "company"
url = "https://id.example"
audience = ["tallymark"]

[[grant]]
issuer = "company"
group = "ml-leads"
project = "*"
role = "promoter"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.roles import ALL_PROJECTS, Role

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ROLES = {role.label: role for role in Role}
# The hosts whose providers may do without TLS: they are on this machine.
_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


class InvalidIssuerError(Exception):
    """An issuer or a grant in the settings is not valid. The message says which, and what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuer of tokens.

    `audience` are the audiences of tokens for this registry. A caller's name is `prefix` and the claim `name_claim`.
    Keys come from `keys_file`, else from the provider's metadata. With `client_id`, people sign in at the provider.
    """

    name: str
    url: str
    audience: tuple[str, ...] = ()
    prefix: str = ""
    name_claim: str = "sub"
    groups_claim: str = "groups"
    keys_file: Path | None = None
    ca: Path | None = None
    client_id: str = ""
    client_secret_file: Path | None = None
    scope: str = "openid profile email"
    title: str = ""

    @property
    def shown(self) -> str:
        """The name that people see where they sign in."""
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class ClaimGrant:
    """A role in a project, or in all, for callers of an issuer with these values of claims."""

    issuer: str
    claims: tuple[tuple[str, str], ...]
    project: str
    role: Role

    def holds(self, issuer: str, values: Mapping[str, frozenset[str]]) -> bool:
        """Return whether it is for a caller with these values by claim."""
        return issuer == self.issuer and all(value in values.get(claim, ()) for claim, value in self.claims)


@dataclass(frozen=True, slots=True)
class Issuers:
    """All issuers, by name, and what their claims give."""

    by_name: Mapping[str, Issuer]
    grants: tuple[ClaimGrant, ...]

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def __iter__(self) -> Iterator[Issuer]:
        return iter(self.by_name.values())

    def of(self, url: str) -> Issuer | None:
        """Return the issuer with that value of the claim `iss`."""
        return next((each for each in self if each.url == url), None)

    def relevant(self, issuer: Issuer, claims: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        """Return the values of the claims that decide about roles, as texts."""
        names = {claim for grant in self.grants if grant.issuer == issuer.name for claim, _ in grant.claims}
        wanted = {value for grant in self.grants for _, value in grant.claims}
        return {name: frozenset(_texts(claims.get(name))) & wanted for name in names}

    def roles(self, issuer: str, values: Mapping[str, frozenset[str]]) -> dict[str, Role]:
        """Return the roles by project of a caller of the issuer with these values by claim."""
        roles: dict[str, Role] = {}
        for grant in self.grants:
            if grant.holds(issuer, values):
                roles[grant.project] = max(grant.role, roles.get(grant.project, grant.role))
        return roles


NO_ISSUERS = Issuers({}, ())


def _texts(value: Any) -> Iterator[str]:
    """Yield the values of a claim as texts: one, or those of a list."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, bool):
            yield str(each).lower()
        elif isinstance(each, str | int):
            yield str(each)


def parse_issuers(issuers: Any, grants: Any, folder: Path) -> Issuers:
    """Return the issuers and grants of the tables in the settings. Paths are relative to the folder.

    Raises InvalidIssuerError.
    """
    found = [_issuer(table, folder) for table in _tables(issuers, "issuer")]
    by_name = {each.name: each for each in found}
    _check_distinct("name", [each.name for each in found])
    _check_distinct("url", [each.url for each in found])
    # Otherwise one issuer could name its callers as another one does.
    _check_distinct("prefix", [each.prefix for each in found])
    return Issuers(by_name, tuple(_grant(table, by_name) for table in _tables(grants, "grant")))


def _tables(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidIssuerError(f"{name} is no list of tables; begin each with [[{name}]]")
    return [{key.replace("-", "_"): each for key, each in table.items()} for table in value]


def _check_distinct(what: str, values: list[str]) -> None:
    twice = sorted({each for each in values if values.count(each) > 1})
    if twice:
        raise InvalidIssuerError(f"two issuers have the {what} {twice[0]!r}; give each another one")


def _issuer(table: dict[str, Any], folder: Path) -> Issuer:
    where = f"issuer {table.get('name')!r}"
    known = {each.name for each in fields(Issuer)}
    _check_keys(table, known, where)
    if not isinstance(table.get("name"), str) or not _NAME.fullmatch(table["name"]):
        raise InvalidIssuerError(f"{where} needs a name of letters a to z, digits and hyphens, such as company")
    given: dict[str, Any] = dict(table)
    given["audience"] = _list(table.get("audience", []), f"{where}: audience")
    for key in ("keys_file", "ca", "client_secret_file"):
        if key in given:
            given[key] = folder / _text(given[key], f"{where}: {key}")
    for key in known - {"audience", "keys_file", "ca", "client_secret_file"}:
        if key in given:
            _text(given[key], f"{where}: {key}")
    _check_url(given.get("url", ""), where)
    if not given["audience"] and not given.get("client_id"):
        raise InvalidIssuerError(
            f"{where} needs an audience, which its tokens for this registry name, or a client-id, for people to sign in"
        )
    return Issuer(**given)


def _check_url(url: str, where: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        raise InvalidIssuerError(
            f"{where} has the url {url!r}; it begins with https://, as the claim iss of its tokens"
        )


def _grant(table: dict[str, Any], issuers: Mapping[str, Issuer]) -> ClaimGrant:
    where = f"the grant {table!r}"
    _check_keys(table, {"issuer", "group", "claims", "project", "role"}, where)
    issuer = issuers.get(table.get("issuer", ""))
    if issuer is None:
        known = ", ".join(issuers) or "none"
        raise InvalidIssuerError(f"{where} is for no known issuer; name one of those in [[issuer]]: {known}")
    claims = dict(_claims(table.get("claims", {}), where))
    if "group" in table:
        claims[issuer.groups_claim] = _text(table["group"], f"{where}: group")
    if not claims:
        raise InvalidIssuerError(f"{where} is for everybody; name a group, or claims such as {{ sub = '...' }}")
    role = _ROLES.get(table.get("role", ""))
    if role is None:
        raise InvalidIssuerError(f"{where} needs a role: {', '.join(_ROLES)}")
    try:
        project = table.get("project", "")
        project = project if project == ALL_PROJECTS else naming.project_name(project)
    except (InvalidField, TypeError) as error:
        raise InvalidIssuerError(f"{where} needs the name of a project, or '*' for all: {error}") from None
    return ClaimGrant(issuer.name, tuple(sorted(claims.items())), project, role)


def _claims(value: Any, where: str) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        raise InvalidIssuerError(f"{where}: claims is no table, such as {{ repository = 'acme/churn' }}")
    return [(claim, _text(each, f"{where}: {claim}")) for claim, each in value.items()]


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(table.keys() - known):
        listed = ", ".join(sorted(each.replace("_", "-") for each in known))
        raise InvalidIssuerError(f"{where} has {', '.join(unknown)}; it takes {listed}")


def _list(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(each, where) for each in (value if isinstance(value, list) else [value]))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidIssuerError(f"{where} is no text")
    return value
