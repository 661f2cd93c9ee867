"""One request as pages see it, and what pages answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from starlette.requests import Request

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, RegistryError
from tallymark_server.domain.reference import parse
from tallymark_server.registry import Registry
from tallymark_server.web.addresses import DEFAULT_PROJECT, Addresses, named, query

ANONYMOUS = "anonymous"
ACTOR_COOKIE = "tallymark_actor"
THEME_COOKIE = "tallymark_theme"
THEMES = ("system", "light", "dark")
PAGE_SIZES = (25, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every page may need to know of the service: what it keeps, and where gRPC is answered."""

    registry: Registry
    grpc_port: int | str


class Menu(NamedTuple):
    """The projects that can be chosen on every page: the first by name, and whether there are more."""

    projects: tuple[str, ...]
    more: bool


NO_MENU = Menu((), more=False)


class Visit:
    """One request: for which project, by whom, and with what in its query."""

    def __init__(self, request: Request, around: Surroundings) -> None:
        self.request = request
        self.around = around
        self.registry = around.registry
        self.project: str = request.path_params.get("project", DEFAULT_PROJECT)
        self.to = Addresses(self.project)
        # As it stands in an address: what a form or a link leads to must be this very page.
        self.path: str = quote(request.scope["path"], safe="/@=:,")
        self.now = time.time_ns() // 1000
        self.as_json: bool = request.scope.get("tallymark.json", False)
        self.menu = NO_MENU

    @property
    def layout(self) -> str:
        """How much of the page is asked for: all of it, its own part, or what a dialog shows."""
        if self.request.headers.get("hx-request") != "true":
            return "page.html"
        return "dialog.html" if "#dialog" in self.request.headers.get("hx-source", "") else "fragment.html"

    @property
    def told(self) -> int | None:
        """The revision of which the stream has told the page that asks anew; None if it does not say."""
        revision = self.request.headers.get("tallymark-told", "").partition(".")[0]
        return int(revision) if revision.isdecimal() and len(revision) < 19 else None

    @property
    def model(self) -> str:
        """The model in the path; InvalidName."""
        return naming.model_name(named(self.request.path_params["model"]))

    @property
    def run(self) -> str:
        """The id of the run in the path; InvalidField."""
        return naming.run_id(named(self.request.path_params["run"]))

    @property
    def number(self) -> int:
        """The number in the path; InvalidField for one that no version can have."""
        return int(parse(str(self.request.path_params["number"]), "number").value)

    @property
    def actor(self) -> str:
        """Who says to be there, by the cookie of the settings page: there is no authentication yet."""
        try:
            return naming.plain_label(unquote(self.request.cookies.get(ACTOR_COOKIE, "")), "actor")
        except InvalidField:
            return ANONYMOUS

    @property
    def theme(self) -> str:
        """The colours that the viewer chose."""
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else "system"

    @property
    def page_size(self) -> int:
        """How many rows the viewer wants on a page."""
        asked = self.whole("size")
        return asked if asked in PAGE_SIZES else PAGE_SIZES[0]

    def text(self, key: str) -> str:
        """What the query says, without space around it."""
        return self.request.query_params.get(key, "").strip()

    def texts(self, key: str) -> list[str]:
        """All that the query says for the key."""
        return self.request.query_params.getlist(key)

    def whole(self, key: str) -> int:
        """The whole number that the query says, 0 if there is none."""
        text = self.text(key)
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    def here(self, **changes: object) -> str:
        """The very page, with some of its query changed."""
        kept: dict[str, object] = {key: self.texts(key) for key in self.request.query_params}
        return self.path + query(**{**kept, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page shows: a template with its facts, and the same as JSON."""

    template: str
    facts: Mapping[str, Any]
    data: Callable[[], object]
    status: int = 200
    revision: int = 0
    problem: RegistryError | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What was asked for is at another address."""

    address: str
    status: int = 303
    cookies: Mapping[str, str] = field(default_factory=dict)


Answer = View | Elsewhere
Page = Callable[[Visit], Awaitable[Answer]]
