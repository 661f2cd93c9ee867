"""`Client`, the blocking client: a method for each method of the service.

`tallymark.client.aio` has the same methods for asyncio.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self, TypeVar

import grpc

from tallymark.client import calls
from tallymark.client.access import Access
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
from tallymark.client.channel import Channel, delay_before_retry, raise_for, read_reply
from tallymark.errors import Unavailable
from tallymark.settings import Settings, adjusted
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
class Client:
    """Call the registry, and wait for each answer. A client may be shared between threads, and works after a fork.

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
        self._channel = Channel(self._settings)
        _clients.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._settings.url!r}, project={self._project!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _client_for, (self._settings,)

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        self._channel.close()

    @property
    def access(self) -> Access:
        """Access control, with the tokens, service accounts and grants of the service."""
        return Access(self.run_call)

    def create_project(self, name: str) -> Project:
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
        return self.run_call(calls.create_project(name))

    def get_project(self, name: str) -> Project:
        """Return the project of that name.

        Args:
            name: The project's name.

        Raises:
            ProjectNotFound: No project has that name.
        """
        return self.run_call(calls.get_project(name))

    def list_projects(self) -> Iterator[Project]:
        """Return all projects of the service, page by page, by name."""
        return self._pages(calls.list_projects)

    def create_model(
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
        return self.run_call(calls.with_validate_only(calls.create_model(self._project, name, fields), validate_only))

    def get_model(self, name: str, *, show_deleted: bool = False, at: int | datetime | None = None) -> ModelInfo:
        """Return the model of that name.

        Args:
            name: The model's name.
            show_deleted: Return it even if it is deleted.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ModelNotFound: No model has that name, or it is deleted.
        """
        return self.run_call(calls.get_model(self._project, name, show_deleted=show_deleted, at=at))

    def list_models(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        show_deleted: bool = False,
        at: int | datetime | None = None,
    ) -> Iterator[ModelInfo]:
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

    def update_model(
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
        return self.run_call(
            calls.with_validate_only(calls.update_model(self._project, name, changes, etag), validate_only)
        )

    def rename_model(self, name: str, new_name: str, *, etag: str = "") -> ModelInfo:
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
        return self.run_call(calls.rename_model(self._project, name, new_name, etag))

    def delete_model(self, name: str, *, force: bool = False, reason: str = "", etag: str = "") -> ModelInfo:
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
        return self.run_call(calls.delete_model(self._project, name, force=force, reason=reason, etag=etag))

    def undelete_model(self, name: str, *, reason: str = "") -> ModelInfo:
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
        return self.run_call(calls.undelete_model(self._project, name, reason))

    def purge_model(self, name: str, *, reason: str = "") -> ModelInfo:
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
        return self.run_call(calls.purge_model(self._project, name, reason))

    def create_version(
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
        return self.run_call(calls.with_validate_only(call, validate_only))

    def create_versions(self, model: str, versions: Sequence[NewVersion]) -> list[ModelVersion]:
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
        return self.run_call(calls.create_versions(self._project, model, versions))

    def ensure_version(self, model: str, version: str = "", *, run: str | None = None, step: str = "") -> Ensured:
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
        return self.run_call(calls.ensure_version(self._project, config, run, step, calls.new_request_id()))

    def get_version(
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
        return self.run_call(calls.get_version(self._project, reference, show_deleted=show_deleted, at=at))

    def list_versions(
        self,
        model: str,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        show_deleted: bool = False,
        at: int | datetime | None = None,
    ) -> Iterator[ModelVersion]:
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

    def update_version(
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
        return self.run_call(
            calls.with_validate_only(calls.update_version(self._project, reference, changes, etag), validate_only)
        )

    def delete_version(self, reference: str, *, force: bool = False, reason: str = "", etag: str = "") -> ModelVersion:
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
        return self.run_call(calls.delete_version(self._project, reference, force=force, reason=reason, etag=etag))

    def undelete_version(self, reference: str, *, reason: str = "") -> ModelVersion:
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
        return self.run_call(calls.undelete_version(self._project, reference, reason))

    def purge_version(self, reference: str, *, reason: str = "") -> ModelVersion:
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
        return self.run_call(calls.purge_version(self._project, reference, reason))

    def set_stage(
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
        return self.run_call(calls.with_validate_only(call, validate_only))

    def rollback(
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
        info = self.get_model(model)
        number, holder = 0, rollbacks.holder_of(info, stage)
        for event in self.history(info.resource_name, kinds=["stage_changed"]):
            if number := rollbacks.entered(event, stage, holder):
                break
        call = rollbacks.rollback(self._project, info, stage, number, reason)
        return self.run_call(calls.with_validate_only(call, validate_only))

    def set_alias(
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
        return self.run_call(
            calls.set_alias(self._project, reference, alias, expected_number=expected_number, reason=reason)
        )

    def delete_alias(
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
        return self.run_call(
            calls.delete_alias(self._project, model, alias, expected_number=expected_number, reason=reason)
        )

    def history(self, reference: str, *, kinds: Sequence[str] = ()) -> Iterator[Event]:
        """Return the events of a model (`churn`) with its versions, or of one version (`churn/41`), the newest first.

        Args:
            reference: The model or the version.
            kinds: Return only events of these kinds (`Event.kind`); empty for all.

        Raises:
            ModelNotFound: No model has that name.
            VersionNotFound: The model has no such version.
        """
        before = 0
        while events := self.run_call(calls.history(self._project, reference, kinds, before)):
            yield from events
            before = events[-1].revision

    def watch(
        self,
        after_revision: int | None = None,
        *,
        model: str = "",
        kinds: Sequence[str] = (),
        stages: Sequence[str] = (),
        log_id: str = "",
    ) -> Iterator[Event]:
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
        for message in self.watch_progress(after_revision, model=model, kinds=kinds, stages=stages, log_id=log_id):
            yield from message.events

    def watch_progress(
        self,
        after_revision: int | None = None,
        *,
        model: str = "",
        kinds: Sequence[str] = (),
        stages: Sequence[str] = (),
        log_id: str = "",
        on_lost: Callable[[Unavailable], object] | None = None,
    ) -> Generator[WatchMessage, None, None]:
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
        # Read the event now, not at the first iteration, so that closing the client in between ends the watch.
        watch_filter = WatchFilter(model, tuple(kinds), tuple(stages))
        return self._watch(Cursor(after_revision, log_id), watch_filter, on_lost, self._channel.closing)

    def _watch(
        self,
        begin: Cursor,
        watch_filter: WatchFilter,
        on_lost: Callable[[Unavailable], object] | None,
        closed: threading.Event,
    ) -> Generator[WatchMessage, None, None]:
        # A stream waits for the service without a deadline; this call fails within its own if there is none.
        head = self.run_call(calls.head(self._project))
        cursor = Cursor(head.revision if begin.revision is None else begin.revision, begin.log_id or head.log_id)
        while not closed.is_set():
            call = calls.watch(self._project, cursor, watch_filter)
            replica, headers = self._channel.replicas.current, self._channel.headers
            renew = partial(headers.renew, headers.caller())
            stream = self._channel.stream(call)
            try:
                for reply in () if closed.is_set() else stream:
                    message = read_reply(call, reply, self._settings)
                    yield message
                    cursor = message.cursor
            except grpc.RpcError as error:
                if not closed.is_set():
                    closed.wait(delay_before_retry(error, self._settings, renew, on_lost))
                    self._channel.replicas.leave(replica)
            finally:
                stream.cancel()

    def log_metadata(
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
        return self.run_call(calls.log_metadata(self._project, reference, metadata, delete_keys))

    def log_metrics(self, reference: str, points: Sequence[MetricPoint]) -> None:
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
            self.run_call(calls.log_metadata(self._project, reference, {}, (), batch))

    def list_metrics(self, reference: str, *keys: str, at: int | datetime | None = None) -> Iterator[MetricPoint]:
        """Return the points of a version's metrics, page by page, by metric and step.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            keys: The metrics; none for all.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            VersionNotFound: The model has no such version.
        """
        return self._pages(lambda token: calls.list_metrics(self._project, reference, token, keys, at))

    def link_artifact(
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
        return self.run_call(calls.link_artifact(self._project, reference, name, fields))

    def unlink_artifact(self, reference: str, name: str, *, reason: str = "") -> ArtifactInfo:
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
        return self.run_call(calls.unlink_artifact(self._project, reference, name, reason))

    def get_artifact(self, reference: str, name: str, *, at: int | datetime | None = None) -> ArtifactInfo:
        """Return an artifact of a version.

        Args:
            reference: The version, such as `churn/41` or `churn@production`.
            name: `classifier` for the newest of that name, or `classifier@2`.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            ArtifactNotFound: The version has no such artifact.
        """
        return self.run_call(calls.get_artifact(self._project, reference, name, at))

    def list_artifacts(
        self,
        reference: str,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        at: int | datetime | None = None,
    ) -> Iterator[ArtifactInfo]:
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

    def lineage(
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
        return self.run_call(calls.lineage(self._project, reference, run, direction, depth, at))

    def start_run(
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
        return self.run_call(calls.start_run(self._project, run, fields, None))

    def finish_run(self, run: str, state: RunState | str, *, error: str = "", end_time: datetime | None = None) -> Run:
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
        return self.run_call(calls.finish_run(self._project, run, state, error, end_time))

    def heartbeat_run(self, run: str) -> Heartbeat:
        """Report that the run's program is alive. This resumes a run that is recorded as lost.

        Args:
            run: The run's id.

        Returns:
            The run's state, and the time within which the next heartbeat must arrive.

        Raises:
            RunNotFound: There is no such run.
        """
        return self.run_call(calls.heartbeat_run(self._project, run))

    def report_recording_problems(self, run: str, problems: Sequence[RecordingProblem]) -> Run:
        """Report what of a run could not be recorded.

        Args:
            run: The run's id.
            problems: 1 to 1000 problems.

        Returns:
            The run, with all of its problems.

        Raises:
            RunNotFound: There is no such run.
        """
        return self.run_call(calls.report_recording_problems(self._project, run, problems))

    def get_run(self, run: str, *, at: int | datetime | None = None) -> Run:
        """Return the run of that id.

        Args:
            run: The run's id.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            RunNotFound: There is no such run.
        """
        return self.run_call(calls.get_run(self._project, run, at))

    def list_runs(
        self,
        *,
        version: str = "",
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        at: int | datetime | None = None,
    ) -> Iterator[Run]:
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

    def start_step(
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
        return self.run_call(calls.start_step(self._project, run, step, name, version, parameters or {}, start_time))

    def finish_step(
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
        return self.run_call(calls.finish_step(self._project, run, step, state, error, end_time))

    def list_steps(self, run: str, *, at: int | datetime | None = None) -> Iterator[RunStep]:
        """Return the steps of a run, page by page, in the order in which they were started.

        Args:
            run: The run's id.
            at: Read the state at this revision or time; None reads the present state.

        Raises:
            RunNotFound: There is no such run.
        """
        return self._pages(lambda token: calls.list_steps(self._project, run, token, at))

    def list_events(self, after_revision: int = 0) -> Iterator[Event]:
        """Return all events of the log after a revision, in order.

        Args:
            after_revision: The revision; 0 begins with the first event.

        Raises:
            RevisionInFuture: The log does not reach that revision.
        """
        while events := self.run_call(calls.list_events(self._project, after_revision)):
            yield from events
            after_revision = events[-1].revision

    def newest_revision(self) -> int:
        """Return the revision of the log's last event; 0 if the log is empty."""
        return (self.run_call(calls.head(self._project))).revision or 0

    def verify(self, checkpoint: Checkpoint | None = None) -> Proof:
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
        self.run_call(calls.head(self._project))
        return self.run_call(calls.verify(self._project, checkpoint))

    def erase(self, name: str, *paths: str, reason: str, keys: bool = False, validate_only: bool = False) -> Erased:
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
        self.run_call(calls.head(self._project))
        call = calls.erase(self._project, name, paths, reason, keys=keys, validate_only=validate_only)
        return self.run_call(call)

    def export(self, at: int | None = None) -> Iterator[bytes]:
        """Return the project's log as JSON Lines, in pieces of bytes that need not end with a line.

        The bytes are those of `tallymark export`, and `tallymark import` reads them.

        Args:
            at: The last revision to export; None exports the whole log.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            Overloaded: Too many exports are waiting.
        """
        with closing(self.export_progress(at)) as pieces:
            for piece in pieces:
                yield piece.lines

    def export_progress(self, at: int | None = None) -> Generator[ExportChunk, None, None]:
        """Return the pieces as `export` does, each with its last revision and that of the export.

        Args:
            at: The last revision to export; None exports the whole log.

        Raises:
            RevisionInFuture: The log does not reach that revision.
            Overloaded: Too many exports are waiting.
        """
        # A stream has no deadline; this call fails soon if there is no service.
        self.run_call(calls.head(self._project))
        call = calls.export(self._project, at)
        stream = self._channel.stream(call)
        try:
            for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise_for(error, self._settings, 0)
        finally:
            stream.cancel()

    def run_call(self, call: Call[T]) -> T:
        """Send a call built by `tallymark.client.calls`, and return its answer.

        Args:
            call: The call.
        """
        return self._channel.call(call)

    def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        token = ""
        while True:
            page = self.run_call(page_of(token))
            yield from page.items
            token = page.next_page_token
            if not token:
                return

    def after_fork(self) -> None:
        """Prepare the client for use in a child process."""
        self._channel.after_fork()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_shared: dict[Settings, Client] = {}


def shared(settings: Settings) -> Client:
    """Return the client that decorators and models of this process use for these settings."""
    client = _shared.get(settings)
    return client or _shared.setdefault(settings, _client_for(settings))


def _client_for(settings: Settings) -> Client:
    return Client(settings.url, project=settings.project, timeout=settings.timeout, actor=settings.actor)


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
