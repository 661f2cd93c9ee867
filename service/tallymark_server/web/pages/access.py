"""The page of tokens, service accounts and grants, for admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tallymark_server.access.first_token import draw_token
from tallymark_server.domain.access import views
from tallymark_server.domain.access.commands import (
    DAY,
    AddGrant,
    CreateToken,
    RemoveGrant,
    RevokeToken,
    RotateToken,
)
from tallymark_server.domain.access.state import NEVER
from tallymark_server.domain.access.token_text import TokenText
from tallymark_server.domain.errors import PermissionDenied, RegistryError
from tallymark_server.domain.roles import Role
from tallymark_server.rpc.services import method_needs
from tallymark_server.web.actions.forms import Form, chosen, sent
from tallymark_server.web.errors import http_status
from tallymark_server.web.request import PageRequest, PageResult, Redirect, View

ADDRESS = "/access"
ROLES = {role.label: role for role in Role}
# For how long a token may count that is created here, in days; 0 for ever.
LIFETIMES = (1, 7, 30, 90, 365, 0)
DEFAULT_LIFETIME = 90
NEEDS = method_needs("CreateToken")


async def page(request: PageRequest) -> PageResult:
    """Show what the caller administers. Raises AccessControlOff or PermissionDenied."""
    _check(request)
    await request.registry.access.refresh()
    return _view(request)


async def change(request: PageRequest) -> PageResult:
    """Make a change, and show the page again; the text of a new token is shown by this answer alone."""
    _check(request)
    form = await sent(request.http)
    try:
        new = await chosen(form.text("act"), _ACTS, "act")(request, form)
    except RegistryError as error:
        return _view(request, problem=error)
    return Redirect(ADDRESS) if new is None else _view(request, new=new)


def _check(request: PageRequest) -> None:
    if Role.ADMIN not in request.caller.grants.values():
        raise PermissionDenied(request.caller.name, NEEDS.what, NEEDS.role.label, request.project)
    _ = request.registry.access


async def _create(request: PageRequest, form: Form) -> TokenText:
    book, token = request.registry.access, draw_token()
    days = chosen(form.text("days"), {str(days): days for days in LIFETIMES}, "days")
    account = form.text("account")
    command = CreateToken(
        name=form.text("name"),
        token=token,
        expire_time=book.now() + days * DAY if days else NEVER,
        account=account,
        role=None if account else chosen(form.text("role"), ROLES, "role"),
        projects=() if account else tuple(form.text("projects").split()),
    )
    await book.execute(command, request.caller)
    return token


async def _rotate(request: PageRequest, form: Form) -> TokenText:
    token = draw_token()
    await request.registry.access.execute(RotateToken(name=form.text("name"), token=token), request.caller)
    return token


async def _revoke(request: PageRequest, form: Form) -> None:
    await request.registry.access.execute(RevokeToken(name=form.text("name")), request.caller)


async def _grant(request: PageRequest, form: Form) -> None:
    book = request.registry.access
    await book.refresh()
    member, role = views.named_member(book.state, form.text("member")), chosen(form.text("role"), ROLES, "role")
    await book.execute(AddGrant(member=member, project=form.text("project"), role=role), request.caller)


async def _remove(request: PageRequest, form: Form) -> None:
    book = request.registry.access
    await book.refresh()
    member = views.named_member(book.state, form.text("member"))
    await book.execute(RemoveGrant(member=member, project=form.text("project")), request.caller)


_ACTS: dict[str, Callable[[PageRequest, Form], Awaitable[TokenText | None]]] = {
    "create": _create,
    "rotate": _rotate,
    "revoke": _revoke,
    "grant": _grant,
    "remove": _remove,
}


def _view(request: PageRequest, *, problem: RegistryError | None = None, new: TokenText | None = None) -> View:
    book = request.registry.access
    by, state = book.admin(request.caller), book.state
    tokens, grants = views.tokens_seen(state, by), views.grants_seen(state, by)
    accounts = views.accounts_seen(state, by)
    rows = [
        (token, [grant for grant in grants if grant.member == token.member], (book.last_use(token) or 0) * DAY)
        for token in tokens
    ]
    return View(
        template="access.html",
        facts={
            "title": "Access",
            "rows": rows,
            "grants": grants,
            "accounts": accounts,
            "roles": list(ROLES),
            "lifetimes": LIFETIMES,
            "default_lifetime": DEFAULT_LIFETIME,
            "own": "*" if by.of_all else " ".join(sorted(name for name in by.roles if by.administers(name))),
            "new": new,
            "problem": problem,
            "live": False,
        },
        # The text of a new token is for people: programs have the service Access.
        data=lambda: {
            "tokens": [{"name": token.name, "id": token.secret.id, "member": str(token.member)} for token in tokens],
            "grants": [
                {"member": str(each.member), "project": each.project, "role": each.role.label} for each in grants
            ],
        },
        headers={"cache-control": "no-store"},
        problem=problem,
        status=200 if problem is None else http_status(problem),
    )
