"""The door to the registry for every edge: commands go to the line, questions to storage."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from tallymark_server.domain.commands import Command
from tallymark_server.domain.conditions import MODEL_FIELDS, VERSION_FIELDS
from tallymark_server.domain.errors import InvalidPageToken, ModelNotFound, RevisionInFuture, RunNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Run
from tallymark_server.domain.reference import MAX_NUMBER, Reference
from tallymark_server.domain.state import missing
from tallymark_server.filtering import parse
from tallymark_server.storage.contract import Page, Storage
from tallymark_server.watching import Bell, Interest, Progress, watch
from tallymark_server.writer import Writer

T = TypeVar("T")
DEFAULT_PAGE = 50
MAX_PAGE = 1000
# A name of 255 characters, escaped for JSON and in base64, and what else a token holds.
MAX_TOKEN = 4200
_AFTER_ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A page of a list, the token of the next (empty after the last), and the revision that it shows."""

    items: list[T]
    next_page_token: str
    revision: int


class Registry:
    """What can be asked of the registry. `heartbeat` is the longest silence, in seconds, of a watch."""

    def __init__(self, storage: Storage, writer: Writer, bell: Bell, heartbeat: float) -> None:
        self._storage = storage
        self._writer = writer
        self._bell = bell
        self._heartbeat = heartbeat

    async def execute(self, command: Command[T]) -> T:
        """The answer to the command, given after its effect is durable; a RegistryError if it is refused."""
        return await self._writer.execute(command)

    async def model(self, project: str, name: str, *, deleted: bool = False) -> Model:
        """The model of that name, also a deleted one if that is asked for; ModelNotFound."""
        model = await self._storage.model(project, name)
        if model is None or model.purged or (model.delete_time is not None and not deleted):
            raise ModelNotFound(project, name, await self._storage.renamed(project, name) if model is None else None)
        return model

    async def version(self, project: str, model: str, reference: Reference, *, deleted: bool = False) -> ModelVersion:
        """The version that the reference means; ModelNotFound, VersionNotFound, StageEmpty or AliasNotFound."""
        version = await self._storage.version(project, model, reference, of_deleted=deleted)
        if version is None or (version.delete_time is not None and not deleted):
            await self.model(project, model, deleted=deleted)
            raise missing(project, model, reference)
        return version

    async def run(self, project: str, run_id: str) -> Run:
        """The run of that id; RunNotFound."""
        run = await self._storage.run(project, run_id)
        if run is None:
            raise RunNotFound(project, run_id)
        return run

    async def models(
        self, project: str, page_size: int, page_token: str, *, deleted: bool = False, filter_text: str = ""
    ) -> Listing[Model]:
        """The project's models by name, of which the filter is true; InvalidFilter."""
        size, scope = _page_size(page_size), f"models of {project} where {filter_text}"
        after = _parse_token(page_token, scope, str, "")
        condition = parse(filter_text, MODEL_FIELDS)
        page = await self._storage.models(project, after, size + 1, deleted=deleted, condition=condition)
        return _listing(page, size, scope, lambda model: model.name)

    async def versions(
        self, project: str, model: str, page_size: int, page_token: str, *, deleted: bool = False, filter_text: str = ""
    ) -> Listing[ModelVersion]:
        """The model's versions of which the filter is true, the highest number first; ModelNotFound, InvalidFilter."""
        size, scope = _page_size(page_size), f"versions of {project}/{model} where {filter_text}"
        before = _parse_token(page_token, scope, int, MAX_NUMBER + 1)
        condition = parse(filter_text, VERSION_FIELDS)
        page = await self._storage.versions(project, model, before, size + 1, deleted=deleted, condition=condition)
        if not page.items:
            await self.model(project, model, deleted=deleted)
        return _listing(page, size, scope, lambda version: version.number)

    async def runs(self, project: str, page_size: int, page_token: str) -> Listing[Run]:
        """The project's runs, the last started first."""
        size, scope = _page_size(page_size), f"runs of {project}"
        before = _parse_token(page_token, scope, int, _AFTER_ALL)
        page = await self._storage.runs(project, before, size + 1)
        return _listing(page, size, scope, lambda run: run.create_revision)

    async def events(self, project: str, after: int, page_size: int) -> Page[Event]:
        """Events after that revision, in order; RevisionInFuture."""
        page = await self._storage.events(project, after, _page_size(page_size))
        if after > page.head.revision:
            raise RevisionInFuture(after, min(1, page.head.revision), page.head.revision)
        return page

    async def watch(self, project: str, model: str, interest: Interest) -> AsyncIterator[Progress]:
        """Every event that is wanted, of one model if it is named, once and in order, without end; ModelNotFound."""
        if model:
            interest = replace(interest, model_id=(await self.model(project, model, deleted=True)).id)
        async for progress in watch(self._storage, self._bell, project, interest, self._heartbeat):
            yield progress


def _page_size(asked: int) -> int:
    return min(asked, MAX_PAGE) if asked > 0 else DEFAULT_PAGE


def _listing(page: Page[T], size: int, scope: str, key: Callable[[T], str | int]) -> Listing[T]:
    items = page.items[:size]
    token = _make_token(scope, key(items[-1])) if len(page.items) > size else ""
    return Listing(items, token, page.head.revision)


def _make_token(scope: str, key: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps([_mark(scope), key]).encode()).decode().rstrip("=")


def _mark(scope: str) -> str:
    """A short text for the list that a token belongs to, however long its filter."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16]


def _beyond_storage(key: str | int) -> bool:
    return isinstance(key, int) and not 0 <= key <= _AFTER_ALL


K = TypeVar("K", str, int)


def _parse_token(token: str, scope: str, kind: type[K], start: K) -> K:
    if not token:
        return start
    if len(token) > MAX_TOKEN:
        raise InvalidPageToken
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError):
        raise InvalidPageToken from None
    match found:
        case [str(of), str(key) | int(key)] if of == _mark(scope) and type(key) is kind and not _beyond_storage(key):
            return key
        case _:
            raise InvalidPageToken
