"""`AsyncClient`, the client for asyncio: the same methods as the blocking one, with await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self, TypeVar

import grpc.aio

from tallymark.client import calls
from tallymark.client.aio_access import AsyncAccess
from tallymark.client.argument_checks import checked
from tallymark.client.calls import (
    Call,
    Cursor,
    ExportChunk,
    ListOptions,
    NewVersion,
    Page,
    WatchFilter,
    WatchMessage,
    rollbacks,
)
from tallymark.client.channel import (
    channel_options,
    delay_before_retry,
    is_refusal,
    is_unanswered,
    raise_for,
    read_reply,
    timeout_of,
)
from tallymark.client.first_contact import FirstContact
from tallymark.client.headers import Headers
from tallymark.client.repetitions import Repetitions
from tallymark.client.replicas import Attempts, Replicas
from tallymark.client.tls import open_aio_channel
from tallymark.errors import ResourceExhausted, Unauthenticated, Unavailable
from tallymark.settings import adjusted
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import ArtifactRole, ArtifactType, RunState, Stage
from tallymark.types.proofs import Checkpoint, Erased, Proof
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.resources import (
    Ensured,
    Event,
    Heartbeat,
    Lineage,
    MetricPoint,
    ModelInfo,
    ModelVersion,
    Project,
    Run,
    RunStep,
    Started,
)

T = TypeVar("T")
# The most points that one request takes.
MAX_POINTS = 1000


@checked
class AsyncClient:
    """Call the registry from asyncio. A client belongs to the event loop in which it is first used.

    References to versions are written as `churn` (the latest), `churn/41`, `churn@production`, `churn@champion` (an
    alias) or `churn==1.0.5` (a name). A list is read page by page while it is iterated.

    Every method raises a TallymarkError: those that it names, and for example InvalidArgument or Unavailable; see
    `tallymark.errors`.

    Args:
        url: HOST:PORT or unix:PATH of the service, or grpcs://HOST:PORT; those of several replicas with commas between.
        project: The project to work on.
        timeout: The seconds that a call may take.
        actor: Who is recorded as having made the changes.

    Arguments that are not given come from `tallymark.configure`, the environment or the context in use.

    Raises:
        InvalidSetting: A setting has a value that it cannot have.
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
        self._headers = Headers(self._settings)
        self._replicas = Replicas(self._settings.url)
        self._channels: tuple[grpc.aio.Channel, ...] = ()
        self._stubs: dict[tuple[type, int], Any] = {}
        self._first = FirstContact(self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._settings.url!r}, project={self._project!r})"

    async def close(self) -> None:
        """Close the connection. The next call opens another."""
        channels, self._channels, self._stubs = self._channels, (), {}
        for channel in channels:
            await channel.close()

    @property
    def access(self) -> AsyncAccess:
        """Access control, with the tokens, service accounts and grants of the service."""
        return AsyncAccess(self.run_call)

    async def create_project(self, name: str) -> Project:
        """Create a project, which has its own models, runs and log.

        Use it with `Client(project=name)`, `tallymark.configure(project=name)` or TALLYMARK_PROJECT.

        Args:
            name: 1 to 63 of the characters a-z, 0-9 and -, beginning with a letter.

        Returns:
            The new project.

        Raises:
            ProjectExists: A project of that name exists.
            InvalidName: The name breaks this rule.
        """
        return await self.run_call(calls.create_project(name))

    async def get_project(self, name: str) -> Project:
        """Return the project of that name.

        Args:
            name: The project's name.

        Raises:
            ProjectNotFound: No project has that name.
        """
        return await self.run_call(calls.get_project(name))

    def list_projects(self) -> AsyncIterator[Project]:
        """Return all projects of the service, page by page, by name."""
        return self._pages(calls.list_projects)

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
        """Create a model that has no versions yet.

        Args:
            name: The model's name.
            description: What it is, in prose.
            license: Under which licence it may be used.
            audience: For whom it is.
            use_cases: For what it is meant.
            limitations: What it is known not to do well.
            trade_offs: What was given up for what.
            ethics: Ethical considerations in using it.
            tags: Free labels.
            metadata: Values by key.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The new model.

        Raises:
            ModelExists: A model of that name exists.
        """
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
        return await self.run_call(
            calls.with_validate_only(calls.create_model(self._project, name, fields), validate_only)
        )

    async def get_model(self, name: str, *, show_deleted: bool = False, at: int | datetime | None = None) -> ModelInfo:
        """Return the model of that name.

        Args:
            name: The model's name.
            show_deleted: Return it even if it is deleted.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ModelNotFound: No model has that name, or it is deleted.
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
        """Return all models, page by page, by name or in the order given.

        Every page shows the same state: that in which the list was begun, or that of `at`.

        Args:
            filter: A condition that items must meet, as in https://aip.dev/160.
            order_by: Fields to sort by, such as `update_time desc`.
            show_deleted: Include deleted models.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            InvalidFilter: The filter cannot be parsed.
        """
        options = ListOptions(filter, order_by, show_deleted, at)
        return self._pages(lambda token: calls.list_models(self._project, token, options))

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
        """Change the descriptions of a model. None leaves a field as it is, an empty value clears it.

        Args:
            name: The model's name.
            description: What it is, in prose.
            license: Under which licence it may be used.
            audience: For whom it is.
            use_cases: For what it is meant.
            limitations: What it is known not to do well.
            trade_offs: What was given up for what.
            ethics: Ethical considerations in using it.
            tags: Free labels.
            metadata: Values by key.
            etag: Make the change only if the etag is still this one.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The changed model.

        Raises:
            ModelNotFound: No model has that name.
            EtagMismatch: The model was changed since its etag was read.
        """
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
        return await self.run_call(
            calls.with_validate_only(calls.update_model(self._project, name, changes, etag), validate_only)
        )

    async def rename_model(self, name: str, new_name: str, *, etag: str = "") -> ModelInfo:
        """Rename a model, with its versions.

        A ModelNotFound for the old name has the new one in `metadata['renamed_to']`.

        Args:
            name: The model's name.
            new_name: The name to give it.
            etag: Make the change only if the etag is still this one.

        Returns:
            The renamed model.

        Raises:
            ModelNotFound: No model has that name.
            ModelExists: Another model has the new name.
            EtagMismatch: The model was changed since its etag was read.
        """
        return await self.run_call(calls.rename_model(self._project, name, new_name, etag))

    async def delete_model(self, name: str, *, force: bool = False, reason: str = "", etag: str = "") -> ModelInfo:
        """Delete a model with its versions. `undelete_model` restores them.

        Args:
            name: The model's name.
            force: Delete it even if one of its versions is in production.
            reason: The reason, recorded in the log.
            etag: Make the change only if the etag is still this one.

        Returns:
            The deleted model.

        Raises:
            ModelNotFound: No model has that name.
            VersionInUse: A version is in production, and `force` is False.
            EtagMismatch: The model was changed since its etag was read.
        """
        return await self.run_call(calls.delete_model(self._project, name, force=force, reason=reason, etag=etag))

    async def undelete_model(self, name: str, *, reason: str = "") -> ModelInfo:
        """Restore a deleted model with its versions.

        Args:
            name: The model's name.
            reason: The reason, recorded in the log.

        Returns:
            The restored model.

        Raises:
            ModelNotFound: No model has that name.
            ModelNotDeleted: The model is not deleted.
        """
        return await self.run_call(calls.undelete_model(self._project, name, reason))

    async def purge_model(self, name: str, *, reason: str = "") -> ModelInfo:
        """Remove a deleted model and its versions for good. Their numbers are never assigned again.

        Args:
            name: The model's name.
            reason: The reason, recorded in the log.

        Returns:
            The model as it was.

        Raises:
            ModelNotFound: No model has that name.
            ModelNotDeleted: The model is not deleted.
        """
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
        """Create the next version of a model.

        Args:
            model: The model's name.
            name: A name for the version; without one it is called by its number.
            description: What it is, in prose.
            tags: Free labels.
            metadata: Values by key.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The new version, with its number.

        Raises:
            ModelNotFound: No model has that name.
            VersionNameTaken: Another version of the model has that name.
        """
        call = calls.create_version(self._project, model, NewVersion(name, description, tags, metadata or {}))
        return await self.run_call(calls.with_validate_only(call, validate_only))

    async def create_versions(self, model: str, versions: Sequence[NewVersion]) -> list[ModelVersion]:
        """Create 1 to 1000 versions with successive numbers: all of them or none.

        Args:
            model: The model's name.
            versions: The versions to create.

        Returns:
            The new versions, in the same order.

        Raises:
            ModelNotFound: No model has that name.
            VersionNameTaken: Another version of the model has such a name.
        """
        return await self.run_call(calls.create_versions(self._project, model, versions))

    async def ensure_version(self, model: str, version: str = "", *, run: str | None = None, step: str = "") -> Ensured:
        """Return the version that `Model(model, version)` means, and create it if it does not exist.

        Args:
            model: The model's name; the model is created, too, if it does not exist.
            version: A number, name, stage, alias or `latest`; empty for the run's automatic version, or for a new one.
            run: The id of the run that creates it.
            step: The id of the run's step that creates it.

        Returns:
            The version, and whether it was created.

        Raises:
            VersionNotFound: `version` is a number that the model does not have.
            StageEmpty: `version` is a stage in which no version is.
        """
        config = calls.config(model, version)
        return await self.run_call(calls.ensure_version(self._project, config, run, step, calls.new_request_id()))

    async def get_version(
        self, reference: str, *, show_deleted: bool = False, at: int | datetime | None = None
    ) -> ModelVersion:
        """Return the version that a reference means.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            show_deleted: Return it even if it is deleted.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ModelNotFound: No model has that name.
            VersionNotFound: The model has no such version, or it is deleted.
            StageEmpty: No version is in that stage.
            AliasNotFound: The model has no such alias.
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
        """Return all versions of a model, page by page, the highest number first or in the order given.

        Every page shows the same state: that in which the list was begun, or that of `at`.

        Args:
            model: The model's name.
            filter: A condition that versions must meet, such as `stage = "staging" AND metadata.auc > 0.9`.
            order_by: Fields to sort by, such as `metadata.auc desc`.
            show_deleted: Include deleted versions.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ModelNotFound: No model has that name.
            InvalidFilter: The filter cannot be parsed.
        """
        options = ListOptions(filter, order_by, show_deleted, at)
        return self._pages(lambda token: calls.list_versions(self._project, model, token, options))

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
        """Change the name or description of a version. None leaves a field as it is, an empty value clears it.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            name: Its name in addition to its number.
            description: What it is, in prose.
            tags: Free labels.
            metadata: All of its metadata; `log_metadata` changes single keys.
            etag: Make the change only if the etag is still this one.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The changed version.

        Raises:
            VersionNotFound: The model has no such version.
            VersionNameTaken: Another version of the model has that name.
            EtagMismatch: The version was changed since its etag was read.
        """
        changes = {"version_name": name, "description": description, "tags": tags, "metadata": metadata}
        return await self.run_call(
            calls.with_validate_only(calls.update_version(self._project, reference, changes, etag), validate_only)
        )

    async def delete_version(
        self, reference: str, *, force: bool = False, reason: str = "", etag: str = ""
    ) -> ModelVersion:
        """Delete a version. `undelete_version` restores it; its number and name stay taken.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            force: Delete it even if it is in production.
            reason: The reason, recorded in the log.
            etag: Make the change only if the etag is still this one.

        Returns:
            The deleted version.

        Raises:
            VersionNotFound: The model has no such version.
            VersionInUse: It is in production, and `force` is False.
            EtagMismatch: The version was changed since its etag was read.
        """
        return await self.run_call(
            calls.delete_version(self._project, reference, force=force, reason=reason, etag=etag)
        )

    async def undelete_version(self, reference: str, *, reason: str = "") -> ModelVersion:
        """Restore a deleted version.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            reason: The reason, recorded in the log.

        Returns:
            The restored version.

        Raises:
            VersionNotFound: The model has no such version.
            VersionNotDeleted: The version is not deleted.
        """
        return await self.run_call(calls.undelete_version(self._project, reference, reason))

    async def purge_version(self, reference: str, *, reason: str = "") -> ModelVersion:
        """Remove a deleted version for good. Its number and name stay taken.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            reason: The reason, recorded in the log.

        Returns:
            The version as it was.

        Raises:
            VersionNotFound: The model has no such version.
            VersionNotDeleted: The version is not deleted.
        """
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
        expected_number: int | None = None,
        validate_only: bool = False,
    ) -> ModelVersion:
        """Move a version to a stage. Production and staging hold one version each.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            stage: `production`, `staging`, `archived` or `none`.
            force: Move the version that holds the stage to the archive.
            reason: The reason, recorded in the log.
            etag: Make the change only if the etag is still this one.
            allow_unfinished_run: Move it although its run failed, is lost or still running; this needs a reason.
            expected_number: The number of the version that must hold the stage now, 0 for none.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The moved version.

        Raises:
            VersionNotFound: The model has no such version.
            StageOccupied: Another version holds the stage, and `force` is False.
            StageMoved: Another version holds the stage than `expected_number` says.
            RunNotSucceeded: The run that created the version has not succeeded.
            EtagMismatch: The version was changed since its etag was read.
        """
        call = calls.set_stage(
            self._project,
            reference,
            stage,
            force=force,
            reason=reason,
            etag=etag,
            allow_unfinished_run=allow_unfinished_run,
            expected_number=expected_number,
        )
        return await self.run_call(calls.with_validate_only(call, validate_only))

    async def rollback(
        self,
        model: str,
        *,
        stage: Stage | str = Stage.PRODUCTION,
        reason: str = "",
        validate_only: bool = False,
    ) -> ModelVersion:
        """Bring the version back that held the stage before, and return it; the present holder goes to the archive.

        The log says which version that is: the last that entered the stage, other than the present holder. So a second
        rollback undoes the first.

        Args:
            model: The model's name.
            stage: `production` or `staging`.
            reason: The reason, recorded in the log; otherwise `rollback from NUMBER`.
            validate_only: Change nothing: return what the change would produce, or raise its error.

        Returns:
            The version that came back.

        Raises:
            ModelNotFound: The project has no such model.
            StageEmpty: No other version was in the stage.
            StageMoved: Another version entered the stage meanwhile. Nothing was changed.
            VersionDeleted, VersionNotFound: The version was deleted or purged since.
        """
        info = await self.get_model(model)
        number, holder = 0, rollbacks.holder_of(info, stage)
        async for event in self.history(info.resource_name, kinds=["stage_changed"]):
            if number := rollbacks.entered(event, stage, holder):
                break
        call = rollbacks.rollback(self._project, info, stage, number, reason)
        return await self.run_call(calls.with_validate_only(call, validate_only))

    async def set_alias(
        self, reference: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Point an alias at a version.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            alias: The alias, such as `champion`.
            expected_number: Make the change only if the alias points at this number now; 0 means no version.
            reason: The reason, recorded in the log.

        Returns:
            The version, with its aliases.

        Raises:
            VersionNotFound: The model has no such version.
            AliasMoved: The alias does not point at the expected number.
        """
        return await self.run_call(
            calls.set_alias(self._project, reference, alias, expected_number=expected_number, reason=reason)
        )

    async def delete_alias(
        self, model: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Delete an alias.

        Args:
            model: The model's name.
            alias: The alias, such as `champion`.
            expected_number: Make the change only if the alias points at this number now; 0 means no version.
            reason: The reason, recorded in the log.

        Returns:
            The version at which the alias pointed.

        Raises:
            AliasNotFound: The model has no such alias.
            AliasMoved: The alias does not point at the expected number.
        """
        return await self.run_call(
            calls.delete_alias(self._project, model, alias, expected_number=expected_number, reason=reason)
        )

    async def history(self, reference: str, *, kinds: Sequence[str] = ()) -> AsyncIterator[Event]:
        """Return the events of a model (`churn`) with its versions, or of one version (`churn/41`), the newest first.

        Args:
            reference: The model or the version.
            kinds: Return only events of these kinds (`Event.kind`); empty for all.

        Raises:
            ModelNotFound: No model has that name.
            VersionNotFound: The model has no such version.
        """
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
        """Return events as they happen, each once and in order, until the client is closed.

        When the service goes away, this waits for it and resumes after the last event.

        Args:
            after_revision: Return the events after this revision; None for those from now on.
            model: Return only events about this model.
            kinds: Return only events of these kinds (`Event.kind`).
            stages: Of moves between stages, return only those into or out of these.
            log_id: The id of the log that has the revision.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            LogReplaced: The service has another log than that of `log_id`, or came back with another.
            Unavailable: The service does not answer at the start.
        """
        messages = self.watch_progress(after_revision, model=model, kinds=kinds, stages=stages, log_id=log_id)
        async with aclosing(messages) as progress:
            async for message in progress:
                for event in message.events:
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
        """Return events as `watch` does, together with the position in the log.

        The first message says where the watch begins. Later ones may have no events, only a position.

        Args:
            after_revision: Return the events after this revision; None for those from now on.
            model: Return only events about this model.
            kinds: Return only events of these kinds (`Event.kind`).
            stages: Of moves between stages, return only those into or out of these.
            log_id: The id of the log that has the revision.
            on_lost: Called with the error whenever the connection is lost; the next message means that it is back.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            LogReplaced: The service has another log than that of `log_id`, or came back with another.
            Unavailable: The service does not answer at the start.
        """
        watch_filter = WatchFilter(model, tuple(kinds), tuple(stages))
        # A stream waits for the service without a deadline; this call fails within its own if there is none.
        head = await self.run_call(calls.head(self._project))
        cursor = Cursor(head.revision if after_revision is None else after_revision, log_id or head.log_id)
        while True:
            call = calls.watch(self._project, cursor, watch_filter)
            replica = self._replicas.current
            renew = partial(self._headers.renew, self._headers.caller())
            stream = await self._stream(call)
            channels = self._channels
            try:
                async for reply in stream:
                    message = read_reply(call, reply, self._settings)
                    yield message
                    cursor = message.cursor
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._channels is channels or (task is not None and task.cancelling()):
                    raise
                # gRPC cancels the streams of a channel that is closed; the task that watches was not cancelled.
                return
            except grpc.RpcError as error:
                await asyncio.sleep(delay_before_retry(error, self._settings, renew, on_lost))
                self._replicas.leave(replica)
            finally:
                stream.cancel()

    async def log_metadata(
        self, reference: str, metadata: Mapping[str, object], *, delete_keys: Sequence[str] = ()
    ) -> ModelVersion:
        """Set and delete single keys of a version's metadata.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            metadata: Values by key: numbers, text, booleans, None, datetimes, Uri, lists and mappings of these.
            delete_keys: Keys to delete; that of a metric goes with all of its points.

        Returns:
            The changed version.

        Raises:
            VersionNotFound: The model has no such version.
            InvalidField: A value cannot be recorded.
            LimitReached: The version has as much metadata as it can have.
        """
        return await self.run_call(calls.log_metadata(self._project, reference, metadata, delete_keys))

    async def log_metrics(self, reference: str, points: Sequence[MetricPoint]) -> None:
        """Log points of a version's metrics. Its metadata shows the value at each metric's highest step.

        A point replaces an earlier one of the same metric and step. More than 1000 points are sent in several requests.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            points: The points.

        Raises:
            VersionNotFound: The model has no such version.
            LimitReached: The version has as many points as it can have.
        """
        for start in range(0, len(points), MAX_POINTS):
            batch = points[start : start + MAX_POINTS]
            await self.run_call(calls.log_metadata(self._project, reference, {}, (), batch))

    def list_metrics(self, reference: str, *keys: str, at: int | datetime | None = None) -> AsyncIterator[MetricPoint]:
        """Return the points of a version's metrics, page by page, by metric and step.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            keys: The metrics; none for all.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            VersionNotFound: The model has no such version.
        """
        return self._pages(lambda token: calls.list_metrics(self._project, reference, token, keys, at))

    async def link_artifact(
        self,
        reference: str,
        name: str,
        uri: str,
        *,
        type: ArtifactType | str = ArtifactType.DATA,  # noqa: A002 - the contract's word
        digest: str = "",
        size: int = 0,
        format: str = "",  # noqa: A002 - the contract's word
        role: ArtifactRole | str = ArtifactRole.MADE,
        run: str | None = None,
        step: str = "",
    ) -> ArtifactInfo:
        """Link an artifact that is kept elsewhere to a version that created or used it.

        A link that exists already is returned as it is.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            name: The artifact's name, such as `classifier`.
            uri: Where it is kept.
            type: `data`, `model` or `deployment`.
            digest: `sha256:` and 64 hexadecimal digits, or empty.
            size: Its size in bytes; 0 if unknown.
            format: How its bytes are read, such as `json` or `skops`.
            role: `made` or `used`.
            run: The id of the run that created or used it.
            step: The id of the run's step.

        Returns:
            The artifact, with its ordinal.

        Raises:
            VersionNotFound: The model has no such version.
        """
        fields = {
            "type": type,
            "uri": uri,
            "digest": digest,
            "size_bytes": size,
            "format": format,
            "role": role,
            "run": run,
            "step": step,
        }
        return await self.run_call(calls.link_artifact(self._project, reference, name, fields))

    async def unlink_artifact(self, reference: str, name: str, *, reason: str = "") -> ArtifactInfo:
        """Remove the link to an artifact. The artifact itself stays where it is kept.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            name: `classifier` for the newest of that name, or `classifier@2`.
            reason: The reason, recorded in the log.

        Returns:
            The artifact as it was linked.

        Raises:
            ArtifactNotFound: The version has no such artifact.
        """
        return await self.run_call(calls.unlink_artifact(self._project, reference, name, reason))

    async def get_artifact(self, reference: str, name: str, *, at: int | datetime | None = None) -> ArtifactInfo:
        """Return an artifact of a version.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            name: `classifier` for the newest of that name, or `classifier@2`.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ArtifactNotFound: The version has no such artifact.
        """
        return await self.run_call(calls.get_artifact(self._project, reference, name, at))

    def list_artifacts(
        self,
        reference: str,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        at: int | datetime | None = None,
    ) -> AsyncIterator[ArtifactInfo]:
        """Return the artifacts of a version, page by page, in the order in which they were linked.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            filter: A condition that items must meet, as in https://aip.dev/160.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            VersionNotFound: The model has no such version.
            InvalidFilter: The filter cannot be parsed.
        """
        options = ListOptions(filter, at=at)
        return self._pages(lambda token: calls.list_artifacts(self._project, reference, token, options))

    async def lineage(
        self,
        reference: str = "",
        *,
        run: str | None = None,
        direction: str = "both",
        depth: int = 4,
        at: int | datetime | None = None,
    ) -> Lineage:
        """Return what a version or a run came from, and what came from it.

        Versions come without description and metadata, runs without parameters, command and recording problems.

        Args:
            reference: The version with which to begin.
            run: The id of the run with which to begin, instead.
            direction: `upstream`, `downstream` or `both`.
            depth: The number of edges to follow.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            VersionNotFound: The model has no such version.
            RunNotFound: There is no such run.
        """
        return await self.run_call(calls.lineage(self._project, reference, run, direction, depth, at))

    async def start_run(
        self,
        run: str,
        *,
        pipeline: str = "",
        host: str = "",
        user: str = "",
        commit: str = "",
        url: str = "",
        command: str = "",
        parameters: Mapping[str, object] | None = None,
        start_time: datetime | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> Started:
        """Start a run, or join it if it was started before.

        Args:
            run: An id for the run.
            pipeline: The pipeline's name.
            host: The name of the machine.
            user: The account on that machine.
            commit: The commit of the program.
            url: A page about the run.
            command: The command line that started the program.
            parameters: The pipeline's arguments by name.
            start_time: When the program started it, if that was earlier.
            heartbeat_timeout: Record the run as lost when no `heartbeat_run` arrives for so long, 1 second to 30 days;
                None for never.

        Returns:
            The run, and whether it was created.
        """
        fields = {
            "pipeline": pipeline,
            "host": host,
            "user": user,
            "commit": commit,
            "url": url,
            "command": command,
            "parameters": parameters or {},
            "start_time": start_time,
            "heartbeat_timeout": heartbeat_timeout,
        }
        return await self.run_call(calls.start_run(self._project, run, fields, None))

    async def finish_run(
        self, run: str, state: RunState | str, *, error: str = "", end_time: datetime | None = None
    ) -> Run:
        """Finish a run, or one that is recorded as lost.

        Args:
            run: The run's id.
            state: `succeeded` or `failed`.
            error: Why it failed.
            end_time: When the program ended it, if that was earlier.

        Returns:
            The finished run.

        Raises:
            RunNotFound: There is no such run.
            RunFinished: The run is finished with another outcome.
        """
        return await self.run_call(calls.finish_run(self._project, run, state, error, end_time))

    async def heartbeat_run(self, run: str) -> Heartbeat:
        """Report that the run's program is alive. This resumes a run that is recorded as lost.

        Args:
            run: The run's id.

        Returns:
            The run's state, and the time within which the next heartbeat must arrive.

        Raises:
            RunNotFound: There is no such run.
        """
        return await self.run_call(calls.heartbeat_run(self._project, run))

    async def report_recording_problems(self, run: str, problems: Sequence[RecordingProblem]) -> Run:
        """Report what of a run could not be recorded.

        Args:
            run: The run's id.
            problems: 1 to 1000 problems.

        Returns:
            The run, with all of its problems.

        Raises:
            RunNotFound: There is no such run.
        """
        return await self.run_call(calls.report_recording_problems(self._project, run, problems))

    async def get_run(self, run: str, *, at: int | datetime | None = None) -> Run:
        """Return the run of that id.

        Args:
            run: The run's id.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            RunNotFound: There is no such run.
        """
        return await self.run_call(calls.get_run(self._project, run, at))

    def list_runs(
        self,
        *,
        version: str = "",
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        at: int | datetime | None = None,
    ) -> AsyncIterator[Run]:
        """Return all runs, page by page, the last started first or in the order given.

        Every page shows the same state: that in which the list was begun, or that of `at`.

        Args:
            version: Return only runs that created or used this version.
            filter: A condition that items must meet, as in https://aip.dev/160.
            order_by: Fields to sort by, such as `end_time desc`.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            InvalidFilter: The filter cannot be parsed.
        """
        options = ListOptions(filter, order_by, at=at)
        return self._pages(lambda token: calls.list_runs(self._project, token, options, version))

    async def start_step(
        self,
        run: str,
        step: str,
        *,
        name: str = "",
        version: str = "",
        parameters: Mapping[str, object] | None = None,
        start_time: datetime | None = None,
    ) -> RunStep:
        """Start a step of a run.

        Args:
            run: The run's id.
            step: An id for the step.
            name: The step's name.
            version: The version in force in it.
            parameters: The step's arguments by name.
            start_time: When the program started it, if that was earlier.

        Returns:
            The step.

        Raises:
            RunNotFound: There is no such run.
        """
        return await self.run_call(
            calls.start_step(self._project, run, step, name, version, parameters or {}, start_time)
        )

    async def finish_step(
        self, run: str, step: str, state: RunState | str, *, error: str = "", end_time: datetime | None = None
    ) -> RunStep:
        """Finish a step.

        Args:
            run: The run's id.
            step: The step's id.
            state: `succeeded` or `failed`.
            error: Why it failed.
            end_time: When the program ended it, if that was earlier.

        Returns:
            The finished step.

        Raises:
            StepNotFound: The run has no such step.
            StepFinished: The step is finished with another outcome.
        """
        return await self.run_call(calls.finish_step(self._project, run, step, state, error, end_time))

    def list_steps(self, run: str, *, at: int | datetime | None = None) -> AsyncIterator[RunStep]:
        """Return the steps of a run, page by page, in the order in which they were started.

        Args:
            run: The run's id.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            RunNotFound: There is no such run.
        """
        return self._pages(lambda token: calls.list_steps(self._project, run, token, at))

    async def list_events(self, after_revision: int = 0) -> AsyncIterator[Event]:
        """Return all events of the log after a revision, in order.

        Args:
            after_revision: The revision; 0 begins with the first event.

        Raises:
            RevisionInFuture: The log does not reach that revision.
        """
        while events := await self.run_call(calls.list_events(self._project, after_revision)):
            for event in events:
                yield event
            after_revision = events[-1].revision

    async def newest_revision(self) -> int:
        """Return the revision of the log's last event; 0 if the log is empty."""
        return (await self.run_call(calls.head(self._project))).revision or 0

    async def verify(self, checkpoint: Checkpoint | None = None) -> Proof:
        """Verify that the project matches its log, and that no event was changed, while the service goes on.

        The longer the log, the longer this takes; by default an hour at most.

        Args:
            checkpoint: Verify too that the log still begins as it did when this checkpoint was taken.

        Returns:
            What was found, and a checkpoint to keep.

        Raises:
            Overloaded: Too many verifications are waiting.
        """
        # A verification may take long; this call fails soon if there is no service.
        await self.run_call(calls.head(self._project))
        return await self.run_call(calls.verify(self._project, checkpoint))

    async def erase(
        self, name: str, *paths: str, reason: str, keys: bool = False, validate_only: bool = False
    ) -> Erased:
        """Erase content for good: from every event of the log, from the tables and from the bytes of the file.

        Copies, backups and exports that were made before still have the content.

        Args:
            name: A model, a version (`churn/41`), a run with its steps (`projects/default/runs/ID`), or `""` for the
                project.
            paths: What to erase, such as `description`, `metadata.KEY`, `parameters.KEY`, `reasons` or `actors.NAME`;
                the contract lists all.
            reason: The reason, for the log; do not repeat what is erased.
            keys: Erase the last key of each path to metadata or parameters, too.
            validate_only: Erase nothing; only count the events with such content.

        Returns:
            The number of events with erased content, and the revision of the event that records it.

        Raises:
            NothingToErase: A path leads to nothing; nothing was erased.
            StorageUnavailable: The content is gone from every answer, and perhaps not yet from the bytes of the file.
        """
        await self.run_call(calls.head(self._project))
        call = calls.erase(self._project, name, paths, reason, keys=keys, validate_only=validate_only)
        return await self.run_call(call)

    async def export(self, at: int | None = None) -> AsyncIterator[bytes]:
        """Return the project's log as JSON Lines, in pieces of bytes that need not end with a line.

        The bytes are those of `tallymark export`, and `tallymark import` reads them.

        Args:
            at: The last revision to export; None exports the whole log.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            Overloaded: Too many exports are waiting.
        """
        async with aclosing(self.export_progress(at)) as pieces:
            async for piece in pieces:
                yield piece.lines

    async def export_progress(self, at: int | None = None) -> AsyncGenerator[ExportChunk, None]:
        """Return the pieces as `export` does, each with its last revision and that of the export.

        Args:
            at: The last revision to export; None exports the whole log.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            Overloaded: Too many exports are waiting.
        """
        # A stream has no deadline; this call fails soon if there is no service.
        await self.run_call(calls.head(self._project))
        call = calls.export(self._project, at)
        stream = await self._stream(call)
        try:
            async for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise_for(error, self._settings, 0)
        finally:
            stream.cancel()

    async def run_call(self, call: Call[T]) -> T:
        """Send a call built by `tallymark.client.calls`, and return its answer.

        Args:
            call: The call.
        """
        repetitions = Repetitions(timeout_of(self._settings, call))
        while True:
            try:
                return await self._call_as_known(call, repetitions.left)
            except ResourceExhausted as refusal:
                await asyncio.sleep(repetitions.pause(refusal))

    async def _call_as_known(self, call: Call[T], seconds: float) -> T:
        """Send the call, and once more if another token can be presented."""
        caller = self._headers.caller()
        try:
            return await self._call(call, seconds)
        except Unauthenticated:
            if not self._headers.renew(caller):
                raise
        return await self._call(call, seconds)

    async def _call(self, call: Call[T], seconds: float) -> T:
        first = self._first
        try:
            pending = self._ask_any(call, seconds) if self._replicas.are_several else await self._ask_one(call, seconds)
            reply = await (pending if first.made else first.answer(pending, seconds))
        except grpc.RpcError as error:
            first.made = first.made or not is_unanswered(error)
            raise_for(error, self._settings, seconds, await first.areason())
        first.made = True
        return read_reply(call, reply, self._settings)

    async def _ask_one(self, call: Call[Any], seconds: float) -> Any:
        method = getattr(await self._stub(call.service, 0), call.method)
        return method(
            call.request, timeout=seconds, metadata=self._headers.pairs(), wait_for_ready=call.waits_for_ready
        )

    async def _ask_any(self, call: Call[Any], seconds: float) -> Any:
        """Return the answer of the current replica, or else of the next ones."""
        attempts = Attempts(self._replicas, seconds, is_long=not call.waits_for_ready)
        for attempt in attempts:
            await asyncio.sleep(attempt.pause)
            method = getattr(await self._stub(call.service, attempt.replica), call.method)
            try:
                reply = await method(call.request, timeout=attempt.seconds, metadata=self._headers.pairs())
            except grpc.RpcError as error:
                attempts.failed(error, is_refusal=is_refusal(error))
            else:
                attempts.answered()
                return reply
        raise attempts.error

    async def _stream(self, call: Call[T]) -> Any:
        method = getattr(await self._stub(call.service, self._replicas.current), call.method)
        is_waiting = call.waits_for_ready and not self._replicas.are_several
        return method(call.request, metadata=self._headers.pairs(), wait_for_ready=is_waiting)

    async def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            page = await self.run_call(page_of(token))
            for item in page.items:
                yield item
            token = page.next_page_token
            if not token:
                return

    async def _stub(self, service: type, replica: int) -> Any:
        proxies = await self._first.achoose_proxies() if not self._channels else []
        if not self._channels:
            several = self._replicas.are_several
            self._channels = tuple(
                open_aio_channel(address, self._settings, channel_options(proxy, are_several=several))
                for address, proxy in zip(self._replicas.addresses, proxies, strict=True)
            )
        key = service, replica
        if key not in self._stubs:
            self._stubs[key] = service(self._channels[replica])
        return self._stubs[key]
