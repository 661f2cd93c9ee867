"""The blocking client: a line for each method of the service."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import grpc

from tallymark import calls
from tallymark.calls import Call, NewVersion, Page
from tallymark.channel import Channel, raise_for
from tallymark.resources import Ensured, Event, ModelInfo, ModelVersion, Run, Started
from tallymark.settings import Settings, adjusted
from tallymark.values import RunState, Stage

T = TypeVar("T")


class Client:
    """Asks the registry, and waits for its answers. Safe to share between threads, and over a fork.

    Versions are named as people write them: `churn` (the latest), `churn/41`, `churn@production`, `churn@champion`,
    `churn==1.0.5`. Arguments that are not given come from `tallymark.configure` and the environment. Every method
    raises
    a TallymarkError: NotFound, InvalidArgument, Unavailable, …
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
        _LIVING.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._settings.url!r}, project={self._project!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._settings,)

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        self._channel.close()

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
        }
        return self.run_call(calls.create_model(self._project, name, fields))

    def get_model(self, name: str) -> ModelInfo:
        """The model of that name; ModelNotFound."""
        return self.run_call(calls.get_model(self._project, name))

    def list_models(self) -> Iterator[ModelInfo]:
        """All models by name."""
        return self._pages(lambda token: calls.list_models(self._project, token))

    def create_version(
        self,
        model: str,
        name: str = "",
        *,
        description: str = "",
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
    ) -> ModelVersion:
        """Create the next version of a model; ModelNotFound, VersionNameTaken."""
        return self.run_call(
            calls.create_version(self._project, model, NewVersion(name, description, tags, metadata or {}))
        )

    def create_versions(self, model: str, versions: Sequence[NewVersion]) -> list[ModelVersion]:
        """Create 1 to 1000 versions with successive numbers, all or none; ModelNotFound, VersionNameTaken."""
        return self.run_call(calls.create_versions(self._project, model, versions))

    def ensure_version(self, model: str, version: str = "", *, run: str | None = None, step: str = "") -> Ensured:
        """The version that `Model(model, version)` means, created if need be."""
        config = calls.config(model, version)
        return self.run_call(calls.ensure_version(self._project, config, run, step, calls.new_request_id()))

    def get_version(self, reference: str) -> ModelVersion:
        """The version that the reference means; ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound."""
        return self.run_call(calls.get_version(self._project, reference))

    def list_versions(self, model: str) -> Iterator[ModelVersion]:
        """All versions of a model, the highest number first; ModelNotFound."""
        return self._pages(lambda token: calls.list_versions(self._project, model, token))

    def set_stage(
        self, reference: str, stage: Stage | str, *, force: bool = False, reason: str = "", etag: str = ""
    ) -> ModelVersion:
        """Move a version to a stage; with force, the holder goes to the archive. StageOccupied, EtagMismatch."""
        return self.run_call(calls.set_stage(self._project, reference, stage, force=force, reason=reason, etag=etag))

    def set_alias(
        self, reference: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Point an alias at a version; AliasMoved if it is not where it is expected (0: nowhere)."""
        return self.run_call(
            calls.set_alias(self._project, reference, alias, expected_number=expected_number, reason=reason)
        )

    def delete_alias(
        self, model: str, alias: str, *, expected_number: int | None = None, reason: str = ""
    ) -> ModelVersion:
        """Take an alias away; AliasNotFound, AliasMoved."""
        return self.run_call(
            calls.delete_alias(self._project, model, alias, expected_number=expected_number, reason=reason)
        )

    def log_metadata(self, reference: str, metadata: Mapping[str, object]) -> ModelVersion:
        """Set metadata of a version by key; numbers, text, booleans, datetimes, Uri, lists and mappings of these."""
        return self.run_call(calls.log_metadata(self._project, reference, metadata))

    def start_run(self, run: str, *, pipeline: str = "", host: str = "") -> Started:
        """Start a run, or join it when it was started before."""
        return self.run_call(calls.start_run(self._project, run, pipeline, host, None))

    def finish_run(self, run: str, state: RunState | str, *, error: str = "") -> Run:
        """Finish a run as `succeeded` or `failed`; RunNotFound, RunFinished."""
        return self.run_call(calls.finish_run(self._project, run, RunState(state), error))

    def get_run(self, run: str) -> Run:
        """The run of that id; RunNotFound."""
        return self.run_call(calls.get_run(self._project, run))

    def list_runs(self) -> Iterator[Run]:
        """All runs, the last started first."""
        return self._pages(lambda token: calls.list_runs(self._project, token))

    def list_events(self, after_revision: int = 0) -> Iterator[Event]:
        """All events of the log after a revision, in order; RevisionInFuture."""
        while events := self.run_call(calls.list_events(self._project, after_revision)):
            yield from events
            after_revision = events[-1].revision

    def watch(self, after_revision: int | None = None) -> Iterator[Event]:
        """Events after a revision (None: from now on), as they happen, without end; RevisionInFuture, Stopping."""
        call = calls.watch(self._project, after_revision)
        stream = self._channel.stream(call)
        try:
            for message in stream:
                yield from call.read(message)
        except grpc.RpcError as error:
            raise_for(error, self._settings, 0)
        finally:
            stream.cancel()

    def run_call(self, call: Call[T]) -> T:
        """The answer to a call made by `tallymark.calls`."""
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
        """Be usable in a child process."""
        self._channel.after_fork()


_LIVING: weakref.WeakSet[Client] = weakref.WeakSet()
_shared: dict[Settings, Client] = {}


def shared(settings: Settings) -> Client:
    """The client that decorators and models of this process use for these settings."""
    client = _shared.get(settings)
    return client or _shared.setdefault(settings, _reopened(settings))


def _reopened(settings: Settings) -> Client:
    return Client(settings.url, project=settings.project, timeout=settings.timeout, actor=settings.actor)


def _after_fork_in_child() -> None:
    for client in list(_LIVING):
        client.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
