"""The methods of the client for asyncio about a log as a whole: to read it, to prove it, and to export it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

import grpc

from tallymark.client import calls
from tallymark.client.argument_checks import checked
from tallymark.client.calls import Call, ExportChunk
from tallymark.client.channel import raise_for
from tallymark.settings import Settings
from tallymark.types.proofs import Checkpoint, Erased, Proof
from tallymark.types.resources import Event

T = TypeVar("T")


@checked
class AsyncProving(ABC):
    """What a client asks about a log as a whole."""

    _project: str
    _settings: Settings

    @abstractmethod
    async def run_call(self, call: Call[T]) -> T:
        """The answer to a call made by `tallymark.client.calls`."""

    @abstractmethod
    async def _stream(self, call: Call[T]) -> Any:
        """The messages of a streaming call, as they come, without a deadline."""

    async def list_events(self, after_revision: int = 0) -> AsyncIterator[Event]:
        """All events of the log after a revision, in order; RevisionInFuture."""
        while events := await self.run_call(calls.list_events(self._project, after_revision)):
            for event in events:
                yield event
            after_revision = events[-1].revision

    async def newest_revision(self) -> int:
        """The revision of the log's last event, 0 before the first."""
        return (await self.run_call(calls.head(self._project))).revision or 0

    async def verify(self, checkpoint: Checkpoint | None = None) -> Proof:
        """Prove, while the service goes on, that the project is what its log tells, and that no event was changed.

        With the checkpoint of an earlier proof, also that the log still begins as it was then. The longer the log, the
        longer it takes, by default an hour at most; Overloaded when too many wait for a proof.
        """
        # A proof may take long; this call tells soon if there is no service.
        await self.run_call(calls.head(self._project))
        return await self.run_call(calls.verify(self._project, checkpoint))

    async def erase(
        self, name: str, *paths: str, reason: str, keys: bool = False, validate_only: bool = False
    ) -> Erased:
        """Erase content for good: in every event of the log, in the tables, and in the bytes of the file.

        Args:
            name: A model, a version (`churn/41`), a run with its steps (`projects/default/runs/ID`), or `""` for the
                project.
            paths: What of it, such as `description`, `metadata.KEY`, `parameters.KEY`, `reasons` or `actors.NAME`; the
                contract lists all.
            reason: Why, for the log, without a word of what is erased.
            keys: Erase the last key of each path to metadata or parameters, too.
            validate_only: Only say from how many events content would be erased.

        Raises:
            NothingToErase: A path leads to nothing; nothing was erased.
            StorageUnavailable: The content is gone from every answer, and perhaps not yet from the bytes of the file.

        Copies, backups and exports that were made before still have the content.
        """
        await self.run_call(calls.head(self._project))
        call = calls.erase(self._project, name, paths, reason, keys=keys, validate_only=validate_only)
        return await self.run_call(call)

    async def export(self, at: int | None = None) -> AsyncIterator[bytes]:
        """The project's log as JSON Lines, up to a revision or to its end.

        The bytes are those of `tallymark export`, for `tallymark import`, in pieces that need not end with a line.
        RevisionInFuture, Overloaded.
        """
        async with aclosing(self.export_progress(at)) as pieces:
            async for piece in pieces:
                yield piece.lines

    async def export_progress(self, at: int | None = None) -> AsyncGenerator[ExportChunk, None]:
        """As `export`, with the revision to which each piece has come, and the last one."""
        # A stream has no deadline; this call tells soon if there is no service.
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
