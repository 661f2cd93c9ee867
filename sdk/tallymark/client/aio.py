"""The client for asyncio: the same lines as the blocking one, with await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self, TypeVar

import grpc.aio

from tallymark.client import calls
from tallymark.client.aio_projects import AsyncProjects
from tallymark.client.aio_proving import AsyncProving
from tallymark.client.aio_tracking import AsyncTracking
from tallymark.client.argument_checks import checked
from tallymark.client.calls import Call, Cursor, ListOptions, NewVersion, Page, WatchFilter, WatchMessage
from tallymark.client.channel import (
    delay_before_retry,
    headers_of,
    is_silence,
    options,
    raise_for,
    read_reply,
    timeout_of,
)
from tallymark.client.first_contact import FirstContact
from tallymark.errors import Unavailable
from tallymark.settings import adjusted
from tallymark.types.enums import Stage
from tallymark.types.resources import Ensured, Event, ModelInfo, ModelVersion

T = TypeVar("T")


@checked
class AsyncClient(AsyncProjects, AsyncProving, AsyncTracking):
    """Asks the registry from asyncio. It belongs to the event loop in which it is first used.

    Versions are named as people write them: `churn` (the latest), `churn/41`, `churn@production`, `churn@champion`,
    `churn==1.0.5`. Arguments that are not given come from `tallymark.configure` and the environment. Every method
    raises a TallymarkError: NotFound, InvalidArgument, Unavailable, … With validate_only a change is only tried: the
    answer is what it would make, or the refusal.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        project: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> None:
        self._settings = adjusted(url=url, project=project, timeout=timeout, actor=actor)
        self._project = self._settings.project
        self._headers = headers_of(self._settings)
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[type, Any] = {}
        self._first = FirstContact(self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._settings.url!r}, project={self._project!r})"

    async def close(self) -> None:
        """Close the connection. The next call opens another."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
            self._stubs.clear()

    async def create_model(
        self,
        name: str,
        *,
        description: str = "",
        license: str = "",  # noqa: A002 - the contract's word
        audience: str = "",
        use_cases: str = "",
        limitations: str = "",
        trade_offs: str = "",
        ethics: str = "",
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
        validate_only: bool = False,
    ) -> ModelInfo:
        """Create a model without any version; ModelExists."""
        fields = {
            "description": description,
            "license": license,
            "audience": audience,
            "use_cases": use_cases,
            "limitations": limitations,
            "trade_offs": trade_offs,
            "ethics": ethics,
            "tags": tags,
            "metadata": metadata or {},
        }
        return await self.run_call(calls.trial(calls.create_model(self._project, name, fields), validate_only))

    async def get_model(self, name: str, *, show_deleted: bool = False, at: int | datetime | None = None) -> ModelInfo:
        """The model of that name, also a deleted one if that is asked for; ModelNotFound.

        `at` is a revision or a time: the model is read as it was then.
        """
        return await self.run_call(calls.get_model(self._project, name, show_deleted=show_deleted, at=at))

    def list_models(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        show_deleted: bool = False,
        at: int | datetime | None = None,
    ) -> AsyncIterator[ModelInfo]:
        """All models of which the filter (https://aip.dev/160) is true, by name or in that order; InvalidFilter.

        Every page shows the same moment: the one at which the list is begun, or the revision or time `at`.
        """
        listed = ListOptions(filter, order_by, show_deleted, at)
        return self._pages(lambda token: calls.list_models(self._project, token, listed))

    async def update_model(
        self,
        name: str,
        *,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - the contract's word
        audience: str | None = None,
        use_cases: str | None = None,
        limitations: str | None = None,
        trade_offs: str | None = None,
        ethics: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, object] | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> ModelInfo:
        """Change what people write about a model: None leaves a field, empty clears it. EtagMismatch."""
        changes = {
            "description": description,
            "license": license,
            "audience": audience,
            "use_cases": use_cases,
            "limitations": limitations,
            "trade_offs": trade_offs,
            "ethics": ethics,
            "tags": tags,
            "metadata": metadata,
        }
        return await self.run_call(calls.trial(calls.update_model(self._project, name, changes, etag), validate_only))

    async def rename_model(self, name: str, new_name: str, *, etag: str = "") -> ModelInfo:
        """Give a model another name; ModelExists, EtagMismatch."""
        return await self.run_call(calls.rename_model(self._project, name, new_name, etag))

    async def delete_model(self, name: str, *, force: bool = False, reason: str = "", etag: str = "") -> ModelInfo:
        """Delete a model with its versions, so that it can be undeleted; VersionInUse without force."""
        return await self.run_call(calls.delete_model(self._project, name, force=force, reason=reason, etag=etag))

    async def undelete_model(self, name: str, *, reason: str = "") -> ModelInfo:
        """Bring a deleted model back as it was; ModelNotDeleted."""
        return await self.run_call(calls.undelete_model(self._project, name, reason))

    async def purge_model(self, name: str, *, reason: str = "") -> ModelInfo:
        """Put a deleted model and its versions away for good; no number is given twice. ModelNotDeleted."""
        return await self.run_call(calls.purge_model(self._project, name, reason))

    async def create_version(
        self,
        model: str,
        name: str = "",
        *,
        description: str = "",
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
        validate_only: bool = False,
    ) -> ModelVersion:
        """Create the next version of a model; ModelNotFound, VersionNameTaken."""
        call = calls.create_version(self._project, model, NewVersion(name, description, tags, metadata or {}))
        return await self.run_call(calls.trial(call, validate_only))

    async def create_versions(self, model: str, versions: Sequence[NewVersion]) -> list[ModelVersion]:
        """Create 1 to 1000 versions with successive numbers, all or none; ModelNotFound, VersionNameTaken."""
        return await self.run_call(calls.create_versions(self._project, model, versions))

    async def ensure_version(self, model: str, version: str = "", *, run: str | None = None, step: str = "") -> Ensured:
        """The version that `Model(model, version)` means, created if need be."""
        config = calls.config(model, version)
        return await self.run_call(calls.ensure_version(self._project, config, run, step, calls.new_request_id()))

    async def get_version(
        self, reference: str, *, show_deleted: bool = False, at: int | datetime | None = None
    ) -> ModelVersion:
        """The version that the reference means; ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound.

        `at` is a revision or a time: reference and version are read as they were then.
        """
        return await self.run_call(calls.get_version(self._project, reference, show_deleted=show_deleted, at=at))

    def list_versions(
        self,
        model: str,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        show_deleted: bool = False,
        at: int | datetime | None = None,
    ) -> AsyncIterator[ModelVersion]:
        """All versions of a model, the highest number first, or ordered by such as `metadata.auc desc`; ModelNotFound.

        With a filter (https://aip.dev/160), such as `stage = "staging" AND metadata.auc > 0.9`, those of which it is
        true; InvalidFilter. Every page shows the same moment: the one at which the list is begun, or the revision or
        time `at`.
        """
        listed = ListOptions(filter, order_by, show_deleted, at)
        return self._pages(lambda token: calls.list_versions(self._project, model, token, listed))

    async def update_version(
        self,
        reference: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, object] | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> ModelVersion:
        """Change what people write about a version: None leaves a field, empty clears it. VersionNameTaken."""
        changes = {"version_name": name, "description": description, "tags": tags, "metadata": metadata}
        return await self.run_call(
            calls.trial(calls.update_version(self._project, reference, changes, etag), validate_only)
        )

    async def delete_version(
        self, reference: str, *, force: bool = False, reason: str = "", etag: str = ""
    ) -> ModelVersion:
        """Delete a version, so that it can be undeleted; its number and name stay taken. VersionInUse without force."""
        return await self.run_call(
            calls.delete_version(self._project, reference, force=force, reason=reason, etag=etag)
        )

    async def undelete_version(self, reference: str, *, reason: str = "") -> ModelVersion:
        """Bring a deleted version back; VersionNotDeleted."""
        return await self.run_call(calls.undelete_version(self._project, reference, reason))

    async def purge_version(self, reference: str, *, reason: str = "") -> ModelVersion:
        """Put a deleted version away for good; its number and name stay taken. VersionNotDeleted."""
        return await self.run_call(calls.purge_version(self._project, reference, reason))

    async def set_stage(
        self,
        reference: str,
        stage: Stage | str,
        *,
        force: bool = False,
        reason: str = "",
        etag: str = "",
        allow_unfinished_run: bool = False,
        validate_only: bool = False,
    ) -> ModelVersion:
        """Move a version to a stage; with force, the holder goes to the archive. StageOccupied, EtagMismatch.

        RunNotSucceeded when the run that made the version failed, is lost or still running, unless that is allowed and
        a reason is given.
        """
        how = {"force": force, "allow_unfinished_run": allow_unfinished_run}
        call = calls.set_stage(self._project, reference, stage, **how, reason=reason, etag=etag)
        return await self.run_call(calls.trial(call, validate_only))

    async def set_alias(
        self, reference: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Point an alias at a version; AliasMoved if it is not where it is expected (0: nowhere)."""
        return await self.run_call(
            calls.set_alias(self._project, reference, alias, expected_number=expected_number, reason=reason)
        )

    async def delete_alias(
        self, model: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Take an alias away; AliasNotFound, AliasMoved."""
        return await self.run_call(
            calls.delete_alias(self._project, model, alias, expected_number=expected_number, reason=reason)
        )

    async def history(self, reference: str, *, kinds: Sequence[str] = ()) -> AsyncIterator[Event]:
        """Events of a model (`churn`) with its versions, or of one version (`churn/41`), the newest first."""
        before = 0
        while events := await self.run_call(calls.history(self._project, reference, kinds, before)):
            for event in events:
                yield event
            before = events[-1].revision

    async def watch(
        self,
        after_revision: int | None = None,
        *,
        model: str = "",
        kinds: Sequence[str] = (),
        stages: Sequence[str] = (),
        log_id: str = "",
    ) -> AsyncIterator[Event]:
        """Events after a revision (None: from now on), as they happen, without end; each once, and in order.

        Only those about a model, only those of some kinds (`Event.kind`), and only moves into or out of some stages, if
        these are given. When the service goes away, this waits for it and goes on where it was; RevisionInFuture and
        LogReplaced if it came back as another, or is another than the one whose `log_id` is given. It ends when the
        client is closed.
        """
        told_all = self.watch_progress(after_revision, model=model, kinds=kinds, stages=stages, log_id=log_id)
        async with aclosing(told_all) as progress:
            async for told in progress:
                for event in told.events:
                    yield event

    async def watch_progress(
        self,
        after_revision: int | None = None,
        *,
        model: str = "",
        kinds: Sequence[str] = (),
        stages: Sequence[str] = (),
        log_id: str = "",
        on_lost: Callable[[Unavailable], object] | None = None,
    ) -> AsyncGenerator[WatchMessage, None]:
        """As `watch`, with how far in the log it has come: first where it begins, later also without any event.

        `on_lost` is called with the reason whenever the service goes away; what comes then tells that it is back.
        """
        wanted = WatchFilter(model, tuple(kinds), tuple(stages))
        # A stream waits for the service without end; a call tells within its deadline that there is none.
        head = await self.run_call(calls.head(self._project))
        cursor = Cursor(head.revision if after_revision is None else after_revision, log_id or head.log_id)
        while True:
            call = calls.watch(self._project, cursor, wanted)
            stream = await self._stream(call)
            channel = self._channel
            try:
                async for message in stream:
                    told = read_reply(call, message, self._settings)
                    yield told
                    cursor = told.cursor
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._channel is channel or (task is not None and task.cancelling()):
                    raise
                # gRPC cancels what goes on over a channel that is closed; whoever watches was not cancelled.
                return
            except grpc.RpcError as error:
                await asyncio.sleep(delay_before_retry(error, self._settings, on_lost))
            finally:
                stream.cancel()

    async def run_call(self, call: Call[T]) -> T:
        """The answer to a call made by `tallymark.client.calls`."""
        method = getattr(await self._stub(call.service), call.method)
        timeout = timeout_of(self._settings, call)
        pending = method(call.request, timeout=timeout, metadata=self._headers, wait_for_ready=call.waits)
        first = self._first
        try:
            reply = await (pending if first.made else first.answer(pending, timeout))
        except grpc.RpcError as error:
            first.made = first.made or not is_silence(error)
            raise_for(error, self._settings, timeout, await first.areason())
        first.made = True
        return read_reply(call, reply, self._settings)

    async def _stream(self, call: Call[T]) -> Any:
        method = getattr(await self._stub(call.service), call.method)
        return method(call.request, metadata=self._headers, wait_for_ready=call.waits)

    async def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            page = await self.run_call(page_of(token))
            for item in page.items:
                yield item
            token = page.next_page_token
            if not token:
                return

    async def _stub(self, service: type) -> Any:
        proxy = await self._first.choose_proxy() if self._channel is None else None
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._settings.url, options=options(proxy))
        if service not in self._stubs:
            self._stubs[service] = service(self._channel)
        return self._stubs[service]
