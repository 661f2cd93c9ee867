"""`tallymark access`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from tallymark.cli import times
from tallymark.cli.client_context import Target, target, with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.types.enums import Role

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.access import NewToken, ServiceAccount, Token

NEVER = "never"


class Span(click.ParamType[timedelta]):
    """A span of time, such as 90d or 12h."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the span that the text means."""
        if isinstance(value, timedelta):
            return value
        try:
            return times.span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Lifetime(Span):
    """A span of time, or `never`, which is the empty span."""

    name = "TIME|never"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the span that the text means."""
        return timedelta() if value == NEVER else super().convert(value, param, ctx)


_name = click.argument("name")
_member = click.argument("member")
_role = click.option("--role", type=click.Choice([each.value for each in Role]), help="The role in the projects.")
_projects = click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="NAME",
    help="A project, or '*' for all. May be given several times.",
)
_project = click.option("--project", required=True, metavar="NAME", help="The project, or '*' for all.")
_expires = click.option("--expires", type=Lifetime(), help="After which time it expires, such as 90d (the default).")


@click.group(cls=Noun)
def access() -> None:
    """Tokens, service accounts, and roles: who may do what.

    An admin of a project decides about that project, and an admin of all projects about everything. Members are people
    (user:ann@example.com), service accounts (service-account:ci), and tokens with roles of their own (token:nightly).
    """


@access.group("token", cls=Noun)
def token() -> None:
    """Tokens, which programs and people present."""


@access.group("grant", cls=Noun)
def grant() -> None:
    """Roles of members in projects."""


@access.group("service-account", cls=Noun)
def service_account() -> None:
    """Accounts of programs, limited to projects."""


@access.command("init")
@click.option(
    "--db",
    metavar="FILE or URL",
    default="tallymark.db",
    envvar="TALLYMARK_DB",
    show_default=True,
    show_envvar=True,
    help="The SQLite file that the service serves, or its database of PostgreSQL.",
)
@click.option("--name", default="root", show_default=True, help="The name of the token.")
@click.option("--expires", type=Lifetime(), help="After which time it expires, such as 365d. Default: never.")
@click.option("--recover", is_flag=True, help="Make another token, since those of admins are lost.")
def init_access(db: str, name: str, expires: timedelta | None, recover: bool) -> None:
    """Turn access control on, and print the first token of an admin.

    Works on the file, while no server serves it: whoever can write it may do everything. The token is printed on
    standard output, once. Tokens and grants are kept beside the file, in tallymark.access.db. The next server of the
    file answers only callers that it knows.

    With the URL of a database of PostgreSQL, tokens and grants are kept in it. Servers that run on it without access
    control end within seconds; start them again.
    """
    if target() != Target():
        raise click.UsageError("--url, --project, --timeout and --context are for commands that call a service")
    now = time.time_ns() // 1000
    ends = now + expires // timedelta(microseconds=1) if expires else 0
    click.echo(import_module("tallymark_server.access_commands").init_access(db, name, ends, now, recover=recover))
    click.echo("keep this token, which is not shown again; start the service, and run tallymark login", err=True)


@access.command("show")
@with_client
def show(client: Client, printer: Printer) -> None:
    """Show who calls, with which roles and limits."""
    found = client.access.caller()
    printer.one(
        {
            "caller": found.name,
            "kind": found.kind,
            "roles": _roles(found.roles),
            "expires": _ends(found.expire_time),
            "speaks_for_others": found.speaks_for,
            "access_control": "on" if found.access_control else "off",
            "limits": ", ".join(f"{name} {limit:g}" for name, limit in found.limits.items()) or "none",
        }
    )


@token.command("create")
@_name
@_role
@_projects
@click.option("--service-account", default="", metavar="NAME", help="The service account whose roles it has.")
@_expires
@click.option("--speaks-for", is_flag=True, help="Let its calls name somebody else for whom they are.")
@with_client
def create_token(client: Client, printer: Printer, name: str, **given: Any) -> None:
    """Create a token, and print its text, which is not shown again."""
    expires: timedelta | None = given["expires"]
    new = client.access.create_token(
        name,
        role=Role(given["role"]) if given["role"] else None,
        projects=given["projects"],
        service_account=given["service_account"],
        expires=expires or None,
        never_expires=expires == timedelta(),
        speaks_for=given["speaks_for"],
    )
    _print_new(printer, new)


@token.command("list")
@with_client
def list_tokens(client: Client, printer: Printer) -> None:
    """List the tokens by name."""
    printer.many(map(_token_row, client.access.list_tokens()), "no tokens")


@token.command("rotate")
@_name
@click.option(
    "--overlap", type=Span(), default=timedelta(), metavar="TIME", help="How long the text before counts, such as 1h."
)
@click.option("--expires", type=Span(), help="After which time the new text expires. Default: as before.")
@with_client
def rotate_token(client: Client, printer: Printer, name: str, overlap: timedelta, expires: timedelta | None) -> None:
    """Give a token another text, and print it; it is not shown again."""
    _print_new(printer, client.access.rotate_token(name, overlap=overlap, expires=expires))


@token.command("revoke")
@_name
@with_client
def revoke_token(client: Client, printer: Printer, name: str) -> None:
    """Revoke a token at once, with its own roles."""
    printer.one(_token_row(client.access.revoke_token(name)))


@grant.command("add")
@_member
@click.option("--role", type=click.Choice([each.value for each in Role]), required=True, help="The role.")
@_project
@with_client
def add_grant(client: Client, printer: Printer, member: str, role: str, project: str) -> None:
    """Give a member a role, in place of the one it has there."""
    printer.one(_grant_row(client.access.add_grant(member, Role(role), project)))


@grant.command("list")
@click.option("--member", default="", metavar="MEMBER", help="List only those of this member.")
@with_client
def list_grants(client: Client, printer: Printer, member: str) -> None:
    """List the roles of members in projects."""
    printer.many(map(_grant_row, client.access.list_grants(member)), "no grants")


@grant.command("remove")
@_member
@_project
@with_client
def remove_grant(client: Client, printer: Printer, member: str, project: str) -> None:
    """Remove the role of a member in a project."""
    printer.one(_grant_row(client.access.remove_grant(member, project)))


@service_account.command("create")
@_name
@_projects
@_role
@with_client
def create_account(client: Client, printer: Printer, name: str, projects: tuple[str, ...], role: str | None) -> None:
    """Create a service account, limited to the projects."""
    created = client.access.create_service_account(name, projects=projects, role=Role(role) if role else None)
    printer.one(_account_row(created))


@service_account.command("list")
@with_client
def list_accounts(client: Client, printer: Printer) -> None:
    """List the service accounts by name."""
    printer.many(map(_account_row, client.access.list_service_accounts()), "no service accounts")


@service_account.command("delete")
@_name
@with_client
def delete_account(client: Client, printer: Printer, name: str) -> None:
    """Delete a service account, with its tokens and grants."""
    printer.one(_account_row(client.access.delete_service_account(name)))


def _print_new(printer: Printer, new: NewToken) -> None:
    printer.one({"token": new.token.name, "text": new.text, "expires": _ends(new.token.expire_time)})
    click.echo("keep the text, which is not shown again", err=True)


def _token_row(found: Token) -> dict[str, object]:
    return {
        "token": found.name,
        "id": found.id,
        "member": found.member,
        "roles": _roles(found.roles),
        "creator": found.creator,
        "expires": _ends(found.expire_time),
        "last_use": "never" if found.last_use_time is None else f"{found.last_use_time:%Y-%m-%d}",
    }


def _grant_row(found: Any) -> dict[str, str]:
    return {"member": found.member, "project": found.project, "role": str(found.role)}


def _account_row(found: ServiceAccount) -> dict[str, object]:
    return {
        "service_account": found.name,
        "projects": ",".join(found.projects),
        "roles": _roles(found.roles),
        "creator": found.creator,
    }


def _roles(roles: Mapping[str, Role]) -> str:
    return ",".join(f"{project}:{role}" for project, role in roles.items())


def _ends(moment: datetime | None) -> str:
    return NEVER if moment is None else times.local(moment)
