"""The fields of forms, and the handlers that show and apply a form."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypedDict
from urllib.parse import parse_qs

from starlette.requests import Request

from tallymark_server.domain import naming
from tallymark_server.domain.errors import Conflict, InvalidField, MalformedRequest, RegistryError
from tallymark_server.domain.events import Event
from tallymark_server.rpc.decoder import MAX_INLINE
from tallymark_server.web import history
from tallymark_server.web.errors import http_status
from tallymark_server.web.request import PageRequest, PageResult, Redirect, View

MAX_FIELDS = 400
FORM = "application/x-www-form-urlencoded"
SHOWN_CHANGES = 5


class AskAgainError(Exception):
    """The input has a consequence that the form has not shown: the form is shown again, to be sent again."""


class Attempt(TypedDict):
    """The fields that every command has about its request."""

    project: str
    actor: str
    request_id: str
    fingerprint: bytes


class Form:
    """The fields of a form that was sent."""

    def __init__(self, fields: dict[str, list[str]], path: str) -> None:
        self._fields = fields
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def text(self, key: str) -> str:
        """Return the field without surrounding space, empty if it was not sent."""
        # Browsers send CRLF.
        return self._fields.get(key, [""])[0].replace("\r\n", "\n").strip()

    def given(self, key: str) -> str:
        """Return a required field, which may be empty. Raises MalformedRequest if it was not sent."""
        if key not in self._fields:
            raise MalformedRequest("form")
        return self.text(key)

    def lines(self, key: str) -> tuple[str, ...]:
        """Return the lines of a required field, without empty ones. Raises MalformedRequest."""
        return tuple(line.strip() for line in self.given(key).splitlines() if line.strip())

    def integer(self, key: str) -> int:
        """Return the field as an integer, 0 if it is absent or none."""
        text = self.text(key)
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    def ticked(self, key: str) -> bool:
        """Return whether the box was ticked."""
        return self.text(key) == "yes"

    @property
    def reason(self) -> str:
        """Return the reason for the log. Raises ValueTooLarge."""
        return naming.prose(self.text("reason"), "reason")

    def attempt(self, request: PageRequest) -> Attempt:
        """Return the fields of a command about its request: the same form sent twice has an effect once."""
        content = repr((self._path, sorted(self._fields.items()))).encode()
        return Attempt(
            project=request.project,
            actor=request.actor,
            request_id=naming.request_id(self.text("request_id")),
            fingerprint=hashlib.sha256(content).digest()[:16],
        )


async def sent(request: Request) -> Form:
    """Return the form that was sent. Raises MalformedRequest, also for another content type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise MalformedRequest("form")
    body = await request.body()
    try:
        # In a thread, since four megabytes, all escaped, take a second.
        fields = await asyncio.to_thread(_fields, body) if len(body) > MAX_INLINE else _fields(body)
    except ValueError:
        raise MalformedRequest("form") from None
    return Form(fields, request.url.path)


def _fields(body: bytes) -> dict[str, list[str]]:
    return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A form: its template, `show` for its variables (with the input after a refusal), and `apply`.

    It needs the role of `method`, the method of the contract that does the same.
    """

    method: str
    template: str
    show: Callable[[PageRequest, Form | None], Awaitable[dict[str, Any]]]
    apply: Callable[[PageRequest, Form], Awaitable[Redirect]]

    async def page(self, request: PageRequest) -> PageResult:
        """Show the empty form."""
        return self._view(request, await self.show(request, None), None)

    async def post(self, request: PageRequest, form: Form) -> PageResult:
        """Apply the form and redirect to the change. Show the form again, with the reason, if it is refused."""
        try:
            return await self.apply(request, form)
        except AskAgainError:
            return self._view(request, await self.show(request, form), None)
        except RegistryError as error:
            refusal = error
        facts = await self.show(request, form)
        if isinstance(refusal, Conflict):
            facts["changes"] = await _changes(request, facts, form.text("etag"))
        return self._view(request, facts, refusal)

    def _view(self, request: PageRequest, facts: dict[str, Any], problem: RegistryError | None) -> View:
        return View(
            template=self.template,
            facts={
                "changes": [],
                **facts,
                "problem": problem,
                "live": False,
                "request_id": f"web-{secrets.token_urlsafe(12)}",
                "action": request.path,
            },
            data=lambda: {"form": facts["title"]},
            problem=problem,
            status=200 if problem is None else http_status(problem),
        )


async def _changes(request: PageRequest, facts: dict[str, Any], etag: str) -> list[Event]:
    """Return the events of the form's subject since its etag was read."""
    revision = etag.removeprefix("r")
    if not revision.isdecimal() or len(revision) > 18:
        return []
    version = facts.get("version")
    past = await history.of(
        request.registry,
        request.project,
        facts["model"].id,
        version.number if version else None,
        2**63 - 1,
        limit=SHOWN_CHANGES,
    )
    return [event for event in past.events if event.revision > int(revision)]


def chosen(text: str, among: dict[str, Any], field: str) -> Any:
    """Return the choice. Raises InvalidField if it is none of the choices."""
    if text not in among:
        raise InvalidField(field, text, f"choose one of {', '.join(among)}")
    return among[text]
