"""A request as the pages read it, and what they return: a view or a redirect."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from starlette.requests import Request

from tallymark_server.access.callers import CallerKind
from tallymark_server.access.door import Door
from tallymark_server.availability import Availability
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, RegistryError
from tallymark_server.domain.reference import parse
from tallymark_server.domain.roles import Role
from tallymark_server.observer import Observer
from tallymark_server.registry import Registry
from tallymark_server.rpc.services import method_needs
from tallymark_server.web.addresses import DEFAULT_PROJECT, Addresses, named, query
from tallymark_server.web.entry import CREDENTIALS, caller_of

if TYPE_CHECKING:
    from tallymark_server.web.sign_in import SignIn

ANONYMOUS = "anonymous"
ACTOR_COOKIE = "tallymark_actor"
THEME_COOKIE = "tallymark_theme"
THEMES = ("system", "light", "dark")
PAGE_SIZES = (25, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class AppContext:
    """What every page may use: the registry, the door, and the port or socket of gRPC, which snippets name.

    Calls over HTTP are observed, and probes answer whether the storage is available. `sign_in` is None if nobody needs
    to sign in.
    """

    registry: Registry
    door: Door
    grpc_port: int | str
    availability: Availability
    observer: Observer
    sign_in: SignIn | None = None


class Menu(NamedTuple):
    """The projects in the header of a page: the first by name, and whether there are more."""

    projects: tuple[str, ...]
    more: bool


NO_MENU = Menu((), more=False)


class PageRequest:
    """One HTTP request to a page: its project, path, query, cookies and headers."""

    def __init__(self, http: Request, context: AppContext) -> None:
        self.http = http
        self.context = context
        self.registry = context.registry
        self.caller = caller_of(http.scope)
        self.project: str = http.path_params.get("project", DEFAULT_PROJECT)
        self.to = Addresses(self.project)
        # Encoded, since forms and links use it as their address.
        self.path: str = quote(http.scope["path"], safe="/@=:,")
        self.now = time.time_ns() // 1000
        self.as_json: bool = http.scope.get("tallymark.json", False)
        self.menu = NO_MENU

    @property
    def layout(self) -> str:
        """The template that surrounds the content: a whole page, its main part, or a dialog."""
        if self.http.headers.get("hx-request") != "true":
            return "page.html"
        return "dialog.html" if "#dialog" in self.http.headers.get("hx-source", "") else "fragment.html"

    @property
    def seen_revision(self) -> int | None:
        """The last revision that the stream has reported to the page that reloads; None if the page does not say."""
        revision = self.http.headers.get("tallymark-seen-revision", "").partition(".")[0]
        return int(revision) if revision.isdecimal() and len(revision) < 19 else None

    @property
    def model(self) -> str:
        """The model in the path. Raises InvalidName."""
        return naming.model_name(named(self.http.path_params["model"]))

    @property
    def run(self) -> str:
        """The id of the run in the path. Raises InvalidField."""
        return naming.run_id(named(self.http.path_params["run"]))

    @property
    def number(self) -> int:
        """The version number in the path. Raises InvalidField if it is no possible number."""
        return int(parse(str(self.http.path_params["number"]), "number").value)

    @property
    def has_session(self) -> bool:
        """Whether the viewer has signed in, and so can sign out."""
        credentials = self.http.scope.get(CREDENTIALS)
        return self.signed_in and credentials is not None and credentials.session is not None

    @property
    def signed_in(self) -> bool:
        """Whether the viewer is known by name."""
        return self.caller.kind is not CallerKind.LOCAL

    @property
    def actor(self) -> str:
        """The caller's name; without access control, the one from the cookie of the settings page."""
        if self.signed_in:
            return self.caller.name
        try:
            return naming.plain_label(unquote(self.http.cookies.get(ACTOR_COOKIE, "")), "actor")
        except InvalidField:
            return ANONYMOUS

    @property
    def theme(self) -> str:
        """The color theme that the viewer has chosen."""
        chosen = self.http.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else "system"

    @property
    def page_size(self) -> int:
        """How many rows a page of a list has: the size in the query, if it is offered, else the smallest."""
        size = self.integer("size")
        return size if size in PAGE_SIZES else PAGE_SIZES[0]

    def may(self, method: str) -> bool:
        """Return whether the caller may call this method of the contract in the project, as a form does."""
        return self.caller.may(method_needs(method).role, self.project)

    @property
    def administers(self) -> bool:
        """Whether the caller administers a project of a service with access control."""
        return self.registry.has_access_control and Role.ADMIN in self.caller.grants.values()

    def text(self, key: str) -> str:
        """Return the query parameter without surrounding space, empty if it is absent."""
        return self.http.query_params.get(key, "").strip()

    def texts(self, key: str) -> list[str]:
        """Return all values of the query parameter."""
        return self.http.query_params.getlist(key)

    def integer(self, key: str) -> int:
        """Return the query parameter as an integer, 0 if it is absent or none."""
        text = self.text(key)
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    def here(self, **changes: object) -> str:
        """Return the address of this page with some query parameters changed."""
        current: dict[str, object] = {key: self.texts(key) for key in self.http.query_params}
        return self.path + query(**{**current, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page shows: a template with its variables, and the same as JSON."""

    template: str
    facts: Mapping[str, Any]
    data: Callable[[], object]
    status: int = 200
    revision: int = 0
    problem: RegistryError | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to another address, with cookies to set."""

    address: str
    status: int = 303
    cookies: Mapping[str, str] = field(default_factory=dict)


PageResult = View | Redirect
PageHandler = Callable[[PageRequest], Awaitable[PageResult]]
